import { createHash, randomBytes } from "node:crypto"
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { Upload } from "tus-js-client"
import { Unavailable } from "../../src/domain/Problem.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { Blobs } from "../../src/services/files/Blobs.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as BlobsMemory from "../../src/testing/memory/Blobs.ts"
import { layerFilesOn } from "../../src/testing/memory/layer.ts"
import * as ScannerMemory from "../../src/testing/memory/Scanner.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import { formOf, png } from "../support/Files.ts"
import { type Ask, fakeService, HttpService, httpService, newcomer } from "../support/HttpService.ts"
import { virus } from "../support/Scanners.ts"

const service = (settings: SettingsOverrides = {}) => Effect.provide(fakeService(settings))

/** A request of tus. */
const ask = Effect.fnUntraced(function* (token: string, method: string, path: string, options: Ask = {}) {
  const http = yield* HttpService
  const headers = { "tus-resumable": "1.0.0", ...options.headers }
  return yield* http.ask(path, { ...options, method, token, headers })
})

const create = (token: string, size: number, headers: Record<string, string> = {}) =>
  ask(token, "POST", "/v1/uploads", { headers: { "upload-length": String(size), ...headers } })

const patch = (token: string, path: string, offset: number, body: Uint8Array, headers: Record<string, string> = {}) =>
  ask(token, "PATCH", path, {
    headers: { "content-type": "application/offset+octet-stream", "upload-offset": String(offset), ...headers },
    body: Uint8Array.from(body)
  })

/** The path of a new upload. */
const begun = (token: string, size: number) =>
  Effect.map(create(token, size), ({ headers, status, text }) => {
    assert.strictEqual(status, 201, text)
    return headers.get("location") ?? ""
  })

const offsetOf = (token: string, path: string) =>
  Effect.map(ask(token, "HEAD", path), ({ headers }) => Number(headers.get("upload-offset")))

describe("tus", () => {
  it.live("works with tus-js-client, and the upload becomes an attachment", () =>
    Effect.gen(function* () {
      const http = yield* HttpService
      const { token } = yield* newcomer()
      const bytes = Buffer.concat([png, randomBytes(900_000)])
      const upload = (options: { readonly chunkSize?: number; readonly uploadDataDuringCreation?: boolean }) =>
        Effect.callback<string, Error>((resume) => {
          let id: string | null = null
          const running = new Upload(bytes, {
            endpoint: `${http.url}/v1/uploads`,
            headers: { authorization: `Bearer ${token}` },
            metadata: { filename: "Käse.png", filetype: "text/html" },
            retryDelays: [],
            onAfterResponse: (_, response) => {
              id = response.getHeader("chat-attachment-id") ?? id
            },
            onError: (error) => resume(Effect.fail(error)),
            onSuccess: () => resume(Effect.succeed(id ?? "")),
            ...options
          })
          running.start()
        })
      for (const options of [{}, { chunkSize: 250_000 }, { uploadDataDuringCreation: true }]) {
        const id = yield* upload(options)
        const attachment = yield* http.ask(`/v1/uploads/${id}`, { token })
        assert.deepInclude(attachment.json, { id, name: "Käse.png", contentType: "image/png", size: bytes.length })
        const file = yield* Effect.promise(() =>
          fetch(`${http.url}/v1/attachments/${id}`, { headers: { authorization: `Bearer ${token}` } })
        )
        assert.isTrue(bytes.equals(Buffer.from(yield* Effect.promise(() => file.arrayBuffer()))))
      }
    }).pipe(service())
  )

  it.live("says what it can, and answers each mistake by its status", () =>
    Effect.gen(function* () {
      const http = yield* HttpService
      const { token } = yield* newcomer()
      const options = yield* http.ask("/v1/uploads", { method: "OPTIONS" })
      assert.strictEqual(options.status, 204)
      const said = {
        "tus-version": "1.0.0",
        "tus-extension": "creation,creation-with-upload,expiration,termination,checksum",
        "tus-max-size": "1000",
        "tus-checksum-algorithm": "sha1,sha256,md5"
      }
      for (const [name, value] of Object.entries(said)) assert.strictEqual(options.headers.get(name), value)

      const old = yield* create(token, 10, { "tus-resumable": "0.2.2" })
      assert.deepStrictEqual([old.status, old.headers.get("tus-version")], [412, "1.0.0"])
      assert.strictEqual((yield* create("", 10)).status, 401)
      assert.strictEqual((yield* ask(token, "POST", "/v1/uploads")).status, 411)
      assert.strictEqual((yield* create(token, 10, { "upload-length": "ten" })).status, 411)
      assert.strictEqual((yield* create(token, 1001)).status, 413)
      assert.strictEqual((yield* create(token, 0)).status, 400)
      for (const metadata of ["filename %", "a b c", ","])
        assert.strictEqual((yield* create(token, 10, { "upload-metadata": metadata })).status, 400, metadata)

      const path = yield* begun(token, 10)
      assert.match(path, /^\/v1\/uploads\/[0-9a-f-]{36}$/)
      const ten = Buffer.from("0123456789")
      assert.strictEqual((yield* patch(token, path, 0, ten, { "content-type": "text/plain" })).status, 415)
      assert.strictEqual((yield* patch(token, path, 0, ten, { "upload-offset": "x" })).status, 400)
      assert.strictEqual((yield* patch(token, path, 0, ten, { "upload-checksum": "crc32 AAAA" })).status, 400)
      assert.strictEqual((yield* patch(token, path, 0, ten, { "upload-checksum": "sha1 AAAA" })).status, 460)
      assert.strictEqual((yield* patch(token, path, 5, ten.subarray(5))).problem.code, "upload-offset")
      assert.strictEqual((yield* patch(token, path, 0, Buffer.concat([ten, ten]))).status, 413)
      assert.strictEqual(yield* offsetOf(token, path), 0)
      const other = yield* newcomer()
      for (const method of ["HEAD", "DELETE"]) assert.strictEqual((yield* ask(other.token, method, path)).status, 404)
      assert.strictEqual((yield* http.ask(path, { token })).problem.code, "attachment-not-ready")

      const digest = createHash("sha256").update(ten.subarray(0, 5)).digest("base64")
      const half = yield* patch(token, path, 0, ten.subarray(0, 5), { "upload-checksum": `sha256 ${digest}` })
      assert.deepStrictEqual([half.status, half.headers.get("upload-offset")], [204, "5"])
      assert.strictEqual(half.headers.get("tus-resumable"), "1.0.0")
      assert.isAbove(Date.parse(half.headers.get("upload-expires") ?? ""), 0)
      const head = yield* ask(token, "HEAD", path)
      assert.deepStrictEqual(
        ["upload-offset", "upload-length", "cache-control"].map((name) => head.headers.get(name)),
        ["5", "10", "no-store"]
      )
      assert.strictEqual((yield* ask(token, "DELETE", path)).status, 204)
      assert.strictEqual((yield* ask(token, "HEAD", path)).status, 404)
    }).pipe(service({ limits: { attachmentBytes: 1000 } }))
  )

  it.live("keeps what has come when the connection is cut, and lets only one request add at a time", () =>
    Effect.gen(function* () {
      const { port } = yield* HttpService
      const { token } = yield* newcomer()
      const bytes = randomBytes(100_000)
      const path = yield* begun(token, bytes.length)
      const held = yield* Effect.acquireRelease(
        Effect.sync(() => connect(port, "127.0.0.1")),
        (socket) => Effect.sync(() => socket.destroy())
      )
      held.on("error", () => {})
      const head = `PATCH ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ntus-resumable: 1.0.0\r\n`
      const type = "content-type: application/offset+octet-stream\r\nupload-offset: 0\r\n"
      held.write(`${head}${type}content-length: ${bytes.length}\r\n\r\n`)
      held.write(bytes.subarray(0, 60_000))
      const locked = yield* patch(token, path, 0, Buffer.of()).pipe(
        Effect.repeat({ until: ({ status }) => status === 423, schedule: Schedule.spaced(20) })
      )
      assert.strictEqual(locked.problem.type, "/problems/locked")
      held.destroy()
      const at = yield* offsetOf(token, path).pipe(
        Effect.repeat({ until: (offset) => offset > 0, schedule: Schedule.spaced(20) })
      )
      assert.isAtMost(at, 60_000)
      const last = yield* patch(token, path, at, bytes.subarray(at))
      assert.strictEqual(last.status, 204, last.text)
      assert.strictEqual(`/v1/uploads/${last.headers.get("chat-attachment-id")}`, path)
    }).pipe(Effect.scoped, service())
  )

  it.live("ends when its file is refused at last", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const path = yield* begun(token, 100)
      const other = yield* begun(token, 50)
      const full = yield* create(token, 51)
      assert.strictEqual(full.problem.code, "storage-full")
      yield* patch(token, other, 0, randomBytes(50))
      const http = yield* HttpService
      const one = yield* http.ask("/v1/attachments", { method: "POST", token, body: formOf(Buffer.from("x"), "x") })
      assert.strictEqual(one.problem.code, "storage-full", "the open upload counts")
      const refused = yield* patch(token, path, 0, Buffer.concat([virus.bytes, randomBytes(100)]).subarray(0, 100))
      assert.strictEqual(refused.status, 400)
      assert.strictEqual((yield* ask(token, "HEAD", path)).status, 404)
      assert.strictEqual((yield* create(token, 100)).status, 201)
    }).pipe(
      Effect.provide(fakeService({ limits: { storageBytes: 150 } })),
      Effect.provide(ScannerMemory.layerMemory(virus))
    )
  )

  it.live("ends when all files together have no room for a part", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const [path, other] = [yield* begun(token, 100), yield* begun(token, 100)]
      assert.strictEqual((yield* patch(token, path, 0, randomBytes(80))).status, 204)
      const refused = yield* patch(token, other, 0, randomBytes(80))
      assert.strictEqual(refused.problem.code, "storage-full")
      assert.strictEqual((yield* ask(token, "HEAD", other)).status, 404)
      assert.strictEqual(yield* offsetOf(token, path), 80)
      assert.strictEqual((yield* patch(token, path, 80, randomBytes(20))).status, 204)
    }).pipe(service({ limits: { totalStorageBytes: 150 } }))
  )

  it.live("takes the waveform of a voice note, as the form does", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const http = yield* HttpService
      const waveform = Array.from({ length: 64 }, (_, index) => index)
      const begin = (value: string, size: number) =>
        create(token, size, { "upload-metadata": `waveform ${Buffer.from(value).toString("base64")}` })
      assert.strictEqual((yield* begin("[1,2]", 10)).status, 400)
      const sound = Buffer.concat([
        Buffer.from("OggS\0\x02"),
        Buffer.alloc(22),
        Buffer.from("OpusHead"),
        Buffer.alloc(60)
      ])
      const { headers } = yield* begin(JSON.stringify(waveform), sound.length)
      const path = headers.get("location") ?? ""
      const last = yield* patch(token, path, 0, sound)
      assert.strictEqual(last.status, 204, last.text)
      assert.deepInclude((yield* http.ask(path, { token })).json, { contentType: "audio/ogg; codecs=opus", waveform })
      const text = yield* begin(JSON.stringify(waveform), 4)
      assert.strictEqual((yield* patch(token, text.headers.get("location") ?? "", 0, Buffer.from("text"))).status, 400)
    }).pipe(service())
  )

  it.live("takes any name, and makes it safe", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const http = yield* HttpService
      for (const [name, safe] of [
        ["../a\0b.txt", "ab.txt"],
        ["x".repeat(3000), "x".repeat(200)]
      ] as const) {
        const metadata = `filename ${Buffer.from(name).toString("base64")}`
        const created = yield* create(token, 1, { "upload-metadata": metadata })
        assert.strictEqual(created.status, 201, created.text)
        const path = created.headers.get("location") ?? ""
        yield* patch(token, path, 0, Buffer.from("x"))
        assert.strictEqual((yield* http.ask(path, { token })).json.name, safe)
      }
    }).pipe(service())
  )

  it.live("is a 503 while the store is down, messages go on, and the upload does later", () => {
    const state = { down: false }
    const unwell = Layer.effect(
      Blobs,
      Effect.map(Blobs, (blobs) => {
        const unless = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | Unavailable> =>
          Effect.suspend(
            (): Effect.Effect<A, E | Unavailable> =>
              state.down ? Effect.fail(new Unavailable({ detail: "down" })) : effect
          )
        return Blobs.of({
          ...blobs,
          write: (key, content) => unless(blobs.write(key, content)),
          read: (key, range) => unless(blobs.read(key, range)),
          remove: (keys) => unless(blobs.remove(keys))
        })
      })
    ).pipe(Layer.provide(BlobsMemory.layerMemory))
    return Effect.gen(function* () {
      const http = yield* HttpService
      const { id, token } = yield* newcomer()
      const path = yield* begun(token, 10)
      yield* patch(token, path, 0, Buffer.from("01234"))
      state.down = true
      assert.strictEqual((yield* patch(token, path, 5, Buffer.from("56789"))).status, 503)
      const conversation = yield* http.ask("/v1/conversations", { token, json: { kind: "dm", userId: id } })
      const json = { clientMessageId: "m", body: "hello" }
      const sent = yield* http.ask(`/v1/conversations/${conversation.json.id}/messages`, { token, json })
      assert.strictEqual(sent.status, 201)
      assert.strictEqual(yield* offsetOf(token, path), 5)
      state.down = false
      assert.strictEqual((yield* patch(token, path, 5, Buffer.from("56789"))).status, 204)
      assert.deepInclude((yield* http.ask("/v1/users/me/storage", { token })).json, { files: 1, bytes: 10 })
    }).pipe(
      Effect.provide(
        httpService(HttpRoutes).pipe(
          Layer.provideMerge(Layer.fresh(layerFilesOn(unwell))),
          Layer.provideMerge(fakeServices())
        )
      )
    )
  })
})
