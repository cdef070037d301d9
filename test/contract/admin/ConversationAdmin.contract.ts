import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { AuditEntry } from "../../../src/domain/Audit.ts"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import { userSubject } from "../../../src/services/bus/Subjects.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Invites } from "../../../src/services/conversations/Invites.ts"
import { ScheduledMessages } from "../../../src/services/messages/ScheduledMessages.ts"
import { Stars } from "../../../src/services/messages/Stars.ts"
import { dmOf, groupOf, listen, nowhere, outcome, people, post, until } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"
import { Time } from "../../support/Time.ts"

const actor = "cli:ann"

const idsOf = (userId: UserId) =>
  Conversations.use((conversations) =>
    Effect.map(conversations.list(userId, { limit: 50 }), ({ items }) => items.map(({ id }) => id))
  )

/** The behaviour that every implementation of ConversationAdmin must have. */
export const conversationAdminContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("ConversationAdmin", (it) => {
    it.effect("deletes a group for all its members, and nothing else", () =>
      Effect.gen(function* () {
        const admin = yield* ConversationAdmin
        const conversations = yield* Conversations
        const [a = assert.fail(), b = assert.fail(), c = assert.fail()] = yield* people(3)
        const [id, kept] = [yield* groupOf(a, b), yield* groupOf(a, b)]
        const message = yield* post(id, a)
        const { code } = yield* Invites.use((invites) => invites.create(a, id, {}))
        const sendAt = new Date((yield* (yield* Time).now).getTime() + 3_600_000)
        const scheduled = yield* ScheduledMessages
        const mine = yield* scheduled.create(b, { conversationId: id, sendAt, body: "later" })
        const stars = yield* Stars
        yield* stars.add(b, id, message.id)
        const before = (yield* conversations.memberships(b)).userSeq
        const signals = yield* listen(userSubject(b))

        yield* admin.delete(actor, id)
        yield* until(Effect.sync(() => signals.length === 1))
        assert.deepInclude(signals[0], { event: "membership.changed", conversationId: id })
        for (const user of [a, b]) {
          assert.strictEqual(yield* outcome(conversations.get(user, id)), "NotFound")
          assert.strictEqual(yield* outcome(post(id, user)), "NotFound")
          assert.deepStrictEqual(yield* idsOf(user), [kept])
        }
        const after = yield* conversations.memberships(b)
        assert.isAbove(after.userSeq, before)
        assert.deepStrictEqual(
          after.memberships.map(({ conversationId }) => conversationId),
          [kept]
        )
        assert.strictEqual(yield* outcome(Invites.use((invites) => invites.accept(c, code))), "NotFound")
        assert.strictEqual(yield* outcome(scheduled.get(b, mine.id)), "NotFound")
        assert.deepStrictEqual((yield* stars.list(b, { limit: 10 })).items, [])
        yield* post(kept, b)

        assert.strictEqual(yield* outcome(admin.delete(actor, id)), "NotFound")
        assert.strictEqual(yield* outcome(admin.delete(actor, nowhere)), "NotFound")
        const { items } = yield* Audit.use((audit) => audit.list({ limit: 10 }))
        const lines = items.filter(({ act }) => act === "admin.deleteConversation")
        assert.deepStrictEqual(
          lines.map(({ actor, detail, target }): Partial<AuditEntry> => ({ actor, detail, target })),
          [{ actor, detail: { kind: "group", members: 2 }, target: { kind: "conversation", id } }]
        )
      })
    )

    it.effect("lets two users have a new direct conversation", () =>
      Effect.gen(function* () {
        const admin = yield* ConversationAdmin
        const [a = assert.fail(), b = assert.fail()] = yield* people(2)
        const first: ConversationId = yield* dmOf(a, b)
        yield* post(first, a)
        yield* admin.delete(actor, first)
        assert.deepStrictEqual(yield* idsOf(b), [])
        const second = yield* dmOf(b, a)
        assert.notStrictEqual(second, first)
        yield* post(second, a)
        assert.deepStrictEqual(yield* idsOf(a), [second])
      })
    )
  })
}
