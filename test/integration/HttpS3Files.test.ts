import { createHash, randomBytes } from "node:crypto"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Unavailable } from "../../src/domain/Problem.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import * as S3Blobs from "../../src/layers/blobs/S3Blobs.ts"
import { Blobs } from "../../src/services/files/Blobs.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as BlobsMemory from "../../src/testing/memory/Blobs.ts"
import { layerFilesOn } from "../../src/testing/memory/layer.ts"
import { formOf, png } from "../support/Files.ts"
import { HttpService, httpService, newcomer } from "../support/HttpService.ts"
import { startLaxS3 } from "../support/S3.ts"

const page = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "chat-web-"))
    writeFileSync(join(folder, "index.html"), "<title>Chat</title>")
    return folder
  }),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** The service with a page, and its files in an S3, with which URLs are presigned or not. */
const onS3 = (presigned: boolean) =>
  Layer.unwrap(
    Effect.map(Effect.all([startLaxS3, page]), ([settings, web]) =>
      httpService(HttpRoutes).pipe(
        Layer.provideMerge(Layer.fresh(layerFilesOn(S3Blobs.layer({ ...settings, presigned })))),
        Layer.provideMerge(fakeServices({ server: { web } }))
      )
    )
  )

/** A request with the headers of the service only, whose redirect is not followed. */
const look = (path: string, token: string, method = "GET") =>
  HttpService.use(({ url }) =>
    Effect.promise(() =>
      fetch(url + path, {
        method,
        redirect: "manual",
        headers: token === "" ? {} : { authorization: `Bearer ${token}` }
      })
    )
  )

const read = (url: string, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const answer = await fetch(url, { headers })
    return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) }
  })

const upload = Effect.fnUntraced(function* (token: string, bytes: Uint8Array, name: string) {
  const { ask } = yield* HttpService
  const { json, status } = yield* ask("/v1/attachments", { method: "POST", token, body: formOf(bytes, name) })
  assert.strictEqual(status, 201)
  return String(json.id)
})

describe("files in an S3", () => {
  it.live(
    "with presigned URLs are read from it, by who may see them, with the type and the disposition of the service",
    () =>
      Effect.gen(function* () {
        const { ask, url } = yield* HttpService
        const { token } = yield* newcomer()
        const other = yield* newcomer()
        const id = yield* upload(token, png, 'Käse "1".png')
        const path = `/v1/attachments/${id}`
        const redirect = yield* look(path, token)
        assert.strictEqual(redirect.status, 307)
        assert.strictEqual(redirect.headers.get("cache-control"), "private, no-store")
        const policy = (yield* look("/", "")).headers.get("content-security-policy") ?? ""
        const location = new URL(redirect.headers.get("location") ?? "")
        assert.strictEqual(location.searchParams.get("X-Amz-Expires"), "60")
        assert.include(policy.split("; "), `img-src 'self' data: blob: ${location.origin}`)
        const file = yield* read(location.href)
        assert.strictEqual(file.status, 200, file.bytes.toString())
        assert.isTrue(png.equals(file.bytes))
        assert.strictEqual(file.headers.get("content-type"), "image/png")
        assert.match(file.headers.get("content-disposition") ?? "", /^inline; .*filename\*=UTF-8''K%C3%A4se/)
        const part = yield* read(location.href, { range: "bytes=1-3" })
        assert.deepStrictEqual([part.status, part.bytes.toString()], [206, "PNG"])

        const saved = new URL((yield* look(`${path}?download=1`, token)).headers.get("location") ?? "")
        assert.match((yield* read(saved.href)).headers.get("content-disposition") ?? "", /^attachment;/)
        const html = yield* upload(token, Buffer.from("<html><script>alert(1)</script></html>"), "a.html")
        const unsafe = yield* read((yield* look(`/v1/attachments/${html}`, token)).headers.get("location") ?? "")
        assert.strictEqual(unsafe.headers.get("content-type"), "application/octet-stream")
        assert.match(unsafe.headers.get("content-disposition") ?? "", /^attachment;/)

        const followed = yield* read(url + path, { authorization: `Bearer ${token}` })
        assert.isTrue(png.equals(followed.bytes), "fetch drops the token at the redirect")
        const link = yield* ask(`${path}/link`, { method: "POST", token })
        assert.strictEqual((yield* look(String(link.json.url), "")).status, 307)
        assert.isTrue(png.equals((yield* read(url + String(link.json.url))).bytes))
        const head = yield* look(path, token, "HEAD")
        assert.deepStrictEqual([head.status, head.headers.get("content-length")], [200, String(png.length)])
        for (const each of ["", "?download=1"]) assert.strictEqual((yield* look(path + each, other.token)).status, 404)
      }).pipe(Effect.provide(onS3(true)))
  )

  it.live("are allowed by the policy of the page when the store says its origin, also if it does so late", () => {
    const state = { up: false }
    const late = Layer.effect(
      Blobs,
      Effect.map(Blobs, (blobs) =>
        Blobs.of({
          ...blobs,
          presign: () =>
            Effect.suspend(() =>
              state.up ? Effect.succeed("https://store.example/x") : Effect.fail(new Unavailable({ detail: "down" }))
            )
        })
      )
    ).pipe(Layer.provide(BlobsMemory.layerMemory))
    const policy = Effect.map(look("/", ""), ({ headers }) => headers.get("content-security-policy") ?? "")
    return Effect.gen(function* () {
      assert.notInclude(yield* policy, "store.example")
      state.up = true
      assert.include(yield* policy, "img-src 'self' data: blob: https://store.example;")
      state.up = false
      assert.include(yield* policy, "https://store.example")
    }).pipe(
      Effect.provide(
        Layer.unwrap(
          Effect.map(page, (web) =>
            httpService(HttpRoutes).pipe(
              Layer.provideMerge(Layer.fresh(layerFilesOn(late))),
              Layer.provideMerge(fakeServices({ server: { web } }))
            )
          )
        )
      )
    )
  })

  it.live("are read through the service without that", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const answer = yield* look(`/v1/attachments/${yield* upload(token, png, "a.png")}`, token)
      assert.strictEqual(answer.status, 200)
      assert.isTrue(png.equals(Buffer.from(yield* Effect.promise(() => answer.arrayBuffer()))))
    }).pipe(Effect.provide(onS3(false)))
  )

  it.live("are uploaded in parts of any size by tus, and are the same at the end", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { token } = yield* newcomer()
      const bytes = randomBytes(13_000_000)
      const version = { "tus-resumable": "1.0.0" }
      const created = yield* ask("/v1/uploads", {
        method: "POST",
        token,
        headers: { ...version, "upload-length": String(bytes.length) }
      })
      const path = created.headers.get("location") ?? ""
      let at = 0
      for (const size of [1, 6_000_000, 7, 5_242_880, bytes.length]) {
        const added = yield* ask(path, {
          method: "PATCH",
          token,
          headers: { ...version, "content-type": "application/offset+octet-stream", "upload-offset": String(at) },
          body: Uint8Array.from(bytes.subarray(at, at + size))
        })
        assert.strictEqual(added.status, 204, added.text)
        at = Number(added.headers.get("upload-offset"))
      }
      assert.strictEqual(at, bytes.length)
      const { json } = yield* ask(path, { token })
      const file = yield* read(url + String(json.url), { authorization: `Bearer ${token}` })
      const sumOf = (content: Uint8Array) => createHash("sha256").update(content).digest("hex")
      assert.strictEqual(sumOf(file.bytes), sumOf(bytes))
    }).pipe(Effect.provide(onS3(false)))
  )
})
