import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import sharp from "sharp"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import * as ImageProcess from "../../src/layers/images/ImageProcess.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as AvatarsMemory from "../../src/testing/memory/Avatars.ts"
import { formOf, png } from "../support/Files.ts"
import { HttpService, httpService, newcomer } from "../support/HttpService.ts"

const service = httpService(HttpRoutes).pipe(
  Layer.provideMerge(Layer.fresh(AvatarsMemory.layerMemory).pipe(Layer.provide(ImageProcess.layer))),
  Layer.provideMerge(fakeServices({ limits: { attachmentBytes: 100_000 } })),
  Layer.provide(NodeServices.layer)
)

const put = Effect.fnUntraced(function* (token: string, bytes: Uint8Array = png, of = "users/me") {
  const { ask } = yield* HttpService
  return yield* ask(`/v1/${of}/avatar`, { method: "PUT", token, body: formOf(bytes) })
})

/** A photo with a place, of which the lower half is blue, that is stored turned. */
const photo = Effect.promise(() =>
  sharp({ create: { width: 300, height: 600, channels: 3, background: "red" } })
    .composite([{ input: { create: { width: 150, height: 600, channels: 3, background: "blue" } }, gravity: "west" }])
    .jpeg()
    .withExif({ IFD3: { GPSLatitude: "52/1 31/1 0/1", GPSLatitudeRef: "N" } })
    .withMetadata({ orientation: 6 })
    .toBuffer()
)

layer(service, { excludeTestServices: true })("an avatar", (it) => {
  it.effect("becomes upright squares without metadata, which everybody may read and keep for ever", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { id, token } = yield* newcomer()
      const changed = yield* put(token, yield* photo)
      assert.strictEqual(changed.status, 200, changed.text)
      const path = String(changed.json.avatarUrl)
      assert.strictEqual((yield* ask(`/v1/users/${id}`, { token })).json.avatarUrl, path)
      for (const [query, size] of [
        ["", 512],
        ["?size=128", 128]
      ] as const) {
        const answer = yield* Effect.promise(() => fetch(url + path + query))
        assert.strictEqual(answer.status, 200)
        const expected = {
          "content-type": "image/webp",
          "cache-control": "public, max-age=31536000, immutable",
          "x-content-type-options": "nosniff",
          "cross-origin-resource-policy": "cross-origin"
        }
        for (const [name, value] of Object.entries(expected)) assert.strictEqual(answer.headers.get(name), value)
        const bytes = Buffer.from(yield* Effect.promise(() => answer.arrayBuffer()))
        const made = yield* Effect.promise(() => sharp(bytes).metadata())
        assert.deepInclude(made, { width: size, height: size, format: "webp" })
        assert.isUndefined(made.exif)
        const top = sharp(bytes).extract({ left: 0, top: 0, width: size, height: size / 4 })
        const { channels } = yield* Effect.promise(async () => sharp(await top.toBuffer()).stats())
        assert.isAbove(channels[2]?.mean ?? 0, 200, "blue is on top")
      }
      const etag = (yield* ask(path)).headers.get("etag") ?? ""
      assert.strictEqual((yield* ask(path, { headers: { "if-none-match": etag } })).status, 304)
      assert.strictEqual((yield* ask(path, { method: "HEAD" })).status, 200)
      assert.strictEqual((yield* ask(`${path}?size=320`)).status, 400)
      assert.strictEqual((yield* ask("/v1/avatars/nonsense")).status, 404)
      assert.strictEqual((yield* ask("/v1/users/me/avatar", { method: "DELETE", token })).status, 204)
      assert.isNull((yield* ask(`/v1/users/${id}`, { token })).json.avatarUrl)
    })
  )

  it.effect("does not make the files of messages public", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const { json } = yield* ask("/v1/attachments", { method: "POST", token, body: formOf(png) })
      assert.strictEqual((yield* ask(`/v1/avatars/${json.id}`)).status, 404)
    })
  )

  it.effect("of a group is set and removed by those who may change the group", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const [owner, member, stranger] = [yield* newcomer(), yield* newcomer(), yield* newcomer()]
      const json = { kind: "group", title: "G", memberIds: [member.id] }
      const { id } = (yield* ask("/v1/conversations", { token: owner.token, json })).json
      const group = `conversations/${id}`
      assert.strictEqual((yield* put(stranger.token, png, group)).status, 404)
      assert.strictEqual((yield* put(member.token, png, group)).status, 403)
      assert.strictEqual((yield* put("", png, group)).status, 401)
      assert.strictEqual((yield* put(owner.token, png, "conversations/nonsense")).status, 404)
      const set = yield* put(owner.token, png, group)
      assert.strictEqual(set.status, 200)
      const path = String(set.json.avatarUrl)
      assert.strictEqual((yield* ask(`/v1/${group}`, { token: member.token })).json.avatarUrl, path)
      const remove = (token: string) => ask(`/v1/${group}/avatar`, { method: "DELETE", token })
      assert.strictEqual((yield* remove(member.token)).status, 403)
      assert.strictEqual((yield* remove(owner.token)).status, 204)
      assert.isNull((yield* ask(`/v1/${group}`, { token: member.token })).json.avatarUrl)
      const dm = yield* ask("/v1/conversations", { token: owner.token, json: { kind: "dm", userId: member.id } })
      assert.strictEqual((yield* put(owner.token, png, `conversations/${dm.json.id}`)).problem.code, "not-a-group")
    })
  )

  it.effect("that is no picture, too large or cut short changes nothing", () =>
    Effect.gen(function* () {
      const { ask, raw } = yield* HttpService
      const { token } = yield* newcomer()
      const path = (yield* put(token)).json.avatarUrl
      assert.strictEqual((yield* put(token, Buffer.from("<svg/>"))).problem.errors?.[0]?.path, "file")
      assert.strictEqual((yield* put(token, Buffer.alloc(0))).status, 400)
      assert.strictEqual((yield* put(token, Buffer.alloc(100_001))).status, 413)
      assert.strictEqual((yield* ask("/v1/users/me/avatar", { method: "PUT", token, json: {} })).status, 415)
      const head = `PUT /v1/users/me/avatar HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\nconnection: close\r\n`
      const type = "content-type: multipart/form-data; boundary=b\r\n"
      const before = '--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
      const body = Buffer.concat([Buffer.from(before), png, Buffer.from("\r\n--b\r\n")])
      assert.match(yield* raw(`${head}${type}content-length: ${body.length}\r\n\r\n`, body), /^HTTP\/1\.1 400 /)
      assert.strictEqual((yield* ask("/v1/users/me", { token })).json.avatarUrl, path)
    })
  )
})
