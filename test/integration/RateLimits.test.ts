import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { UserId } from "../../src/domain/Ids.ts"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { type Answer, fakeService, HttpService, newcomer } from "../support/HttpService.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"

/** The figures of the first limit, which is the one with the least left. */
const first = ({ headers }: Answer) => [
  headers.get("ratelimit-policy")?.split(", ")[0],
  headers.get("ratelimit")?.split(", ")[0]
]

const mustRefuse = (answer: Answer, policy: string, left: RegExp) => {
  assert.deepStrictEqual([answer.status, answer.problem.type], [429, "/problems/rate-limited"])
  const [q, r] = first(answer)
  assert.strictEqual(q, policy)
  assert.match(r ?? "", left)
  assert.strictEqual(answer.headers.get("retry-after"), /t=(\d+)/.exec(r ?? "")?.[1])
}

const limits = { memberChangesPerMinute: 3, conversationsPerMinute: 2, firstContactsPerDay: 4 }

layer(fakeService({ limits }), { excludeTestServices: true })("the fields RateLimit and RateLimit-Policy", (it) => {
  it.effect("have the figures of new conversations, of first contacts and of member changes", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const [ann, bob, cat] = [yield* newcomer("ann"), yield* newcomer("bob"), yield* newcomer("cat")]
      const [dan, eve, fay] = [yield* newcomer("dan"), yield* newcomer("eve"), yield* newcomer("fay")]
      const create = (json: unknown, key?: string) =>
        ask("/v1/conversations", { token: ann.token, json, ...(key && { headers: { "idempotency-key": key } }) })
      const group = (...memberIds: ReadonlyArray<string>) => ({ kind: "group", title: "Us", memberIds })
      const made = yield* create(group(bob.id, cat.id), "once")
      assert.strictEqual(made.status, 201)
      assert.include(made.headers.get("ratelimit-policy") ?? "", '"conversations";q=2;w=60')
      assert.include(made.headers.get("ratelimit-policy") ?? "", '"first-contacts";q=4;w=86400')
      assert.include(made.headers.get("ratelimit-policy") ?? "", '"default";q=1200;w=60')
      assert.match(made.headers.get("ratelimit") ?? "", /"first-contacts";r=2;t=43200/)
      mustRefuse(
        yield* create(group(dan.id, eve.id, fay.id)),
        '"first-contacts";q=4;w=86400',
        /^"first-contacts";r=0;t=43\d+$/
      )
      assert.strictEqual((yield* create({ kind: "dm", userId: dan.id })).status, 201)
      mustRefuse(yield* create(group()), '"conversations";q=2;w=60', /^"conversations";r=0;t=\d+$/)
      assert.strictEqual((yield* create(group(bob.id, cat.id), "once")).status, 200)
      assert.strictEqual((yield* create({ kind: "dm", userId: dan.id })).status, 200)

      const path = `/v1/conversations/${String(made.json.id)}/members`
      const add = (...userIds: ReadonlyArray<string>) => ask(path, { token: ann.token, json: { userIds } })
      mustRefuse(yield* add(eve.id, fay.id), '"first-contacts";q=4;w=86400', /^"first-contacts";r=0;t=/)
      assert.strictEqual((yield* add(dan.id, eve.id)).status, 201)
      const update = (role: string) => ask(`${path}/${bob.id}`, { method: "PATCH", token: ann.token, json: { role } })
      assert.deepStrictEqual(first(yield* update("admin"))[0], '"members";q=3;w=60')
      mustRefuse(yield* update("member"), '"members";q=3;w=60', /^"members";r=0;t=\d+$/)
    })
  )
})

layer(fakeService({ limits }), { excludeTestServices: true })("limits of new conversations, over RPC,", (it) => {
  for (const transport of ["http", "websocket"] as const) {
    it.effect(`refuse over ${transport} with the typed problem`, () =>
      Effect.gen(function* () {
        const { url } = yield* HttpService
        const rpc = yield* rpcClient(url, transport)
        const [ann, bob] = [yield* newcomer("ann"), yield* newcomer("bob")]
        const call = withToken(ann.token)
        const create = call(rpc["conversation.create"]({ kind: "dm", userId: UserId.make(bob.id) }))
        const { id } = yield* create
        yield* call(rpc["conversation.create"]({ kind: "group", title: "Us", memberIds: [] }))
        const refused = yield* Effect.flip(
          call(rpc["conversation.create"]({ kind: "group", title: "Us", memberIds: [] }))
        )
        assert.strictEqual(refused._tag, "RateLimited")
        assert.strictEqual((yield* create).id, id)
      })
    )
  }
})

layer(fakeService({ limits: { socketsPerUser: 1, socketsPerAddress: 1 } }), { excludeTestServices: true })(
  "limits of open connections",
  (it) => {
    it.effect("count open sockets, without a window", () =>
      Effect.gen(function* () {
        const { raw, url } = yield* HttpService
        const rpc = yield* rpcClient(url, "websocket")
        const { token } = yield* newcomer("caller")
        yield* withToken(token)(rpc["user.me"]())
        const answer = yield* raw(
          "GET /rpc/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert.match(answer, /^HTTP\/1.1 429 /)
        assert.include(answer, '"sockets";q=1\r\n')
        assert.include(answer, '"sockets";r=0;t=1\r\n')
      })
    )

    it.effect("count open streams, without a window", () =>
      Effect.gen(function* () {
        const { ask, url } = yield* HttpService
        const { token } = yield* newcomer("streamer")
        const headers = { authorization: `Bearer ${token}` }
        const open = yield* Effect.promise((signal) => fetch(`${url}/v1/events`, { headers, signal }))
        assert.include(open.headers.get("ratelimit-policy") ?? "", '"streams";q=1,')
        assert.include(open.headers.get("ratelimit") ?? "", '"streams";r=0;t=1,')
        mustRefuse(yield* ask("/v1/events", { token }), '"streams";q=1', /^"streams";r=0;t=1$/)
        yield* Effect.promise(() => open.body?.cancel() ?? Promise.resolve())
      })
    )
  }
)

layer(gatewayService({ limits }), { excludeTestServices: true })("limits of new conversations", (it) => {
  it.effect("refuse over a socket with a time to wait, and an existing conversation is free", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
      const socket = yield* connect(url)
      yield* socket.ready(ann.token)
      const direct = { kind: "dm", userId: bob.id }
      const { id } = yield* socket.ok("conversation.create", direct)
      yield* socket.ok("conversation.create", { kind: "group", title: "Us", memberIds: [] })
      const error = yield* socket.error("conversation.create", { kind: "group", title: "Us", memberIds: [] })
      assert.deepStrictEqual([error.status, error.type], [429, "/problems/rate-limited"])
      assert.isAbove(error.retryAfterMs ?? 0, 1000)
      assert.strictEqual((yield* socket.ok("conversation.create", direct)).id, id)
    })
  )
})
