import { assert, layer } from "@effect/vitest"
import { Effect, Latch, Layer, Queue } from "effect"
import { UserId } from "../../src/domain/Ids.ts"
import { Users } from "../../src/services/identity/Users.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const limits = { readBytesPerSecond: 1, readBytesBurst: 4000, requestsPerMinute: 10_000 }

layer(fakeService({ limits }), { excludeTestServices: true })("reads with big answers", (it) => {
  it.effect("are refused over HTTP and RPC beyond the limit, for this user alone, and sends are not", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { token } = yield* newcomer()
      const other = yield* newcomer()
      const json = { kind: "group", title: "Much", memberIds: [other.id] }
      const { id } = (yield* ask("/v1/conversations", { token, json })).json
      const messages = `/v1/conversations/${id}/messages`
      const send = (n: number) => ask(messages, { token, json: { clientMessageId: `${n}`, body: "x".repeat(600) } })
      for (let n = 0; n < 3; n++) yield* send(n)
      const statuses: Array<number> = []
      for (const path of [messages, `/v1/search/messages?query=xxx`, "/v1/conversations", `${messages}?limit=1`])
        statuses.push((yield* ask(path, { token })).status)
      assert.deepStrictEqual(statuses, [200, 200, 429, 429])
      const refused = yield* ask("/v1/sync", { token, json: { cursors: {} } })
      assert.strictEqual(refused.status, 429)
      assert.isAbove(Number(refused.headers.get("retry-after")), 0)
      const socket = yield* connect(url, { path: "/rpc/ws", headers: { authorization: `Bearer ${token}` } })
      socket.send({ _tag: "Request", id: "1", tag: "member.list", payload: { conversationId: id }, headers: [] })
      assert.include(JSON.stringify((yield* socket.next(() => true)).json), "/problems/rate-limited")
      assert.strictEqual((yield* send(4)).status, 201)
      assert.strictEqual((yield* ask(messages, { token: other.token })).status, 200)
    })
  )

  it.effect("have a bounded number of cursors", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { token } = yield* newcomer()
      const cursorsOf = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`c${i}`, i]))
      const answer = yield* ask("/v1/sync", { token, json: { cursors: cursorsOf(5001) } })
      assert.deepStrictEqual([answer.status, answer.problem.errors?.[0]?.path], [400, "cursors"])
      assert.strictEqual((yield* ask("/v1/sync", { token, json: { cursors: cursorsOf(5000) } })).status, 200)
    })
  )
})

// The second stream says nothing but its pings.
layer(fakeService({ limits: { readBytesPerSecond: 1, readBytesBurst: 300_000 }, timers: { heartbeat: 100 } }), {
  excludeTestServices: true
})("streams of events", (it) => {
  it.effect("are paid by their user, however early the client leaves", () =>
    Effect.gen(function* () {
      const { ask, url } = yield* HttpService
      const { token } = yield* newcomer()
      for (const paid of [200, 429]) {
        const abort = new AbortController()
        const headers = { authorization: `Bearer ${token}` }
        const stream = yield* Effect.promise(() => fetch(`${url}/v1/events`, { signal: abort.signal, headers }))
        assert.strictEqual(stream.status, 200)
        abort.abort()
        assert.strictEqual((yield* ask("/v1/conversations", { token })).status, paid)
      }
    })
  )
})

layer(gatewayService({ limits }), { excludeTestServices: true })("a hello that misses nothing", (it) => {
  it.effect("is paid by the number of conversations", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const ann = yield* http.register("ann")
      const ids = yield* Effect.replicateEffect(http.group(ann), 5)
      const cursors = Object.fromEntries(ids.map((id) => [id, 1]))
      const frames = yield* (yield* connect(url)).ready(ann.token, { cursors })
      assert.lengthOf(frames, 2, "the answer and ready")
      assert.strictEqual((yield* http.ask("GET", "/v1/conversations", ann)).status, 429)
    })
  )
})

const begun = Effect.runSync(Queue.unbounded<UserId>())
const open = Latch.makeUnsafe()

/** Profiles that are found once the latch is open. */
const slowProfiles = Layer.effect(
  Users,
  Effect.map(Users, (users) =>
    Users.of({
      ...users,
      look: (viewerId, userId) =>
        Queue.offer(begun, viewerId).pipe(Effect.andThen(open.await), Effect.andThen(users.look(viewerId, userId)))
    })
  )
)

layer(TestService.layer({}, { replace: slowProfiles }), { excludeTestServices: true })("many calls of a user", (it) => {
  it.effect("are done eight at a time over all sockets, for a while, and others do not wait for them", () =>
    Effect.gen(function* () {
      const { signIn, url } = yield* TestService
      const [ann, bob] = [yield* signIn("ann"), yield* signIn("bob")]
      const socketOf = Effect.fnUntraced(function* (token: string) {
        const socket = yield* connect(url)
        yield* socket.ready(token)
        return socket
      })
      const calls = (count: number) =>
        Array.from({ length: count }, (_, n) => ({ id: n + 10, op: "user.get", data: { userId: ann.user.id } }))
      const sockets = [yield* socketOf(ann.accessToken), yield* socketOf(ann.accessToken)]
      for (const socket of sockets) {
        // A socket may have eight on their way, so the refusal of the ninth says that they have been taken.
        socket.send(calls(9))
        assert.isDefined((yield* socket.answer(18)).error)
      }
      const other = yield* socketOf(bob.accessToken)
      other.send(calls(1))
      const first = yield* Effect.replicateEffect(Queue.take(begun), 9)
      assert.deepStrictEqual(
        first.map((id) => UserId.make(id)),
        [...Array(8).fill(ann.user.id), bob.user.id]
      )
      assert.strictEqual(yield* Queue.size(begun), 0)
      assert.strictEqual(
        yield* Queue.take(begun),
        ann.user.id,
        "what is stuck does not stop what comes after it for long"
      )
      yield* open.open
      for (const socket of sockets) for (let id = 10; id < 18; id++) assert.isDefined((yield* socket.answer(id)).ok)
      assert.isDefined((yield* other.answer(10)).ok)
    }).pipe(Effect.scoped)
  )
})
