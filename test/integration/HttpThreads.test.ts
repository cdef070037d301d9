import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const record = (value: unknown) => value as Record<string, unknown>
const items = (json: Record<string, unknown>) => json.items as ReadonlyArray<Record<string, unknown>>

let sent = 0

/** Two users with a DM, and a function by which one of them sends messages there. */
const pair = Effect.gen(function* () {
  const { ask } = yield* HttpService
  const ann = yield* newcomer("ann")
  const bob = yield* newcomer("bob")
  const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
  const path = `/v1/conversations/${String(made.json.id)}/messages`
  const send = (token: string, message: Record<string, unknown>) => {
    sent++
    return ask(path, { token, json: { clientMessageId: `t${sent}`, body: `body ${sent}`, ...message } })
  }
  return { ann, bob, path, send }
})

layer(fakeService({ limits: { pageSize: 3 } }), { excludeTestServices: true })("threads and polls", (it) => {
  it.effect("a thread is replied to, read and marked", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, path, send } = yield* pair
      const root = record((yield* send(ann.token, {})).json.message)
      const reply = yield* send(bob.token, { threadRoot: root.id })
      assert.deepStrictEqual([reply.status, record(reply.json.message).threadRootId], [201, root.id])
      const page = yield* ask(path, { token: ann.token })
      assert.deepStrictEqual(
        items(page.json).map(({ id, threadReplyCount }) => [id, threadReplyCount]),
        [[root.id, 1]]
      )
      assert.lengthOf(items((yield* ask(`${path}?threads=true`, { token: ann.token })).json), 2)
      assert.strictEqual((yield* ask(`${path}?threads=1`, { token: ann.token })).status, 400)

      const thread = `${path}/${String(root.id)}/thread`
      const shown = yield* ask(`${thread}?after=1`, { token: ann.token })
      assert.deepInclude(shown.json, {
        replyCount: 1,
        participants: [bob.id],
        readSeq: 2,
        unreadCount: 1,
        items: [reply.json.message]
      })
      const mark = (seq: unknown) => ask(`${thread}/read`, { method: "PUT", token: ann.token, json: { seq } })
      assert.strictEqual((yield* mark(3)).status, 204)
      assert.strictEqual((yield* mark(3)).status, 204)
      assert.strictEqual((yield* mark(-1)).status, 400)
      assert.deepInclude((yield* ask(thread, { token: ann.token })).json, { readSeq: 3, unreadCount: 0 })
      const stranger = yield* newcomer("eve")
      assert.strictEqual((yield* ask(thread, { token: stranger.token })).status, 404)
    })
  )

  it.effect("a poll is voted in, and the vote taken back", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, path, send } = yield* pair
      const payload = { question: "When?", options: ["now", "later"] }
      const poll = yield* send(ann.token, { type: "poll", body: "", payload })
      assert.strictEqual(poll.status, 201)
      assert.deepInclude(record(poll.json.message), { payload, votes: [0, 0] })
      const one = `${path}/${String(record(poll.json.message).id)}`
      const vote = (options: unknown, at = one) =>
        ask(`${at}/vote`, { method: "PUT", token: bob.token, json: { options } })
      assert.strictEqual((yield* vote([1])).status, 204)
      assert.deepInclude((yield* ask(one, { token: bob.token })).json, { votes: [0, 1], myVote: [1] })
      assert.deepInclude((yield* ask(one, { token: ann.token })).json, { votes: [0, 1], myVote: [] })
      for (const wrong of [[], [0, 1], [2], [20], [0.5], "0"]) {
        assert.strictEqual((yield* vote(wrong)).status, 400, JSON.stringify(wrong))
      }
      assert.strictEqual((yield* ask(`${one}/vote`, { method: "DELETE", token: bob.token })).status, 204)
      assert.deepInclude((yield* ask(one, { token: bob.token })).json, { votes: [0, 0], myVote: [] })
      const plain = yield* send(ann.token, {})
      const refused = yield* vote([0], `${path}/${String(record(plain.json.message).id)}`)
      assert.deepStrictEqual([refused.status, refused.problem.code], [409, "not-a-poll"])
      const bad = yield* send(ann.token, { type: "poll", payload: { question: "When?", options: ["now"] } })
      assert.deepStrictEqual(
        bad.problem.errors?.map(({ path }) => path),
        ["payload.options"]
      )
    })
  )
})
