import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, Tracer } from "effect"
import { makeRpc } from "../../src/client/Rpc.ts"
import { type Cluster, startCluster } from "../faults/Cluster.ts"
import { api, connect } from "../support/Client.ts"
import { type Collected, startCollector } from "../support/Collector.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"
import { serversAreThere } from "../support/Servers.ts"

class Traced extends Context.Service<
  Traced,
  { readonly cluster: Cluster; readonly collector: Effect.Success<typeof startCollector> }
>()("chat/test/Traced") {
  /** Two nodes that sample nothing by themselves, so that only traces that a client begins are recorded. */
  static readonly layer = Layer.effect(
    Traced,
    Effect.gen(function* () {
      const collector = yield* startCollector
      const cluster = yield* startCluster({
        settings: {
          TRACING__ENABLED: "true",
          TRACING__ENDPOINT: collector.endpoint("jaeger"),
          TRACING__SAMPLE_RATE: "0",
          TRACING__SERVICE_NAME: "chat-traced"
        }
      })
      return { cluster, collector }
    })
  )
}

const parentOf = (all: ReadonlyArray<Collected>, span: Collected) => all.find(({ spanId }) => spanId === span.parentId)

/** The names of the spans from a span up to the entry of its trace, and the span id of the caller. */
const path = (all: ReadonlyArray<Collected>, span: Collected): ReadonlyArray<string> => {
  const parent = parentOf(all, span)
  return [span.name, ...(parent === undefined ? [String(span.parentId)] : path(all, parent))]
}

const title = `traces${serversAreThere ? "" : " (no PostgreSQL 15, NATS or Redis to start)"}`

describe.skipIf(!serversAreThere)(title, () => {
  layer(Traced.layer, { excludeTestServices: true })((it) => {
    it.effect("follow a message from a client's command to its delivery on the other node", () =>
      Effect.gen(function* () {
        const { cluster, collector } = yield* Traced
        const [one, two] = cluster.nodes
        const http = api(one.url)
        const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
        const dm = yield* http.dm(ann, bob)
        const [a, b] = [yield* connect(one.url), yield* connect(two.url)]
        yield* a.ready(ann.token)
        yield* b.ready(bob.token)
        const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
        const caller = "00f067aa0ba902b7"
        const data = { conversationId: dm, clientMessageId: "traced", body: "a body that is nobody's business" }
        a.send({ id: "t", op: "message.send", data, traceparent: `00-${traceId}-${caller}-01` })
        assert.isDefined((yield* a.answer("t")).ok)
        yield* b.seq(dm, 2)

        const wanted = (name: string) => (span: Collected) => span.traceId === traceId && span.name === name
        const deliveries = yield* collector.span(
          (span) =>
            wanted("deliver conversation")(span) &&
            parentOf(collector.spans, span)?.name === "publish chat.conversation",
          "delivery on the other node"
        )
        const sql = yield* collector.span((span) => span.traceId === traceId && span.kind === "client", "SQL")
        const root = yield* collector.span(wanted("message.send"), "command")
        const all = collector.spans.filter((span) => span.traceId === traceId)
        assert.deepStrictEqual(path(all, deliveries), [
          "deliver conversation",
          "publish chat.conversation",
          "Messages.send",
          "message.send",
          caller
        ])
        assert.deepStrictEqual(path(all, sql).slice(1), ["Log.commit", "Messages.send", "message.send", caller])
        assert.strictEqual(root.kind, "server")
        assert.strictEqual(root.service, "chat-traced")
        assert.strictEqual(root.attributes["user.id"], ann.id)
        assert.strictEqual(sql.attributes["db.system.name"], "postgresql")
        assert.match(String(sql.attributes["db.query.text"]), /FROM append_message\(\$1/)
        assert.notStrictEqual(
          deliveries.attributes["service.instance.id"],
          root.attributes["service.instance.id"],
          "the other node"
        )
        assert.lengthOf(
          all.filter(({ name }) => name === "deliver conversation"),
          2,
          "one on each node, whatever the number of receivers"
        )
        assert.isFalse(all.some(({ failed }) => failed))
        assert.deepStrictEqual(collector.errors, [])
      })
    )

    it.effect("link the sends of one batch with its commit", () =>
      Effect.gen(function* () {
        const { cluster, collector } = yield* Traced
        const { url } = cluster.nodes[0]
        const http = api(url)
        const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
        const conversationId = yield* http.dm(ann, bob)
        const client = yield* connect(url)
        yield* client.ready(ann.token)
        const ids = ["a", "b", "c"]
        const traceOf = (id: string) => id.repeat(32)
        client.send(
          ids.map((id) => ({
            id,
            op: "message.send",
            data: { conversationId, clientMessageId: id, body: id },
            traceparent: `00-${traceOf(id)}-00f067aa0ba902b7-01`
          }))
        )
        for (const id of ids) assert.isDefined((yield* client.answer(id)).ok)
        const send = (id: string) =>
          collector.span((span) => span.traceId === traceOf(id) && span.name === "Messages.send", `send ${id}`)
        const [first, second, third] = [yield* send("a"), yield* send("b"), yield* send("c")]
        const commit = yield* collector.span(
          ({ attributes, name }) => name === "Log.commit" && attributes["chat.batch.size"] === 3,
          "the commit of all"
        )
        assert.strictEqual(commit.parentId, first.spanId)
        const linkTo = ({ spanId, traceId }: typeof commit) => [{ traceId, spanId }]
        assert.deepStrictEqual(commit.links, [...linkTo(second), ...linkTo(third)])
        for (const send of [second, third]) assert.deepStrictEqual(send.links, linkTo(commit))
      })
    )

    it.effect("have no span for the other sends of a batch, however many", () =>
      Effect.gen(function* () {
        const { cluster, collector } = yield* Traced
        const { url } = cluster.nodes[0]
        const http = api(url)
        const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
        const groups = yield* Effect.replicateEffect(http.group(ann, bob), 8)
        const client = yield* connect(url)
        yield* client.ready(ann.token)
        const traceId = "7".repeat(32)
        const command = (conversationId: string, id: string, trace?: string) => ({
          id,
          op: "message.send",
          data: { conversationId, clientMessageId: id, body: id },
          ...(trace !== undefined && { traceparent: `00-${trace}-00f067aa0ba902b7-01` })
        })
        client.send(groups.map((id, n) => command(id, `${n}`, n === 5 ? traceId : undefined)))
        for (const n of groups.keys()) assert.isDefined((yield* client.answer(`${n}`)).ok)
        // Spans arrive in the order in which they end.
        const last = "8".repeat(32)
        client.send(groups.slice(0, 1).map((id) => command(id, "last", last)))
        yield* collector.span((span) => span.traceId === last && span.name === "message.send", "the last send")
        const spans = collector.spans.filter((span) => span.traceId === traceId)
        assert.deepStrictEqual(spans.map(({ kind, name }) => (kind === "client" ? "SQL" : name)).sort(), [
          "Log.commit",
          "Messages.send",
          "SQL",
          "deliver conversation",
          "message.send",
          "publish chat.conversation"
        ])
        assert.strictEqual(
          spans.find(({ name }) => name === "Log.commit")?.attributes["chat.batch.size"],
          groups.length
        )
      })
    )

    it.effect("continue the trace of each RPC call, separately from that of its connection", () =>
      Effect.gen(function* () {
        const { cluster, collector } = yield* Traced
        const { url } = cluster.nodes[1]
        const ann = yield* api(url).register("ann")
        for (const [transport, digit] of [
          ["http", "d"],
          ["websocket", "e"]
        ] as const) {
          const traceId = digit.repeat(32)
          const parent = Tracer.externalSpan({ traceId, spanId: "00f067aa0ba902b7", sampled: true })
          const rpc = yield* rpcClient(url, transport)
          yield* Effect.withSpan(withToken(ann.token)(rpc["user.me"]()), "caller", { parent })
          const call = yield* collector.span((span) => span.traceId === traceId && span.name === "user.me", "the call")
          assert.strictEqual(call.kind, "server")
          assert.strictEqual(call.attributes["rpc.method"], "user.me")
          yield* collector.span((span) => span.name === "Users.me" && span.parentId === call.spanId, "the service")
          assert.isFalse(collector.spans.some(({ name }) => name.includes("/rpc")))

          // A client that does not trace causes no trace, which the last test would find.
          const untraced = yield* makeRpc(url, transport)
          assert.strictEqual((yield* withToken(ann.token)(untraced["user.me"]())).id, ann.id)
        }
      })
    )

    it.effect("begin at HTTP requests as well, are named in the answer, and hold nothing private", () =>
      Effect.gen(function* () {
        const { cluster, collector } = yield* Traced
        const { url } = cluster.nodes[0]
        const http = api(url)
        const ann = yield* http.register("ann")
        const bob = yield* http.register("bob")
        const dm = yield* http.dm(ann, bob)
        const traceId = "0af7651916cd43dd8448eb211c80319c"
        const ask = (path: string, json: unknown, flags = "01") =>
          Effect.promise(() =>
            fetch(url + path, {
              method: json === undefined ? "GET" : "POST",
              headers: {
                authorization: `Bearer ${ann.token}`,
                "content-type": "application/json",
                traceparent: `00-${traceId}-b7ad6b7169203331-${flags}`
              },
              ...(json !== undefined && { body: JSON.stringify(json) })
            })
          )
        const posted = yield* ask(`/v1/conversations/${dm}/messages`, {
          clientMessageId: "by-http",
          body: "planted-body-7f3a"
        })
        assert.strictEqual(posted.status, 201)
        yield* ask("/v1/auth/login", { login: ann.username, password: "planted-password-9c1d" })
        yield* ask("/v1/users?query=planted-query-44e0", undefined)
        yield* ask("/v1/users/not-an-id", undefined)
        const unsampled = yield* ask(`/v1/conversations/${dm}`, undefined, "00")
        assert.isNull(unsampled.headers.get("traceresponse"))

        const named = (name: string) => collector.span((span) => span.traceId === traceId && span.name === name, name)
        const post = yield* named("POST /v1/conversations/:conversationId/messages")
        const login = yield* named("POST /v1/auth/login")
        yield* named("GET /v1/users")
        yield* named("GET /v1/users/:userId")
        yield* named("Log.commit")
        assert.strictEqual(posted.headers.get("traceresponse"), `00-${traceId}-${post.spanId}-01`)
        assert.strictEqual(post.kind, "server")
        assert.strictEqual(post.parentId, "b7ad6b7169203331")
        assert.strictEqual(post.attributes["http.response.status_code"], 201)
        assert.strictEqual(post.attributes["http.request.method"], "POST")
        assert.strictEqual(post.attributes["http.route"], "/v1/conversations/:conversationId/messages")
        assert.strictEqual(login.attributes["http.response.status_code"], 401)
        assert.isFalse(login.failed, "the caller's mistake is no error of the server")
        const inner = yield* named("Sessions.login")
        assert.strictEqual(inner.parentId, login.spanId)
        assert.strictEqual(inner.attributes["error.type"], "Unauthenticated")
        assert.strictEqual(inner.events, 0, "no message and no stack of an exception")

        const sent = collector.text()
        for (const secret of ["planted-", "correct horse", ann.token, "nobody's business"]) {
          assert.notInclude(sent, secret)
        }
        const traced = new Set(collector.spans.map((span) => span.traceId))
        assert.isTrue([...traced].every((id) => id === traceId || id.startsWith("4bf9") || /^(.)\1{31}$/.test(id)))
        assert.deepStrictEqual(collector.errors, [])
      })
    )
  })
})
