import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

const items = (json: Record<string, unknown>) => json.items as ReadonlyArray<Record<string, unknown>>

/** A group with the owner ann and the member bob; cat and dan are not members. */
const group = Effect.gen(function* () {
  const { ask } = yield* HttpService
  const [ann, bob, cat, dan] = [
    yield* newcomer("ann"),
    yield* newcomer("bob"),
    yield* newcomer("cat"),
    yield* newcomer("dan")
  ]
  const made = yield* ask("/v1/conversations", {
    token: ann.token,
    json: { kind: "group", title: "Us", memberIds: [bob.id] }
  })
  return { ask, ann, bob, cat, dan, path: `/v1/conversations/${String(made.json.id)}` }
})

layer(fakeService(), { excludeTestServices: true })("groups", (it) => {
  it.effect("members are added, promoted, removed, and leave", () =>
    Effect.gen(function* () {
      const { ann, ask, bob, cat, dan, path } = yield* group
      const add = (token: string, ...userIds: ReadonlyArray<string>) =>
        ask(`${path}/members`, { token, json: { userIds } })
      const added = yield* add(ann.token, cat.id, bob.id)
      assert.strictEqual(added.status, 201)
      assert.deepStrictEqual(
        items(added.json).map(({ role, user }) => [(user as Record<string, unknown>).id, role]),
        [
          [cat.id, "member"],
          [bob.id, "member"]
        ]
      )
      assert.notInclude(added.text, "@example.com")
      assert.strictEqual((yield* add(ann.token, cat.id)).status, 200)
      assert.strictEqual((yield* add(bob.token, dan.id)).status, 403)
      assert.strictEqual((yield* add(ann.token)).status, 400)
      assert.strictEqual((yield* add(ann.token, "nonsense")).status, 404)
      const member = (userId: string, method: string, token: string, json?: unknown) =>
        ask(`${path}/members/${userId}`, { method, token, json })
      const promoted = yield* member(bob.id, "PATCH", ann.token, { role: "admin" })
      assert.deepStrictEqual([promoted.status, promoted.json.role], [200, "admin"])
      assert.strictEqual((yield* member(bob.id, "PATCH", ann.token, { role: "boss" })).status, 400)
      const last = yield* member(ann.id, "PATCH", ann.token, { role: "member" })
      assert.deepStrictEqual([last.status, last.problem.code], [409, "last-owner"])
      for (const _ of [1, 2]) {
        const removed = yield* member(cat.id, "DELETE", bob.token)
        assert.deepStrictEqual([removed.status, removed.text], [204, ""])
      }
      assert.strictEqual((yield* ask(path, { token: cat.token })).status, 404)
      assert.strictEqual((yield* member("me", "DELETE", ann.token)).status, 204)
      const log = yield* ask(`${path}/events`, { token: bob.token })
      assert.deepStrictEqual(
        items(log.json).map(({ event }) => event),
        [
          "conversation.created",
          "member.joined",
          "member.role-changed",
          "member.left",
          "member.role-changed",
          "member.left"
        ]
      )
    })
  )

  it.effect("a group and the settings of a member change field by field", () =>
    Effect.gen(function* () {
      const { ann, ask, bob, path } = yield* group
      const patch = (suffix: string, token: string, json: unknown) =>
        ask(path + suffix, { method: "PATCH", token, json })
      const changed = yield* patch("", ann.token, { title: "We", historyForNewMembers: "all" })
      assert.deepStrictEqual(
        [changed.status, changed.json.title, changed.json.historyForNewMembers, changed.json.seq],
        [200, "We", "all", 2]
      )
      assert.strictEqual((yield* patch("", bob.token, { title: "I" })).status, 403)
      assert.strictEqual((yield* patch("", ann.token, { title: " " })).status, 400)
      const mine = yield* patch("/settings", bob.token, { mutedUntil: "2030-01-31T12:00:00Z", notify: "none" })
      assert.deepStrictEqual(
        [mine.status, mine.json.mutedUntil, mine.json.notify, mine.json.archived],
        [200, "2030-01-31T12:00:00.000Z", "none", false]
      )
      for (const mutedUntil of ["tomorrow", "2030-02-31", "0000-01-01T00:00:00Z", "2030-13-01T00:00:00Z", 5]) {
        assert.strictEqual((yield* patch("/settings", bob.token, { mutedUntil })).status, 400, String(mutedUntil))
      }
      const dm = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
      const refused = yield* ask(`/v1/conversations/${String(dm.json.id)}`, {
        method: "PATCH",
        token: ann.token,
        json: { title: "x" }
      })
      assert.deepStrictEqual([refused.status, refused.problem.code], [409, "not-a-group"])
    })
  )

  it.effect("an invite is made, listed, accepted and revoked", () =>
    Effect.gen(function* () {
      const { ann, ask, bob, cat, dan, path } = yield* group
      const make = (token: string, json?: unknown, headers: Record<string, string> = {}) =>
        ask(`${path}/invites`, { method: "POST", token, json, headers })
      const made = yield* make(ann.token, { maxUses: 1, expiresInSeconds: 60 }, { "idempotency-key": "k" })
      assert.strictEqual(made.status, 201)
      const again = yield* make(ann.token, { maxUses: 1, expiresInSeconds: 60 }, { "idempotency-key": "k" })
      assert.deepStrictEqual(again.json, made.json)
      assert.strictEqual((yield* make(bob.token)).status, 403)
      assert.strictEqual((yield* make(ann.token, { maxUses: 0 })).status, 400)
      const accept = (code: unknown, token: string) =>
        ask(`/v1/invites/${String(code)}/accept`, { method: "POST", token })
      const accepted = yield* accept(made.json.code, cat.token)
      assert.deepStrictEqual([accepted.status, accepted.json.memberCount], [201, 3])
      assert.strictEqual((yield* accept(made.json.code, cat.token)).status, 200)
      const open = yield* make(ann.token)
      assert.deepInclude(open.json, { expiresAt: null, maxUses: null, uses: 0 })
      const list = yield* ask(`${path}/invites`, { token: ann.token })
      assert.deepStrictEqual(items(list.json), [open.json])
      const revoked = yield* ask(`${path}/invites/${String(open.json.code)}`, { method: "DELETE", token: ann.token })
      assert.strictEqual(revoked.status, 204)
      const answers = [
        yield* accept(made.json.code, dan.token),
        yield* accept(open.json.code, dan.token),
        yield* accept("nothing", dan.token),
        yield* accept("a%00b", dan.token)
      ].map(({ problem, status }) => [status, problem.detail])
      assert.deepStrictEqual(new Set(answers.map(String)).size, 1)
      assert.strictEqual(answers[0]?.[0], 404)
    })
  )

  it.effect("a block refuses messages in the DM, and the adding to groups", () =>
    Effect.gen(function* () {
      const { ann, ask, bob, cat } = yield* group
      const block = (method: string, userId: string) =>
        ask(`/v1/users/me/blocks/${userId}`, { method, token: cat.token })
      assert.strictEqual((yield* block("PUT", bob.id)).status, 204)
      assert.strictEqual((yield* block("PUT", cat.id)).status, 400)
      assert.strictEqual((yield* block("PUT", "nobody")).status, 404)
      const list = yield* ask("/v1/users/me/blocks", { token: cat.token })
      assert.deepStrictEqual(
        items(list.json).map(({ user }) => (user as Record<string, unknown>).id),
        [bob.id]
      )
      const refused = yield* ask("/v1/conversations", { token: bob.token, json: { kind: "dm", userId: cat.id } })
      assert.strictEqual(refused.status, 403)
      const dm = yield* ask("/v1/conversations", { token: cat.token, json: { kind: "dm", userId: bob.id } })
      assert.strictEqual(dm.status, 201)
      const say = (token: string, clientMessageId: string) =>
        ask(`/v1/conversations/${String(dm.json.id)}/messages`, { token, json: { clientMessageId, body: "x" } })
      assert.strictEqual((yield* say(bob.token, "b1")).status, 403)
      assert.strictEqual((yield* say(cat.token, "c1")).status, 201)
      const json = { kind: "group", title: "x", memberIds: [ann.id, cat.id] }
      assert.strictEqual((yield* ask("/v1/conversations", { token: bob.token, json })).status, 403)
      assert.strictEqual((yield* block("DELETE", bob.id)).status, 204)
      assert.strictEqual((yield* say(bob.token, "b1")).status, 201)
    })
  )
})
