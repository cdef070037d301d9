import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const items = (json: Record<string, unknown>) => json.items as ReadonlyArray<Record<string, unknown>>

/** Two users with a DM. */
const pair = Effect.gen(function* () {
  const { ask } = yield* HttpService
  const ann = yield* newcomer("ann")
  const bob = yield* newcomer("bob")
  const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
  const path = `/v1/conversations/${String(made.json.id)}`
  const say = (token: string, clientMessageId: string, body = clientMessageId) =>
    ask(`${path}/messages`, { token, json: { clientMessageId, body } })
  return { ann, bob, made, path, say }
})

layer(fakeService({ limits: { pageSize: 3 } }), { excludeTestServices: true })("conversations", (it) => {
  it.effect("a DM is made once: 201, then 200 for both", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, made } = yield* pair
      assert.strictEqual(made.status, 201)
      assert.deepStrictEqual([made.json.kind, made.json.seq], ["dm", 1])
      assert.notInclude(made.text, "@example.com")
      for (const [token, userId] of [
        [ann.token, bob.id],
        [bob.token, ann.id]
      ] as const) {
        const again = yield* ask("/v1/conversations", { token, json: { kind: "dm", userId } })
        assert.deepStrictEqual([again.status, again.json.id], [200, made.json.id])
      }
    })
  )

  it.effect("a group is made once for an Idempotency-Key", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob } = yield* pair
      const json = { kind: "group", title: "Us", memberIds: [bob.id] }
      const make = (headers: Record<string, string>) => ask("/v1/conversations", { token: ann.token, json, headers })
      const first = yield* make({ "idempotency-key": "one" })
      const retried = yield* make({ "idempotency-key": "one" })
      const other = yield* make({})
      assert.deepStrictEqual([first.status, other.status], [201, 201])
      assert.strictEqual(retried.json.id, first.json.id)
      assert.notStrictEqual(other.json.id, first.json.id)
      const bad = yield* make({ "idempotency-key": "a b" })
      assert.deepStrictEqual(
        bad.problem.errors?.map(({ path }) => path),
        ["idempotency-key"]
      )
      const members = yield* ask(`/v1/conversations/${String(first.json.id)}/members?limit=1`, { token: bob.token })
      assert.lengthOf(items(members.json), 1)
      const cursor = String(members.json.nextCursor)
      const rest = yield* ask(`/v1/conversations/${String(first.json.id)}/members?cursor=${cursor}`, {
        token: bob.token
      })
      assert.lengthOf(items(rest.json), 1)
      assert.notProperty(rest.json, "nextCursor")
    })
  )

  it.effect("a message is stored once: 201, then 200 as a duplicate, and 409 for another under its id", () =>
    Effect.gen(function* () {
      const { ann, say } = yield* pair
      const first = yield* say(ann.token, "m1")
      assert.deepStrictEqual([first.status, first.json.duplicate], [201, false])
      const again = yield* say(ann.token, "m1")
      assert.deepStrictEqual([again.status, again.json], [200, { ...first.json, duplicate: true }])
      const reused = yield* say(ann.token, "m1", "something else")
      assert.deepStrictEqual([reused.status, reused.problem.code], [409, "message-id-reused"])
    })
  )

  it.effect("history comes in pages by seq, and so does the log", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, path, say } = yield* pair
      for (const id of ["m2", "m3", "m4", "m5", "m6"]) yield* say(ann.token, id)
      const page = Effect.fnUntraced(function* (query: string) {
        const { json } = yield* ask(`${path}/messages${query}`, { token: bob.token })
        return [
          items(json)
            .map(({ body }) => body)
            .join(" "),
          json.hasBefore,
          json.hasAfter
        ]
      })
      // Without a limit, a page has the default number of items, or the maximum if that is lower.
      assert.deepStrictEqual(yield* page(""), ["m4 m5 m6", true, false])
      assert.deepStrictEqual(yield* page("?before=4&limit=1"), ["m3", true, true])
      assert.deepStrictEqual(yield* page("?after=4&limit=1"), ["m5", true, true])
      assert.deepStrictEqual(yield* page("?around=4&limit=3"), ["m3 m4 m5", true, true])
      assert.strictEqual((yield* ask(`${path}/messages?before=4&after=2`, { token: bob.token })).status, 400)

      const [last] = items((yield* ask(`${path}/messages?limit=1`, { token: bob.token })).json)
      const one = yield* ask(`${path}/messages/${String(last?.id)}`, { token: bob.token })
      assert.deepStrictEqual(one.json, last)

      const events = yield* ask(`${path}/events`, { token: bob.token })
      assert.deepStrictEqual(
        items(events.json).map(({ event, seq }) => [seq, event]),
        [
          [1, "conversation.created"],
          [2, "message.created"],
          [3, "message.created"]
        ]
      )
      assert.strictEqual(events.json.head, 6)
      const rest = yield* ask(`${path}/events?after=5`, { token: bob.token })
      assert.deepStrictEqual(
        items(rest.json).map(({ seq }) => seq),
        [6]
      )
    })
  )

  it.effect("my conversations come in pages, latest activity first", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const me = yield* newcomer()
      const ids: Array<string> = []
      for (let count = 0; count < 4; count++) {
        const { id } = yield* newcomer()
        ids.push(
          String((yield* ask("/v1/conversations", { token: me.token, json: { kind: "dm", userId: id } })).json.id)
        )
      }
      yield* ask(`/v1/conversations/${ids[0]}/messages`, {
        token: me.token,
        json: { clientMessageId: "latest", body: "x" }
      })
      const first = yield* ask("/v1/conversations?limit=3", { token: me.token })
      const cursor = String(first.json.nextCursor)
      const second = yield* ask(`/v1/conversations?limit=3&cursor=${cursor}`, { token: me.token })
      const listed = [...items(first.json), ...items(second.json)].map(({ id }) => id)
      assert.strictEqual(listed[0], ids[0])
      assert.deepStrictEqual([...listed].sort(), [...ids].sort())
      assert.notProperty(second.json, "nextCursor")
    })
  )

  it.effect("marking as read lowers the unread count, and typing needs no body", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, path, say } = yield* pair
      for (const id of ["m2", "m3"]) yield* say(ann.token, id)
      const unread = Effect.map(ask("/v1/users/me/unread", { token: bob.token }), ({ json }) => json.unreadCount)
      const mark = (json: unknown) => ask(`${path}/read`, { method: "PUT", token: bob.token, json })
      assert.strictEqual(yield* unread, 2)
      const marked = yield* mark({ seq: 2 })
      assert.deepStrictEqual([marked.status, marked.text], [204, ""])
      assert.strictEqual(yield* unread, 1)
      yield* mark({ seq: 1 })
      assert.strictEqual(yield* unread, 1)
      yield* mark({ seq: 1, force: true })
      assert.strictEqual(yield* unread, 2)
      yield* mark({ seq: 999 })
      assert.strictEqual((yield* ask(path, { token: bob.token })).text.includes('"readSeq":3'), true)

      const typing = `${path}/typing`
      assert.strictEqual((yield* ask(typing, { method: "POST", token: bob.token })).status, 204)
      for (const json of [{}, { state: "started" }, { state: "stopped" }]) {
        assert.strictEqual((yield* ask(typing, { token: bob.token, json })).status, 204)
      }
      assert.strictEqual((yield* ask(typing, { token: bob.token, json: { state: "eating" } })).status, 400)
      assert.strictEqual((yield* ask(typing, { token: bob.token, json: "started" })).status, 400)
    })
  )

  it.effect("a non-member gets the same answer as for a conversation that does not exist", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, path, say } = yield* pair
      const { token } = yield* newcomer("stranger")
      const sent = yield* say(ann.token, "secret")
      const messageId = String((sent.json.message as Record<string, unknown>).id)
      const nothing = "/v1/conversations/01a20399-0000-7000-8000-000000000000"
      const routes = [
        ["GET", ""],
        ["GET", "/members"],
        ["GET", "/messages"],
        ["GET", `/messages/${messageId}`],
        ["GET", "/events"],
        ["POST", "/messages", { clientMessageId: "x", body: "x" }],
        ["PUT", "/read", { seq: 1 }],
        ["POST", "/typing", {}]
      ] as const
      for (const [method, suffix, json] of routes) {
        const real = yield* ask(path + suffix, { method, token, json })
        const none = yield* ask(nothing + suffix, { method, token, json })
        assert.strictEqual(real.status, 404, `${method} ${suffix}`)
        assert.deepStrictEqual({ ...real.problem, requestId: "" }, { ...none.problem, requestId: "" })
        assert.strictEqual((yield* ask(path + suffix, { method, json })).status, 401)
      }
    })
  )
})
