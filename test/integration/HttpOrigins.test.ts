import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const allowedOrigins = ["https://*.example.com", "http://*.local:5173", "capacitor://localhost", "tauri://localhost"]

const good = ["https://chat.example.com", "http://app.local:5173", "capacitor://localhost", "tauri://localhost"]

const wrong = [
  "https://example.com",
  "https://a.b.example.com",
  "https://.example.com",
  "http://chat.example.com",
  "https://chat.example.com:444",
  "https://chat.example.com.evil.com",
  "https://evilexample.com",
  "http://app.local",
  "tauri://localhost.evil.com",
  "null"
]

const handshake = (host: string, origin: string) =>
  [
    "GET /rpc/ws HTTP/1.1",
    `Host: ${host}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    `Origin: ${origin}`,
    "",
    ""
  ].join("\r\n")

describe("pages", () => {
  layer(fakeService({ server: { allowedOrigins } }), { excludeTestServices: true })((it) => {
    it.effect("may use the service if their origin is listed, matches the asterisk with one label, or is an app", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const allowed = (origin: string) =>
          Effect.map(ask("/health", { headers: { origin } }), ({ headers }) =>
            headers.get("access-control-allow-origin")
          )
        for (const origin of good) assert.strictEqual(yield* allowed(origin), origin)
        for (const origin of wrong) assert.isNull(yield* allowed(origin), origin)
      })
    )

    it.effect("of the host of the service may always use it", () =>
      Effect.gen(function* () {
        const { ask, raw, url } = yield* HttpService
        const { token } = yield* newcomer()
        const change = (origin: string) =>
          ask("/v1/users/me", {
            method: "PATCH",
            json: { displayName: "X" },
            headers: { origin, cookie: `access_token=${token}` }
          })
        assert.strictEqual((yield* change(url)).status, 200)
        assert.strictEqual((yield* change(url.replace("http:", "https:"))).status, 200, "behind a proxy with TLS")
        assert.strictEqual((yield* change(`${url}1`)).status, 403)
        assert.match(yield* raw(handshake("chat.test", "https://evil.test")), /^HTTP\/1.1 403 /)
      })
    )

    it.effect("of other origins are logged once a minute, with the setting that allows origins", () =>
      Effect.gen(function* () {
        const { ask, log } = yield* HttpService
        for (const origin of wrong) yield* ask("/health", { headers: { origin } })
        const lines = log.filter(({ message }) => String(message).includes("server.allowed_origins"))
        assert.lengthOf(lines, 1)
        assert.strictEqual(lines[0]?.level, "WARN")
        assert.isString(lines[0]?.origin)
      })
    )
  })

  layer(fakeService({ server: { origin: "https://chat.example.com" } }), { excludeTestServices: true })((it) => {
    it.effect("of plain HTTP are not pages of a service with TLS", () =>
      Effect.gen(function* () {
        const { raw } = yield* HttpService
        assert.match(yield* raw(handshake("chat.test", "http://chat.test")), /^HTTP\/1.1 403 /)
      })
    )
  })
})
