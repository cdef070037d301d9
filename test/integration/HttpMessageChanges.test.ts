import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const record = (value: unknown) => value as Record<string, unknown>
const items = (json: Record<string, unknown>) => json.items as ReadonlyArray<Record<string, unknown>>

let sent = 0

/** Two users with a DM, a message of one of them, and a user who is not a member. */
const start = Effect.gen(function* () {
  const { ask } = yield* HttpService
  const [ann, bob, eve] = [yield* newcomer("ann"), yield* newcomer("bob"), yield* newcomer("eve")]
  const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
  const id = String(made.json.id)
  const path = `/v1/conversations/${id}/messages`
  sent++
  const json = { clientMessageId: `c${sent}`, body: "first" }
  const posted = yield* ask(path, { token: ann.token, json })
  const message = record(posted.json.message)
  const one = `${path}/${String(message.id)}`
  return { ann, bob, eve, id, path, message, one, json }
})

const quick = { excludeTestServices: true } as const

layer(fakeService(), quick)("changes of messages over HTTP", (it) => {
  it.effect("editing answers with the message, and its revisions have the earlier bodies", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, eve, one } = yield* start
      const edit = (token: string, json: unknown) => ask(one, { method: "PATCH", token, json })
      const edited = yield* edit(ann.token, { body: "second" })
      assert.strictEqual(edited.status, 200)
      assert.deepInclude(edited.json, { body: "second", revision: 2, changedSeq: 3 })
      assert.deepStrictEqual((yield* ask(one, { token: bob.token })).json, edited.json)
      const revisions = yield* ask(`${one}/revisions?limit=1`, { token: bob.token })
      assert.deepInclude(items(revisions.json)[0], { body: "second", revision: 2 })
      const next = yield* ask(`${one}/revisions?cursor=${String(revisions.json.nextCursor)}`, { token: bob.token })
      assert.deepInclude(items(next.json)[0], { body: "first", revision: 1 })
      assert.strictEqual((yield* edit(bob.token, { body: "mine" })).status, 403)
      assert.strictEqual((yield* edit(eve.token, { body: "mine" })).status, 404)
      const empty = yield* edit(ann.token, { body: " " })
      assert.strictEqual(empty.problem.errors?.[0]?.path, "body")
      assert.strictEqual((yield* edit(ann.token, { body: 1 })).status, 400)
    })
  )

  it.effect("deleting a message hides it from everybody, or with for=me from the user alone", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, eve, one, path } = yield* start
      const remove = (token: string, query = "") => ask(`${one}${query}`, { method: "DELETE", token })
      assert.strictEqual((yield* remove(bob.token)).status, 403)
      assert.strictEqual((yield* remove(eve.token)).status, 404)
      assert.strictEqual((yield* remove(bob.token, "?for=all")).status, 400)
      assert.strictEqual((yield* remove(bob.token, "?for=me")).status, 204)
      assert.strictEqual((yield* remove(bob.token, "?for=me")).status, 204)
      assert.lengthOf(items((yield* ask(path, { token: bob.token })).json), 0)
      assert.lengthOf(items((yield* ask(path, { token: ann.token })).json), 1)
      assert.strictEqual((yield* ask(one, { token: bob.token })).status, 200)
      assert.strictEqual((yield* remove(ann.token)).status, 204)
      assert.strictEqual((yield* remove(ann.token)).status, 204)
      assert.deepInclude((yield* ask(one, { token: ann.token })).json, { body: "", changedSeq: 3 })
      const edit = yield* ask(one, { method: "PATCH", token: ann.token, json: { body: "back" } })
      assert.deepStrictEqual([edit.status, edit.problem.code], [409, "message-deleted"])
    })
  )

  it.effect("a reaction is an emoji in the path, and is listed with its users", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, eve, one } = yield* start
      const react = (token: string, emoji: string, method = "PUT") =>
        ask(`${one}/reactions/${encodeURIComponent(emoji)}`, { method, token })
      assert.strictEqual((yield* react(bob.token, "👩‍👩‍👧‍👦")).status, 204)
      assert.strictEqual((yield* react(bob.token, "❤")).status, 204)
      assert.strictEqual((yield* react(bob.token, "❤️")).status, 204)
      assert.deepStrictEqual((yield* ask(one, { token: bob.token })).json.reactions, [
        { emoji: "👩‍👩‍👧‍👦", count: 1, me: true },
        { emoji: "❤️", count: 1, me: true }
      ])
      assert.deepInclude((yield* ask(one, { token: ann.token })).json.reactions, { emoji: "❤️", count: 1, me: false })
      for (const wrong of ["nice", "👍👍", "%", " "]) assert.strictEqual((yield* react(bob.token, wrong)).status, 400)
      assert.strictEqual((yield* react(eve.token, "👍")).status, 404)
      assert.strictEqual((yield* react(bob.token, "❤", "DELETE")).status, 204)
      assert.strictEqual((yield* react(bob.token, "❤", "DELETE")).status, 204)
      assert.lengthOf((yield* ask(one, { token: bob.token })).json.reactions as ReadonlyArray<unknown>, 1)
    })
  )

  it.effect("pins are added, listed and removed", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { ann, bob, eve, id, message, one } = yield* start
      const pins = (token: string) => ask(`/v1/conversations/${id}/pins`, { token })
      assert.strictEqual((yield* ask(`${one}/pin`, { method: "PUT", token: bob.token })).status, 204)
      const listed = yield* pins(ann.token)
      assert.deepStrictEqual(
        items(listed.json).map((pinned) => [pinned.id, pinned.pinned]),
        [[message.id, true]]
      )
      assert.strictEqual((yield* pins(eve.token)).status, 404)
      assert.strictEqual((yield* ask(`${one}/pin`, { method: "DELETE", token: eve.token })).status, 404)
      assert.strictEqual((yield* ask(`${one}/pin`, { method: "DELETE", token: ann.token })).status, 204)
      assert.deepStrictEqual((yield* pins(ann.token)).json, { items: [] })
    })
  )

  it.effect("forwarding answers as sending does", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const { bob, eve, one } = yield* start
      const own = yield* ask("/v1/conversations", { token: bob.token, json: { kind: "dm", userId: bob.id } })
      const json = { conversationId: own.json.id, clientMessageId: "copy" }
      const copy = yield* ask(`${one}/forward`, { token: bob.token, json })
      assert.strictEqual(copy.status, 201)
      assert.deepInclude(record(copy.json.message), { body: "first", senderId: bob.id, conversationId: own.json.id })
      const again = yield* ask(`${one}/forward`, { token: bob.token, json })
      assert.deepStrictEqual([again.status, again.json], [200, { ...copy.json, duplicate: true }])
      assert.strictEqual((yield* ask(`${one}/forward`, { token: eve.token, json })).status, 404)
    })
  )
})
