import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Tracer } from "effect"
import { MetricsRoute, MetricsServer } from "../../src/http/server/MetricsServer.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import { RpcRoutes } from "../../src/rpc/RpcRoutes.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import { formOf, png } from "../support/Files.ts"
import { HttpService, httpService, newcomer } from "../support/HttpService.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"
import { counting, sampleOf } from "../support/Samples.ts"
import { freePort } from "../support/Servers.ts"

/** A tracer that samples every trace. */
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan({ ...options, sampled: true }) })

const Service = httpService(Layer.mergeAll(HttpRoutes, RpcRoutes, MetricsRoute)).pipe(
  Layer.provideMerge(fakeServices()),
  Layer.provideMerge(counting),
  Layer.provide(Layer.succeed(Tracer.Tracer, tracer))
)

const openMetrics = { accept: "application/openmetrics-text; version=1.0.0" }

describe("metrics over HTTP", () => {
  layer(Service, { excludeTestServices: true })((it) => {
    it.effect("count requests by route, method and status, whatever clients send", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const { token } = yield* newcomer()
        yield* ask("/v1/users/me", { token })
        yield* ask("/v1/users/me")
        yield* ask("/v1/users/01a203c6-7ff0-7c8f-93a6-86ca231542ca?secret=planted", { token })
        yield* ask("/planted/path")
        yield* ask("/v1/users/me", { method: "PROPFIND" })
        const { headers, text } = yield* ask("/metrics")
        assert.strictEqual(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        const requests = (labels: string) => sampleOf(text, `chat_http_requests_total{${labels}}`)
        assert.strictEqual(requests(`method="GET",route="/v1/users/me",status="200"`), 1)
        assert.strictEqual(requests(`method="GET",route="/v1/users/me",status="401"`), 1)
        assert.strictEqual(requests(`method="GET",route="/v1/users/:userId",status="404"`), 1)
        assert.strictEqual(requests(`method="GET",route="none",status="404"`), 1)
        assert.strictEqual(requests(`method="other",route="/v1/users/me",status="405"`), 1)
        assert.strictEqual(sampleOf(text, `chat_http_requests_in_flight{route="/v1/users/me"}`), 0)
        assert.strictEqual(sampleOf(text, `chat_http_requests_in_flight{route="/metrics"}`), 1)
        assert.notInclude(text, "planted")
        assert.match(text, /^chat_build_info\{version="\d/m)
        assert.match(text, /^process_cpu_seconds_total /m)
        assert.match(text, /^nodejs_eventloop_lag_p99_seconds /m)
      })
    )

    it.effect("count what people do, and what is refused", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const before = (yield* ask("/metrics")).text
        const [ann, bob] = [yield* newcomer(), yield* newcomer()]
        for (const _ of ["new", "there already"]) {
          yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
        }
        yield* ask("/v1/auth/login", { json: { login: ann.username, password: "planted password" } })
        yield* ask("/v1/users/me", { token: "planted.token" })
        yield* ask("/v1/auth/refresh", { json: { refreshToken: "planted-refresh" } })
        const upload = (bytes: Uint8Array) =>
          ask("/v1/attachments", { method: "POST", token: ann.token, body: formOf(bytes) })
        yield* upload(png)
        yield* upload(Buffer.alloc(0))
        const after = (yield* ask("/metrics")).text
        const grown = (series: string) => (sampleOf(after, series) ?? 0) - (sampleOf(before, series) ?? 0)
        assert.strictEqual(grown("chat_users_registered_total"), 2)
        assert.strictEqual(grown(`chat_conversations_created_total{kind="dm"}`), 1)
        assert.strictEqual(grown(`chat_auth_failures_total{reason="password"}`), 1)
        assert.strictEqual(grown(`chat_auth_failures_total{reason="token-invalid"}`), 1)
        assert.strictEqual(grown(`chat_auth_failures_total{reason="refresh-token"}`), 1)
        assert.strictEqual(grown(`chat_uploads_total{kind="attachment"}`), 1)
        assert.strictEqual(grown(`chat_upload_bytes_total{kind="attachment"}`), png.length)
        assert.strictEqual(grown(`chat_uploads_refused_total{reason="invalid"}`), 1)
        assert.notInclude(after, "planted")
      })
    )

    it.effect("count calls by operation, and say when a socket of calls ends", () =>
      Effect.gen(function* () {
        const { ask, log, url } = yield* HttpService
        const { token } = yield* newcomer()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const rpc = yield* rpcClient(url, "websocket")
            yield* withToken(token)(rpc["user.me"]())
            yield* Effect.flip(rpc["user.me"]())
            assert.strictEqual(sampleOf((yield* ask("/metrics")).text, "chat_rpc_connections"), 1)
          })
        )
        const closed = () => log.find(({ message }) => message === "rpc socket closed")
        yield* Effect.sync(closed).pipe(Effect.repeat({ until: (line) => line?.calls === 2 }))
        assert.strictEqual(closed()?.client, "127.0.0.1")
        const { text } = yield* ask("/metrics")
        assert.strictEqual(sampleOf(text, `chat_rpc_calls_total{op="user.me",outcome="ok"}`), 1)
        assert.strictEqual(sampleOf(text, `chat_rpc_calls_total{op="user.me",outcome="unauthenticated"}`), 1)
        assert.strictEqual(sampleOf(text, `chat_rpc_call_duration_seconds_count{op="user.me"}`), 2)
        assert.strictEqual(sampleOf(text, "chat_rpc_connections"), 0)
      })
    )

    it.effect("have exemplars with trace ids in the OpenMetrics format", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        const traceId = "0af7651916cd43dd8448eb211c80319c"
        yield* ask("/health", { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } })
        const { headers, text } = yield* ask("/metrics", { headers: openMetrics })
        assert.strictEqual(headers.get("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8")
        assert.match(text, new RegExp(`^chat_http_request_duration_seconds_bucket.*# \\{trace_id="${traceId}"\\}`, "m"))
        assert.match(text, /^# TYPE chat_http_requests counter$/m)
        assert.isTrue(text.endsWith("# EOF\n"))
        // The other format has its own names, and no exemplars.
        const plain = yield* ask("/metrics")
        assert.match(plain.text, /^# TYPE chat_http_requests_total counter$/m)
        assert.notInclude(plain.text, traceId)
      })
    )
  })
})

const metricsPort = await Effect.runPromise(freePort)

/** The metrics on `metrics.port`, next to the service. */
const Both = httpService(HttpRoutes).pipe(
  Layer.provideMerge(MetricsServer),
  Layer.provideMerge(fakeServices({ metrics: { port: metricsPort } })),
  Layer.provideMerge(counting)
)

describe("the port of metrics", () => {
  layer(Both, { excludeTestServices: true })((it) => {
    it.effect("serves the metrics and nothing else", () =>
      Effect.gen(function* () {
        const { ask } = yield* HttpService
        assert.strictEqual((yield* ask("/health")).status, 200)
        const at = (path: string) => Effect.promise(() => fetch(`http://127.0.0.1:${metricsPort}${path}`))
        const metrics = yield* at("/metrics")
        assert.strictEqual(metrics.status, 200)
        assert.match(yield* Effect.promise(() => metrics.text()), /^chat_build_info/m)
        for (const path of ["/health", "/v1/users/me", "/docs", "/metrics/x"]) {
          assert.strictEqual((yield* at(path)).status, 404, path)
        }
      })
    )
  })
})
