import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Predicate, Redacted, Stream } from "effect"
import * as DiskBlobs from "../../../src/layers/blobs/DiskBlobs.ts"
import * as S3Blobs from "../../../src/layers/blobs/S3Blobs.ts"
import { Blobs } from "../../../src/services/files/Blobs.ts"
import * as BlobsMemory from "../../../src/testing/memory/Blobs.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { outcome } from "../../support/Chat.ts"
import { startS3 } from "../../support/S3.ts"
import { smallDisk } from "../../support/Servers.ts"
import { blobsContract } from "./Blobs.contract.ts"

/** Whether this user may mount a file system. */
const mayMount = spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-files-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const onDisk = (dir: string) =>
  DiskBlobs.layer.pipe(Layer.provide([SettingsMemory.layerMemory({ data: { dir } }), NodeServices.layer]))

describe("fake", () => blobsContract(BlobsMemory.layerMemory))
describe("local disk", () => blobsContract(Layer.unwrap(Effect.map(directory, onDisk))))
describe("S3", () => blobsContract(Layer.unwrap(Effect.map(startS3, S3Blobs.layer))))

const write = Blobs.use((blobs) => blobs.write("ab", Stream.make(Buffer.from("x"))))
const place = Blobs.use(({ place }) => Effect.succeed(place))

describe("the local disk", () => {
  it.live("has the same place for all nodes that share the directory, also after a restart", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* directory, yield* directory]
      const first = yield* Effect.provide(place, onDisk(one))
      assert.strictEqual(yield* Effect.provide(place, onDisk(one)), first)
      assert.notStrictEqual(yield* Effect.provide(place, onDisk(other)), first)
    })
  )

  it.live("forgets with a file what a killed node has left of it", () =>
    Effect.gen(function* () {
      const dir = yield* directory
      const folder = join(dir, "files", "ab")
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, "ab.draft"), "half of it")
      yield* Blobs.use((blobs) => blobs.remove(["ab"])).pipe(Effect.provide(onDisk(dir)))
      assert.deepStrictEqual(readdirSync(folder), [])
    })
  )

  it.live.skipIf(!mayMount)(
    "that is full makes writes Unavailable, keeps what it has, and leaves nothing of the rest",
    () =>
      Effect.gen(function* () {
        const dir = yield* smallDisk(2)
        yield* Effect.gen(function* () {
          const { read, remove, write } = yield* Blobs
          const megabyte = Buffer.alloc(1024 * 1024)
          yield* write("ab", Stream.make(megabyte))
          const large = Stream.make(megabyte, megabyte)
          assert.strictEqual(yield* outcome(write("cd", large)), "Unavailable")
          assert.deepStrictEqual(readdirSync(join(dir, "files", "cd")), [])
          assert.strictEqual(yield* outcome(read("ab")), "ok")
          yield* remove(["ab"])
          assert.strictEqual(yield* outcome(write("cd", Stream.make(megabyte))), "ok")
        }).pipe(Effect.provide(onDisk(dir)))
      }).pipe(Effect.scoped)
  )

  it.live("that cannot be used makes writes Unavailable and has a reason, and the node starts", () =>
    Effect.gen(function* () {
      const dir = join(yield* directory, "file")
      writeFileSync(dir, "in the way")
      const { probe, written } = yield* Effect.gen(function* () {
        const blobs = yield* Blobs
        return { probe: yield* Effect.flip(blobs.probe), written: yield* outcome(write) }
      }).pipe(Effect.provide(onDisk(dir)))
      assert.match(probe.message, /cannot be written to/)
      assert.strictEqual(written, "Unavailable")
    })
  )
})

/** A store that answers when eight requests wait for it; it gives the most that have waited. */
const answersEight = Effect.gen(function* () {
  const waiting: Array<() => void> = []
  let most = 0
  const server = createServer((_, response) => {
    waiting.push(() => response.writeHead(204).end())
    most = Math.max(most, waiting.length)
    if (waiting.length < 8) return
    setImmediate(() => {
      for (const answer of waiting.splice(0)) answer()
    })
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () => Effect.sync(() => server.close().closeAllConnections())
  )
  const address = server.address()
  return { endpoint: `http://127.0.0.1:${Predicate.isObject(address) ? address.port : 0}`, most: () => most }
})

describe("an S3", () => {
  it.live("signs URLs, if it is to, which give one blob with the headers that they were signed for", () =>
    Effect.gen(function* () {
      const settings = yield* startS3
      assert.isUndefined((yield* Effect.provide(Blobs, S3Blobs.layer(settings))).presign)
      const url = yield* Effect.gen(function* () {
        const blobs = yield* Blobs
        yield* write
        const headers = { "content-type": "image/png", "content-disposition": "inline" }
        return yield* blobs.presign?.("ab", headers) ?? assert.fail("it signs none")
      }).pipe(Effect.provide(S3Blobs.layer({ ...settings, presigned: true })))
      const read = (href: string) =>
        Effect.promise(async () => {
          const answer = await fetch(href)
          const headers = ["content-type", "content-disposition"].map((name) => answer.headers.get(name))
          return [answer.status, ...headers, await answer.text()]
        })
      assert.deepStrictEqual(yield* read(url), [200, "image/png", "inline", "x"])
      assert.strictEqual(new URL(url).searchParams.get("X-Amz-Expires"), "60")
      for (const [from, to] of [
        ["/ab", "/cd"],
        ["image%2Fpng", "text%2Fhtml"]
      ] as const)
        assert.strictEqual((yield* read(url.replace(from, to)))[0], 403)
    }).pipe(Effect.scoped)
  )

  it.live("deletes eight blobs at a time", () =>
    Effect.gen(function* () {
      const { endpoint, most } = yield* answersEight
      const keys = Array.from({ length: 24 }, (_, index) => `key-${index}`)
      const secretAccessKey = Redacted.make("x")
      const settings = { bucket: "chat", endpoint, region: "us-east-1", accessKeyId: "x", secretAccessKey }
      const remove = Blobs.use((blobs) => blobs.remove(keys))
      yield* Effect.provide(remove, S3Blobs.layer({ ...settings, forcePathStyle: true, presigned: false }))
      assert.strictEqual(most(), 8)
    })
  )

  it.live("that does not answer makes everything Unavailable and has a reason", () =>
    Effect.gen(function* () {
      const nobody = {
        bucket: "chat",
        endpoint: "http://127.0.0.1:1",
        region: "us-east-1",
        accessKeyId: "x",
        secretAccessKey: Redacted.make("x"),
        forcePathStyle: true,
        presigned: false
      }
      const answers = yield* Effect.gen(function* () {
        const { probe, read, remove } = yield* Blobs
        const { message } = yield* Effect.flip(probe)
        return [message, yield* outcome(write), yield* outcome(read("ab")), yield* outcome(remove(["ab"]))]
      }).pipe(Effect.provide(S3Blobs.layer(nobody)))
      assert.match(answers[0] ?? "", /does not answer/)
      assert.deepStrictEqual(answers.slice(1), ["Unavailable", "Unavailable", "Unavailable"])
    })
  )
})
