import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpRouter } from "effect/http"
import * as fc from "fast-check"
import { Problem, Unavailable } from "../../src/domain/Problem.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { Conversations } from "../../src/services/conversations/Conversations.ts"
import { Members } from "../../src/services/conversations/Members.ts"
import { ReadMarkers } from "../../src/services/conversations/ReadMarkers.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import { type Ask, fakeService, HttpService, httpService, newcomer } from "../support/HttpService.ts"

const types: Record<number, string> = {
  400: "/problems/invalid-request",
  401: "/problems/unauthenticated",
  403: "/problems/forbidden",
  404: "/problems/not-found",
  405: "/problems/method-not-allowed",
  409: "/problems/conflict",
  413: "/problems/too-large",
  415: "/problems/unsupported-media-type",
  429: "/problems/rate-limited",
  500: "/problems/internal",
  503: "/problems/unavailable"
}

/** Makes a request, and checks what every problem has in common. */
const refused = Effect.fnUntraced(function* (status: number, path: string, ask?: Ask) {
  const service = yield* HttpService
  const answer = yield* service.ask(path, ask)
  assert.strictEqual(answer.status, status, answer.text)
  assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
  const { problem } = answer
  assert.strictEqual(problem.type, types[status])
  assert.strictEqual(problem.status, status)
  assert.strictEqual(problem.requestId, answer.headers.get("x-request-id"))
  assert.notStrictEqual(problem.title, "")
  return { ...answer, problem }
})

const deep = (depth: number, value = "1") => `${"[".repeat(depth)}${value}${"]".repeat(depth)}`
const jsonType = { "content-type": "application/json" }
const register = "/v1/auth/register"

layer(fakeService({ limits: { requestBytes: 20_000, jsonDepth: 32, jsonKeys: 50 } }), { excludeTestServices: true })(
  (it) => {
    describe("bodies", () => {
      it.effect("with invalid fields are answered with the path of each field, and no value", () =>
        Effect.gen(function* () {
          const { problem, text } = yield* refused(400, register, {
            json: { email: "nobody", username: "No Good", password: 123_456, avatarUrl: "javascript:alert(1)" }
          })
          assert.deepStrictEqual(problem.errors?.map(({ path }) => path).sort(), [
            "avatarUrl",
            "displayName",
            "email",
            "password",
            "username"
          ])
          assert.notInclude(text, "123456")
          assert.include(problem.detail ?? "", "email")
        })
      )

      it.effect("with invalid items are answered with the places of the first few, or of the first of very many", () =>
        Effect.gen(function* () {
          const { token } = yield* newcomer()
          const group = { kind: "group", title: "Us" }
          const one = yield* refused(400, "/v1/conversations", { token, json: { ...group, memberIds: [5] } })
          assert.deepStrictEqual(
            one.problem.errors?.map(({ path }) => path),
            ["memberIds.0"]
          )
          for (const [length, reported] of [
            [100, 20],
            [2000, 1]
          ] as const) {
            const memberIds = Array.from({ length }, () => 5)
            const many = yield* refused(400, "/v1/conversations", { token, json: { ...group, memberIds } })
            assert.strictEqual(many.problem.errors?.length, reported)
          }
        })
      )

      for (const [name, body] of Object.entries({
        nothing: "",
        "broken JSON": '{"login":',
        "two values": "{} {}",
        "a number": "5",
        null: "null",
        "a list": "[]",
        "invalid UTF-8": Uint8Array.from([0x22, 0xff, 0xfe, 0x22]),
        "a NUL": '{"login":"a\\u0000b","password":"x"}',
        "a lone surrogate": '{"login":"\\ud800","password":"x"}',
        "10,000 levels": deep(10_000).slice(0, 19_990),
        "10,000 levels in a field": `{"login":${deep(9000)},"password":"x"}`,
        "33 levels in a field that nobody reads": `{"login":"a","password":"b","more":${deep(32)}}`
      })) {
        it.effect(`that are ${name} get a 400`, () =>
          refused(400, "/v1/auth/login", { method: "POST", body, headers: jsonType })
        )
      }

      it.effect("may nest as deep as the limit, and brackets inside texts do not count", () =>
        Effect.gen(function* () {
          const more = `${deep(31)},"text":"${"[{".repeat(100)}\\"${"[".repeat(100)}"`
          const body = `{"login":"a","password":"b","more":${more}}`
          yield* refused(401, "/v1/auth/login", { method: "POST", body, headers: jsonType })
        })
      )

      it.effect("have as many fields as the limit, and colons inside texts do not count", () =>
        Effect.gen(function* () {
          const fields = (count: number) =>
            `{"login":"a","password":"b","more":${JSON.stringify(Object.fromEntries(Array.from({ length: count - 3 }, (_, n) => [n, ":::::"])))}}`
          const ask = (body: string) => ({ method: "POST", body, headers: jsonType })
          yield* refused(401, "/v1/auth/login", ask(fields(50)))
          const { problem } = yield* refused(400, "/v1/auth/login", ask(fields(51)))
          assert.deepStrictEqual(problem.errors, [{ path: "", message: "must have at most 50 fields" }])
        })
      )

      it.effect("of another content type or encoding get a 415", () =>
        Effect.gen(function* () {
          const body = "{}"
          for (const headers of [
            { "content-type": "text/plain" },
            { "content-type": "application/x-www-form-urlencoded" },
            { "content-type": "multipart/form-data; boundary=x" },
            { "content-type": "application/jsonx" },
            { ...jsonType, "content-encoding": "gzip" }
          ]) {
            yield* refused(415, register, { method: "POST", body, headers })
          }
          yield* refused(400, register, {
            method: "POST",
            body,
            headers: { "content-type": "Application/JSON; charset=utf-8" }
          })
        })
      )

      it.effect("that are too large get a 413, with or without a length", () =>
        Effect.gen(function* () {
          const { raw } = yield* HttpService
          const large = JSON.stringify({ login: "a".repeat(30_000), password: "b" })
          yield* refused(413, "/v1/auth/login", { method: "POST", body: large, headers: jsonType })
          // The body is announced but never sent, and the answer does not wait for it.
          const answer = yield* raw(
            `POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5000000000\r\n\r\n{`
          )
          assert.match(answer, /^HTTP\/1\.1 413 /)
          const expecting = yield* raw(
            `POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n`
          )
          assert.match(expecting, /^HTTP\/1\.1 413 /)
          // The body comes in chunks, without a length and without an end.
          const chunk = `1000\r\n${"a".repeat(0x1000)}\r\n`
          const chunked = yield* raw(
            `POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
            ...Array.from({ length: 200 }, () => chunk)
          )
          assert.match(chunked, /^HTTP\/1\.1 413 /)
          assert.include(chunked, "/problems/too-large")
        })
      )

      it.effect("may have unknown fields, which are ignored", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const { id, token } = yield* newcomer()
          const body = `{"displayName":"New","id":"x","username":"root","email":"x@y","createdAt":"z","role":"owner",
          "__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}`
          const changed = yield* ask("/v1/users/me", { method: "PATCH", token, body, headers: jsonType })
          assert.strictEqual(changed.status, 200)
          assert.strictEqual(changed.json.id, id)
          assert.strictEqual(changed.json.displayName, "New")
          assert.notStrictEqual(changed.json.username, "root")
          assert.isFalse("polluted" in {})
          assert.deepStrictEqual(Object.keys(changed.json).sort(), [
            "avatarUrl",
            "createdAt",
            "displayName",
            "email",
            "id",
            "kind",
            "username",
            "whoMayAddMe"
          ])
        })
      )

      it.effect("of random JSON never get a 500", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const { token } = yield* newcomer()
          const targets = [
            ["POST", register],
            ["POST", "/v1/auth/login"],
            ["POST", "/v1/auth/refresh"],
            ["POST", "/v1/auth/password"],
            ["PATCH", "/v1/users/me"],
            ["POST", "/v1/conversations"],
            ["POST", "/v1/conversations/x/messages"],
            ["PUT", "/v1/conversations/x/read"],
            ["POST", "/v1/conversations/x/typing"]
          ] as const
          const keys = fc.constantFrom(
            ..."email username displayName password avatarUrl login refreshToken currentPassword newPassword".split(
              " "
            ),
            ..."kind userId title memberIds clientMessageId body replyTo attachments type seq force state".split(" "),
            "__proto__",
            "constructor"
          )
          const text = fc.oneof(
            fc.string({ unit: "binary" }),
            fc.constantFrom("", "\u0000", "dm", "group", "text", "system", "a@b", "\ud800", "ann", "🙂".repeat(200))
          )
          const value = fc.oneof(text, fc.jsonValue(), fc.double(), fc.maxSafeInteger(), fc.array(text))
          const body = fc.oneof(
            {
              weight: 4,
              arbitrary: fc.dictionary(keys, value, { noNullPrototype: false }).map((o) => JSON.stringify(o))
            },
            { weight: 1, arbitrary: fc.json() },
            { weight: 1, arbitrary: fc.string() },
            { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Uint8Array.from(bytes)) }
          )
          const tries = fc.sample(fc.tuple(fc.constantFrom(...targets), body), 400)
          yield* Effect.forEach(
            tries,
            ([[method, path], body]) =>
              Effect.map(ask(path, { method, token, body, headers: jsonType }), ({ status, text }) => {
                assert.isBelow(status, 500, `${method} ${path} ${String(body)} → ${text}`)
              }),
            { concurrency: 4, discard: true }
          )
          assert.strictEqual((yield* ask("/health")).status, 200)
        })
      )
    })

    describe("queries and paths", () => {
      it.effect("with an invalid parameter are answered with its name", () =>
        Effect.gen(function* () {
          const { token } = yield* newcomer()
          const wrong = Effect.fnUntraced(function* (path: string) {
            const { problem } = yield* refused(400, path, { token })
            return problem.errors?.map((error) => error.path)
          })
          for (const limit of ["0", "201", "-1", "1.5", "ten", "1e9", "", "1&limit=2"]) {
            assert.deepStrictEqual(yield* wrong(`/v1/conversations?limit=${limit}`), ["limit"], limit)
          }
          assert.deepStrictEqual(yield* wrong("/v1/users?query=a&limit=999"), ["limit"])
          assert.deepStrictEqual(yield* wrong("/v1/conversations/x/messages?limit=201"), ["limit"])
          assert.deepStrictEqual(yield* wrong("/v1/conversations/x/events?limit=201"), ["limit"])
          assert.deepStrictEqual(yield* wrong("/v1/conversations/x/messages?before=-1&after=b"), ["before", "after"])
          assert.deepStrictEqual(yield* wrong("/v1/users"), ["query"])
          assert.deepStrictEqual(yield* wrong("/v1/users?query=%00"), ["query"])
          for (const cursor of ["x", "", "%F0%9F%99%82", "eyJhIjoxfQ", "A".repeat(1000)]) {
            assert.deepStrictEqual(yield* wrong(`/v1/conversations?cursor=${cursor}`), ["cursor"], cursor)
            assert.deepStrictEqual(yield* wrong(`/v1/users?query=a&cursor=${cursor}`), ["cursor"], cursor)
          }
        })
      )

      it.effect("of the root and of problem types lead to a page", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const root = yield* ask("/")
          assert.deepStrictEqual([root.status, root.headers.get("location")], [302, "/docs"])
          for (const { fields } of Problem.members) {
            const type = fields.type.schema.literal
            const page = yield* ask(type)
            assert.strictEqual(page.status, 200)
            assert.strictEqual(page.headers.get("content-type"), "text/html; charset=utf-8")
            assert.include(page.headers.get("content-security-policy"), "style-src")
            const { json } = yield* ask(type, { headers: { accept: "application/json" } })
            assert.deepStrictEqual(Object.keys(json), ["type", "title", "status", "description"])
            assert.strictEqual(json.type, type)
            assert.include(page.text, String(json.title))
            assert.include(page.text, String(json.description))
            assert.include(page.text, `status ${String(json.status)}`)
          }
          yield* refused(404, "/problems/nothing")
        })
      )

      it.effect("of no route get a 404 in the same form", () =>
        Effect.gen(function* () {
          for (const path of ["/v1", "/v1/nothing", "/v2/users/me", "/V1/users/me", `/v1/users/${"a".repeat(500)}`]) {
            yield* refused(404, path)
          }
        })
      )

      it.effect("with invalid percent-encoding get a 400", () =>
        Effect.gen(function* () {
          const { raw } = yield* HttpService
          for (const path of ["/v1/users/%zz", "/v1/users/%ff", "/%"]) {
            const answer = yield* raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
            assert.match(answer, /^HTTP\/1\.1 400 /, path)
            assert.include(answer, "/problems/invalid-request")
          }
        })
      )

      it.effect("with a malformed id get the same answer as with an unknown id", () =>
        Effect.gen(function* () {
          const { token } = yield* newcomer()
          const unknown = yield* refused(404, "/v1/users/01a20399-0000-7000-8000-000000000000", { token })
          const impossible = yield* refused(404, "/v1/users/%00'%22--", { token })
          const same = ({ problem: { requestId: _, ...problem } }: typeof unknown) => problem
          assert.deepStrictEqual(same(impossible), same(unknown))
        })
      )
    })

    describe("methods", () => {
      it.effect("that a path does not have get a 405 with those that it has", () =>
        Effect.gen(function* () {
          const { headers } = yield* refused(405, "/v1/users/me", { method: "PUT" })
          assert.strictEqual(headers.get("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH")
          assert.strictEqual((yield* refused(405, "/v1/auth/login")).headers.get("allow"), "OPTIONS, POST")
          assert.strictEqual(
            (yield* refused(405, "/health", { method: "PUT" })).headers.get("allow"),
            "GET, HEAD, OPTIONS"
          )
          assert.strictEqual(
            (yield* refused(405, "/docs", { method: "PUT" })).headers.get("allow"),
            "GET, HEAD, OPTIONS"
          )
          const { raw } = yield* HttpService
          for (const method of ["TRACE", "PROPFIND"]) {
            const answer = yield* raw(`${method} /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
            assert.match(answer, /^HTTP\/1\.1 405 /)
          }
        })
      )

      it.effect("HEAD is GET without the body, and OPTIONS lists the methods", () =>
        Effect.gen(function* () {
          const { ask } = yield* HttpService
          const head = yield* ask("/health", { method: "HEAD" })
          assert.deepStrictEqual([head.status, head.text, head.headers.get("content-length")], [200, "", "15"])
          const options = yield* ask("/v1/users/me", { method: "OPTIONS" })
          assert.deepStrictEqual(
            [options.status, options.headers.get("allow")],
            [204, "DELETE, GET, HEAD, OPTIONS, PATCH"]
          )
        })
      )
    })

    describe("a request that HTTP cannot parse", () => {
      it.effect("is answered in the same form", () =>
        Effect.gen(function* () {
          const { raw } = yield* HttpService
          const expected: ReadonlyArray<readonly [string, number]> = [
            [`GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
            [`GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${"a".repeat(20_000)}\r\n\r\n`, 431],
            ["GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n", 400],
            ["hello\r\n\r\n", 400],
            [
              "POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
              400
            ],
            ["GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
            ["GET /health HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\nConnection: close\r\n\r\n", 417]
          ]
          for (const [request, status] of expected) {
            const answer = yield* raw(request)
            const [head = "", body = ""] = answer.split("\r\n\r\n")
            assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `), request.slice(0, 80))
            assert.match(head, /content-type: application\/problem\+json/)
            const id = /^x-request-id: (.+)$/m.exec(head)?.[1]?.trim()
            assert.include(body, `"requestId":"${id}"`)
            assert.include(body, `"status":${status}`)
          }
        })
      )

      it.effect("is not one of HTTP/1.0 without a host", () =>
        Effect.gen(function* () {
          const { raw } = yield* HttpService
          assert.match(yield* raw("GET /health HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /)
        })
      )
    })
  }
)

const planted = "correct horse battery staple"

const Broken = httpService(
  Layer.mergeAll(
    HttpRoutes,
    HttpRouter.add("GET", "/broken", Effect.die(new Error("a bug in a route"))),
    HttpRouter.add("GET", "/busy", Effect.fail(new Unavailable({ detail: "Later" })))
  ).pipe(
    Layer.provide([
      Layer.mock(ReadMarkers)({ unread: () => Effect.die(new Error("a bug in a service")) }),
      Layer.mock(Conversations)({ list: () => Effect.fail(new Unavailable({ detail: "down" })) }),
      // The service answers with something that the Schema does not allow.
      Layer.mock(Members)({ list: () => Effect.succeed({ items: [{ unexpected: planted }] } as never) })
    ])
  )
).pipe(Layer.provideMerge(fakeServices()))

layer(Broken, { excludeTestServices: true })("bugs", (it) => {
  it.effect("get a 500 with the id of the log line that has the cause", () =>
    Effect.gen(function* () {
      const { log } = yield* HttpService
      const { token } = yield* newcomer()
      for (const [path, route, cause] of [
        ["/broken?token=secret", "/broken", "a bug in a route"],
        ["/v1/users/me/unread", "/v1/users/me/unread", "a bug in a service"],
        ["/v1/conversations/x/members", "/v1/conversations/:conversationId/members", "HttpApiSchemaError"]
      ] as const) {
        const { problem, text } = yield* refused(500, path, { token })
        assert.deepStrictEqual(Object.keys(problem).sort(), ["id", "requestId", "status", "title", "type"])
        assert.notInclude(text, "bug")
        const lines = log.filter(({ requestId }) => requestId === problem.id)
        assert.strictEqual(lines.length, 1)
        const [line] = lines
        assert.deepStrictEqual([line?.level, line?.status, line?.route], ["ERROR", 500, route])
        assert.include(String(line?.cause), cause)
        assert.notInclude(JSON.stringify(line), planted)
        assert.notInclude(JSON.stringify(line), "secret")
      }
    })
  )

  it.effect("a dependency that is down gets a 503 with the time to wait", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      for (const path of ["/busy", "/v1/conversations"]) {
        const { headers } = yield* refused(503, path, { token })
        assert.strictEqual(headers.get("retry-after"), "1")
      }
    })
  )
})
