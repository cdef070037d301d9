import { randomBytes, randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Attachment } from "../../src/domain/Attachment.ts"
import { Unavailable } from "../../src/domain/Problem.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { Blobs } from "../../src/services/files/Blobs.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as AttachmentsMemory from "../../src/testing/memory/Attachments.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import { formOf, png } from "../support/Files.ts"
import { type Ask, fakeService, HttpService, httpService, newcomer } from "../support/HttpService.ts"

const decode = Schema.decodeUnknownSync(Attachment)

const decodeItems = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ id: Schema.String })))

const post = Effect.fnUntraced(function* (token: string, bytes: Uint8Array, name?: string, field?: string) {
  const { ask } = yield* HttpService
  return yield* ask("/v1/attachments", { method: "POST", token, body: formOf(bytes, name, field) })
})

const upload = Effect.fnUntraced(function* (token: string, bytes: Uint8Array = png, name?: string) {
  const answer = yield* post(token, bytes, name)
  assert.strictEqual(answer.status, 201, answer.text)
  return decode(answer.json)
})

type Person = Effect.Success<ReturnType<typeof newcomer>>

/** A group in which the first person has sent a file. */
const groupWith = Effect.fnUntraced(function* (owner: Person, ...members: ReadonlyArray<Person>) {
  const { ask } = yield* HttpService
  const { token } = owner
  const json = { kind: "group", title: "G", memberIds: members.map(({ id }) => id) }
  const id = String((yield* ask("/v1/conversations", { token, json })).json.id)
  const attachment = yield* upload(token, png, "a picture.png")
  const message = { clientMessageId: randomUUID(), body: "", type: "image", attachments: [attachment.id] }
  const sent = yield* ask(`/v1/conversations/${id}/messages`, { token, json: message })
  assert.strictEqual(sent.status, 201, sent.text)
  return { id, attachment }
})

const service = (settings: SettingsOverrides = {}) => Effect.provide(fakeService(settings))

describe("a download", () => {
  it.live("counts for what its user reads, also by a link, and the connection is free again", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const { id, url } = yield* upload(token, randomBytes(4000), "x.bin")
      const link = yield* ask(`/v1/attachments/${id}/link`, { method: "POST", token })
      // More of them than a user may have at a time.
      for (let n = 0; n < 20; n++) assert.strictEqual((yield* ask(url, { token })).status, 200)
      for (const again of [ask(url, { token }), ask(String(link.json.url))]) {
        const refused = yield* again
        assert.deepStrictEqual([refused.status, refused.problem.type], [429, "/problems/rate-limited"])
      }
      assert.strictEqual((yield* ask(url, { token, method: "HEAD" })).status, 200)
    }).pipe(service({ limits: { readBytesPerSecond: 1, readBytesBurst: 9999 } }))
  )

  it.live("has the name that a form can only escape", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const picture = yield* upload(token, png, 'say "100%25"\n.png')
      assert.strictEqual(picture.name, 'say "100%25".png')
      const { headers } = yield* ask(picture.url, { token })
      const encoded = "filename*=UTF-8''say%20%22100%2525%22.png"
      assert.strictEqual(headers.get("content-disposition"), `inline; filename="say _100_25_.png"; ${encoded}`)
    }).pipe(service())
  )

  it.live("has the headers that keep a file from doing harm", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const picture = yield* upload(token, png, "Käse (1)'.png")
      const shown = yield* ask(picture.url, { token })
      assert.strictEqual(shown.status, 200)
      const expected = {
        "content-type": "image/png",
        "content-length": String(png.length),
        "content-disposition": `inline; filename="K_se (1)'.png"; filename*=UTF-8''K%C3%A4se%20%281%29%27.png`,
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-site",
        "cache-control": "private, no-cache",
        "accept-ranges": "bytes"
      }
      for (const [name, value] of Object.entries(expected)) assert.strictEqual(shown.headers.get(name), value)
      assert.match(shown.headers.get("content-security-policy") ?? "", /^sandbox; default-src 'none'/)
      const saved = yield* ask(`${picture.url}?download=1`, { token })
      assert.match(saved.headers.get("content-disposition") ?? "", /^attachment; /)
      const svg = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
      const gifar = Buffer.concat([Buffer.from("PK\u0003\u0004"), Buffer.from("GIF89a")])
      for (const harmful of [svg, "<!doctype html><script>alert(1)</script>", "%PDF-1.7\n", gifar]) {
        const { url } = yield* upload(token, Buffer.from(harmful), "innocent.png")
        const answer = yield* ask(url, { token })
        assert.match(answer.headers.get("content-disposition") ?? "", /^attachment; /)
        assert.notMatch(answer.headers.get("content-type") ?? "", /html|svg/)
      }
    }).pipe(service())
  )

  it.live("gives the part that is asked for, and nothing to a client that has the file", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const { url } = yield* upload(token, Buffer.from("0123456789"))
      const etag = (yield* ask(url, { token })).headers.get("etag") ?? ""
      const get = (headers: Record<string, string>, method = "GET") =>
        Effect.map(ask(url, { token, headers, method }), (answer) => [
          answer.status,
          answer.text,
          answer.headers.get("content-range")
        ])
      assert.deepStrictEqual(yield* get({ range: "bytes=2-4" }), [206, "234", "bytes 2-4/10"])
      assert.deepStrictEqual(yield* get({ range: "bytes=7-" }), [206, "789", "bytes 7-9/10"])
      assert.deepStrictEqual(yield* get({ range: "bytes=-3" }), [206, "789", "bytes 7-9/10"])
      assert.deepStrictEqual(yield* get({ range: "bytes=8-100" }), [206, "89", "bytes 8-9/10"])
      assert.deepStrictEqual(yield* get({ range: "bytes=-100" }), [206, "0123456789", "bytes 0-9/10"])
      for (const range of ["bytes=10-", "bytes=10-12", "bytes=-0"])
        assert.deepStrictEqual(yield* get({ range }), [416, "", "bytes */10"])
      for (const range of ["bytes=4-2", "bytes=x-", "bytes=-", "items=1-2", "bytes=0-1,3-4"])
        assert.deepStrictEqual(yield* get({ range }), [200, "0123456789", null])
      assert.deepStrictEqual(yield* get({ range: "bytes=2-4", "if-range": etag }), [206, "234", "bytes 2-4/10"])
      assert.deepStrictEqual(yield* get({ range: "bytes=2-4", "if-range": '"old"' }), [200, "0123456789", null])
      for (const known of [etag, `W/${etag}`, `"old", ${etag}`, "*"])
        assert.deepStrictEqual(yield* get({ "if-none-match": known }), [304, "", null])
      assert.deepStrictEqual(yield* get({ "if-none-match": '"old"' }), [200, "0123456789", null])
      assert.deepStrictEqual(yield* get({}, "HEAD"), [200, "", null])
      assert.deepStrictEqual(yield* get({ range: "bytes=2-4" }, "HEAD"), [206, "", "bytes 2-4/10"])
    }).pipe(service())
  )

  it.live("is for those who see the message now, with a token or by a link of their own", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const [owner, member, former, stranger] = [
        yield* newcomer(),
        yield* newcomer(),
        yield* newcomer(),
        yield* newcomer()
      ]
      const { attachment, id } = yield* groupWith(owner, member, former)
      const link = (token: string) => ask(`${attachment.url}/link`, { method: "POST", token })
      const linkOfFormer = String((yield* link(former.token)).json.url)
      assert.strictEqual((yield* ask(linkOfFormer)).status, 200)
      const removal = { method: "DELETE", token: owner.token }
      assert.strictEqual((yield* ask(`/v1/conversations/${id}/members/${former.id}`, removal)).status, 204)
      const ways: ReadonlyArray<Ask> = [{}, { method: "HEAD" }, { headers: { range: "bytes=0-0" } }]
      for (const { token } of [owner, member])
        for (const way of ways) assert.oneOf((yield* ask(attachment.url, { ...way, token })).status, [200, 206])
      for (const { token } of [former, stranger])
        for (const way of ways) assert.strictEqual((yield* ask(attachment.url, { ...way, token })).status, 404)
      for (const way of ways) {
        assert.strictEqual((yield* ask(linkOfFormer, way)).status, 404)
        assert.strictEqual((yield* ask(attachment.url, way)).status, 401)
      }
      assert.strictEqual((yield* link(former.token)).status, 404)
      assert.strictEqual((yield* link(stranger.token)).status, 404)
      const linkOfMember = String((yield* link(member.token)).json.url)
      for (const way of ways) assert.oneOf((yield* ask(linkOfMember, way)).status, [200, 206])
      assert.strictEqual((yield* ask(`${attachment.url}?link=nonsense`)).status, 404)
      assert.strictEqual((yield* ask("/v1/attachments/nonsense", { token: owner.token })).status, 404)
      assert.strictEqual((yield* ask(`${attachment.url}?download=7`, { token: owner.token })).status, 400)
    }).pipe(service())
  )
})

describe("an upload", () => {
  it.live("of a sound may have a waveform, which is checked", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const ogg = Buffer.concat([Buffer.from("OggS"), Buffer.alloc(24), Buffer.from("\u0001vorbis"), Buffer.alloc(100)])
      const send = (waveform: unknown, bytes: Uint8Array = ogg) => {
        const form = new FormData()
        form.append("waveform", JSON.stringify(waveform))
        form.append("file", new Blob([Uint8Array.from(bytes)]), "note.ogg")
        return ask("/v1/attachments", { method: "POST", token, body: form })
      }
      const waveform = Array.from({ length: 64 }, (_, n) => n)
      const sent = yield* send(waveform)
      assert.strictEqual(sent.status, 201, sent.text)
      assert.deepStrictEqual(decode(sent.json).waveform, waveform)
      assert.notProperty(yield* upload(token), "waveform")
      for (const wrong of [
        waveform.slice(1),
        [...waveform, 1],
        waveform.map((n) => n + 50),
        waveform.map(String),
        "x",
        {}
      ])
        assert.strictEqual((yield* send(wrong)).problem.errors?.[0]?.path, "waveform")
      assert.strictEqual((yield* send(waveform, png)).problem.errors?.[0]?.path, "waveform")
      assert.deepInclude((yield* ask("/v1/users/me/storage", { token })).json, { files: 2 })
    }).pipe(service())
  )

  it.live("that is no form with a file is refused", () =>
    Effect.gen(function* () {
      const { ask, raw } = yield* HttpService
      const { token } = yield* newcomer()
      assert.strictEqual((yield* post("", png)).status, 401)
      assert.strictEqual((yield* post(token, png, "x", "other")).status, 400)
      assert.strictEqual((yield* post(token, Buffer.alloc(0))).problem.errors?.[0]?.path, "file")
      assert.strictEqual((yield* ask("/v1/attachments", { token, json: {} })).status, 415)
      const fields = new FormData()
      fields.append("file", "a text")
      assert.strictEqual((yield* ask("/v1/attachments", { method: "POST", token, body: fields })).status, 400)
      const head = `POST /v1/attachments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\nconnection: close\r\n`
      const body = '--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nhalf'
      const type = "content-type: multipart/form-data; boundary=b\r\n"
      const short = `${head}${type}content-length: ${body.length}\r\n\r\n${body}`
      assert.match(yield* raw(short), /^HTTP\/1\.1 400 /)
      const noBoundary = `${head}content-type: multipart/form-data\r\ncontent-length: 4\r\n\r\nhalf`
      assert.match(yield* raw(noBoundary), /^HTTP\/1\.1 (400|415) /)
      const used = yield* ask("/v1/users/me/storage", { token })
      assert.deepInclude(used.json, { files: 0, bytes: 0 })
    }).pipe(service())
  )

  it.live("that is too large is refused by its length before it is read, and else when it is", () =>
    Effect.gen(function* () {
      const { raw } = yield* HttpService
      const { token } = yield* newcomer()
      const head = `POST /v1/attachments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: multipart/form-data; boundary=b\r\nconnection: close\r\n`
      assert.match(yield* raw(`${head}content-length: 26214400\r\n\r\n`), /^HTTP\/1\.1 413 /)
      assert.strictEqual((yield* post(token, randomBytes(1001))).status, 413)
      yield* upload(token, randomBytes(1000))
    }).pipe(service({ limits: { attachmentBytes: 1000 } }))
  )

  it.live("over the limit of the user is refused, until a file is deleted", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const person = yield* newcomer()
      const { token } = person
      const { id } = yield* groupWith(person)
      const full = yield* post(token, randomBytes(100))
      assert.strictEqual(full.status, 409)
      assert.strictEqual(full.problem.code, "storage-full")
      const used = yield* ask("/v1/users/me/storage", { token })
      assert.deepStrictEqual(used.json, { files: 1, bytes: png.length, limit: 150 })
      const { items } = (yield* ask(`/v1/conversations/${id}/messages`, { token })).json
      const [message] = decodeItems(items)
      yield* ask(`/v1/conversations/${id}/messages/${message?.id}`, { method: "DELETE", token })
      yield* upload(token, randomBytes(100))
    }).pipe(service({ limits: { storageBytes: 150 } }))
  )

  it.live("of a guest has less room, and guests delete themselves without a password", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const person = yield* newcomer()
      const { id } = yield* groupWith(person)
      const json = { guests: true }
      const { code } = (yield* ask(`/v1/conversations/${id}/invites`, { token: person.token, json })).json
      const joined = yield* ask(`/v1/invites/${code}/guest`, { json: { displayName: "Gus" } })
      const token = String(joined.json.accessToken)
      yield* upload(token, randomBytes(100))
      const headers = { "tus-resumable": "1.0.0", "upload-length": "51" }
      const begun = ask("/v1/uploads", { method: "POST", token, headers })
      for (const full of [yield* post(token, randomBytes(51)), yield* begun])
        assert.deepStrictEqual([full.status, full.problem.code], [409, "storage-full"], full.text)
      yield* upload(person.token, randomBytes(200))
      const remove = (of: string) => ask("/v1/users/me", { method: "DELETE", token: of, json: {} })
      assert.strictEqual((yield* remove(person.token)).status, 400)
      assert.strictEqual((yield* remove(token)).status, 204)
      assert.strictEqual((yield* ask("/v1/users/me", { token })).status, 401)
    }).pipe(service({ limits: { guestStorageBytes: 150 } }))
  )

  it.live("may take longer than other requests", () =>
    Effect.gen(function* () {
      const { url } = yield* HttpService
      const { token } = yield* newcomer()
      const slowly = async function* () {
        yield Buffer.from('--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nfirst ')
        // Longer than `timers.request`, by which any other request is over.
        await new Promise((go) => setTimeout(go, 1000))
        yield Buffer.from("last\r\n--b--\r\n")
      }
      const headers = { authorization: `Bearer ${token}`, "content-type": "multipart/form-data; boundary=b" }
      const answer = yield* Effect.promise(() =>
        fetch(`${url}/v1/attachments`, { method: "POST", headers, body: slowly(), duplex: "half" })
      )
      assert.strictEqual(answer.status, 201)
    }).pipe(service({ timers: { requestHeaders: 200, request: 300 } }))
  )

  it.live("has the time of an upload only until it is answered, and few parts", () =>
    Effect.gen(function* () {
      const { ask, raw } = yield* HttpService
      const form = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b"
      const refused = yield* raw(`POST /v1/attachments HTTP/1.1\r\nHost: x\r\n${form}`)
      assert.match(refused, /^HTTP\/1\.1 401 /)
      assert.match(yield* raw(`POST /v1/attachments/x HTTP/1.1\r\nHost: x\r\n${form}`), /HTTP\/1\.1 4(04|05|08) /)
      const { token } = yield* newcomer()
      const fields = '--b\r\ncontent-disposition: form-data; name="z"\r\n\r\n\r\n'.repeat(9)
      const many = yield* ask("/v1/attachments", {
        method: "POST",
        token,
        headers: { "content-type": "multipart/form-data; boundary=b" },
        body: `${fields}--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--b--\r\n`
      })
      assert.strictEqual(many.status, 400)
    }).pipe(service({ timers: { requestHeaders: 200, request: 300 } }))
  )

  it.live("is a 503 while the store is down, and messages go on", () => {
    const down = Effect.fail(new Unavailable({ detail: "down" }))
    const broken = Layer.succeed(
      Blobs,
      Blobs.of({ place: "nowhere", write: () => down, read: () => down, remove: () => down, probe: down })
    )
    return Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { id, token } = yield* newcomer()
      assert.strictEqual((yield* post(token, png)).status, 503)
      const conversation = yield* ask("/v1/conversations", { token, json: { kind: "dm", userId: id } })
      const json = { clientMessageId: "m", body: "hello" }
      const sent = yield* ask(`/v1/conversations/${conversation.json.id}/messages`, { token, json })
      assert.strictEqual(sent.status, 201)
      assert.deepInclude((yield* ask("/v1/users/me/storage", { token })).json, { files: 0 })
    }).pipe(
      Effect.provide(
        httpService(HttpRoutes).pipe(
          Layer.provideMerge(Layer.fresh(AttachmentsMemory.layerMemory).pipe(Layer.provide(broken))),
          Layer.provideMerge(fakeServices())
        )
      )
    )
  })

  it.live("of one user at a time are limited", () =>
    Effect.gen(function* () {
      const { url } = yield* HttpService
      const { token } = yield* newcomer()
      const headers = { authorization: `Bearer ${token}`, "content-type": "multipart/form-data; boundary=b" }
      let go = () => {}
      const held = new Promise<void>((resolve) => {
        go = resolve
      })
      const body = async function* () {
        yield Buffer.from('--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nfirst ')
        await held
        yield Buffer.from("last\r\n--b--\r\n")
      }
      const first = fetch(`${url}/v1/attachments`, { method: "POST", headers, body: body(), duplex: "half" })
      const refused = post(token, png).pipe(Effect.repeat({ until: ({ status }) => status === 429 }))
      assert.strictEqual((yield* refused).status, 429)
      go()
      assert.strictEqual((yield* Effect.promise(() => first)).status, 201)
      yield* upload(token)
    }).pipe(service({ limits: { uploadsPerUser: 1 } }))
  )
})
