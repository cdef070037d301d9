import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "../support/Client.ts"
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
