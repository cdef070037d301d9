import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { NewDraft } from "../../../src/domain/Draft.ts"
import { type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import { userSubject } from "../../../src/services/bus/Subjects.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Drafts } from "../../../src/services/messages/Drafts.ts"

import { Sync } from "../../../src/services/messages/Sync.ts"
import {
  Backstage,
  type Chat,
  groupOf,
  listen,
  nowhere,
  outcome,
  person,
  refused,
  twoOfUs
} from "../../support/Chat.ts"

const set = (userId: UserId, id: ConversationId, draft: NewDraft) =>
  Drafts.use((drafts) => drafts.set(userId, id, draft))
const clear = (userId: UserId, id: ConversationId) => Drafts.use((drafts) => drafts.clear(userId, id))

const list = (userId: UserId, limit = 50, cursor?: string) =>
  Drafts.use((drafts) => drafts.list(userId, { limit, cursor }))

const bodies = (userId: UserId) => Effect.map(list(userId), ({ items }) => items.map(({ body }) => body))

const head = (userId: UserId) =>
  Conversations.use((conversations) => Effect.map(conversations.memberships(userId), ({ userSeq }) => userSeq))

/** The contract of every Layer of Drafts. */
export const draftsContract = <E>(layer: Layer.Layer<Chat | Drafts | Sync, E>) => {
  withLayer(layer)("Drafts", (it) => {
    it.effect("a user has one draft in each conversation, and nobody else sees it", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const replyTo = MessageId.make("00000000-0000-7000-8000-000000000001")
        yield* set(a, id, { body: "first" })
        yield* set(a, id, { body: " second\n", replyTo })
        const { items } = yield* list(a)
        assert.lengthOf(items, 1)
        assert.deepInclude(items[0], { conversationId: id, body: " second\n", replyTo })
        assert.deepStrictEqual(yield* bodies(b), [])
        yield* clear(a, id)
        assert.deepStrictEqual(yield* bodies(a), [])
      })
    )

    it.effect(
      "each change takes a user seq and is sent to the user's own devices; setting the same again does neither",
      () =>
        Effect.gen(function* () {
          const { a, b, id } = yield* twoOfUs
          const before = yield* head(a)
          const [mine, others] = [yield* listen(userSubject(a)), yield* listen(userSubject(b))]
          yield* clear(a, id)
          yield* set(a, id, { body: "x" })
          yield* set(a, id, { body: "x", replyTo: null })
          yield* clear(a, id)
          yield* clear(a, id)
          assert.strictEqual(yield* head(a), before + 2)
          const received = mine.map(({ conversationId, event, json }) => {
            const { data } = JSON.parse(json)
            return [event, conversationId, data.draft?.body ?? null]
          })
          assert.deepStrictEqual(received, [
            ["draft.updated", id, "x"],
            ["draft.updated", id, null]
          ])
          assert.lengthOf(others, 0)
        }).pipe(Effect.scoped)
    )

    it.effect("a draft that comes late does not bring back one that was cleared, nor replace a newer one", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const before = yield* head(a)
        const late = set(a, id, { body: "late", ifUserSeq: before })
        yield* late
        // A retry of the stored draft is answered like the first request.
        yield* late
        const heard = yield* listen(userSubject(a))
        yield* clear(a, id)
        assert.strictEqual(yield* outcome(late), "draft-changed")
        assert.deepStrictEqual(yield* bodies(a), [])
        const cleared = JSON.parse(heard[0]?.json ?? "").data
        assert.deepStrictEqual(cleared, { draft: null, userSeq: yield* head(a) })
        yield* set(a, id, { body: "next", ifUserSeq: cleared.userSeq })
        assert.strictEqual(yield* outcome(set(a, id, { body: "other", ifUserSeq: cleared.userSeq })), "draft-changed")
        const { items } = yield* list(a)
        assert.deepStrictEqual(
          items.map(({ body, userSeq }) => [body, userSeq]),
          [["next", yield* head(a)]]
        )
        assert.lengthOf(heard, 2, "a refused draft is not sent to the devices")
        yield* set(a, id, { body: "without a precondition" })
        assert.deepStrictEqual(yield* bodies(a), ["without a precondition"])
      }).pipe(Effect.scoped)
    )

    it.effect("a device that reconnects gets the drafts that were set and those that were cleared", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const other = yield* groupOf(a)
        yield* set(a, id, { body: "known" })
        const userSeq = yield* head(a)
        const sync = (from: { userSeq?: number }) =>
          Sync.use((service) =>
            Effect.map(service.sync(a, { cursors: {}, ...from }), ({ drafts }) =>
              drafts.map(({ conversationId, draft }) => [conversationId, draft?.body ?? null])
            )
          )
        assert.deepStrictEqual(yield* sync({ userSeq }), [])
        yield* set(a, other, { body: "new" })
        yield* clear(a, id)
        assert.deepStrictEqual(yield* sync({ userSeq }), [
          [other, "new"],
          [id, null]
        ])
        assert.deepStrictEqual(yield* sync({}), [])
      })
    )

    it.effect("lists drafts in pages, the latest change first, only of conversations that the user is in", () =>
      Effect.gen(function* () {
        const a = yield* person
        const ids = yield* Effect.forEach([1, 2, 3], () => groupOf(a))
        yield* Effect.forEach(ids, (id, n) => set(a, id, { body: `draft ${n}` }))
        const first = yield* list(a, 2)
        assert.deepStrictEqual(
          first.items.map(({ body }) => body),
          ["draft 2", "draft 1"]
        )
        const rest = yield* list(a, 2, first.nextCursor)
        assert.deepStrictEqual(
          rest.items.map(({ body }) => body),
          ["draft 0"]
        )
        assert.notProperty(rest, "nextCursor")
        const [left = nowhere] = ids
        yield* Backstage.use(({ leave }) => leave(left, a))
        assert.deepStrictEqual(yield* bodies(a), ["draft 2", "draft 1"])
        assert.strictEqual(yield* outcome(set(a, left, { body: "x" })), "NotFound")
        assert.strictEqual(yield* outcome(clear(a, left)), "NotFound")
        for (const limit of [0, 201]) assert.strictEqual(yield* refused(list(a, limit)), "limit")
        assert.strictEqual(yield* refused(list(a, 1, "no cursor")), "cursor")
      })
    )

    it.effect("refuses a draft that is too long, and one in a conversation that the user is not in", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        assert.strictEqual(yield* refused(set(a, id, { body: "x".repeat(8001) })), "body")
        assert.strictEqual(yield* outcome(set(a, nowhere, { body: "x" })), "NotFound")
        assert.strictEqual(yield* outcome(set(yield* person, id, { body: "x" })), "NotFound")
        assert.strictEqual(yield* outcome(set(a, id, { body: "x".repeat(8000) })), "ok")
      })
    )
  })
}
