import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import { userSubject } from "../../../src/services/bus/Subjects.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Stars } from "../../../src/services/messages/Stars.ts"
import { Sync } from "../../../src/services/messages/Sync.ts"
import {
  Backstage,
  type Chat,
  entryOf,
  groupOf,
  listen,
  outcome,
  person,
  refused,
  store,
  twoOfUs,
  wholeLog
} from "../../support/Chat.ts"

/** Sends a new message and returns its id. */
const say = (id: ConversationId, senderId: UserId) =>
  Effect.map(store(entryOf(id, senderId)), ({ message }) => message.id)

const userSeqOf = (userId: UserId) =>
  Conversations.use((conversations) => Effect.map(conversations.memberships(userId), ({ userSeq }) => userSeq))

const listed = (userId: UserId) =>
  Stars.use((stars) => Effect.map(stars.list(userId, { limit: 50 }), ({ items }) => items.map(({ id }) => id)))

/** The contract of Stars, for every Layer. */
export const starsContract = <E>(layer: Layer.Layer<Chat | Sync, E>) => {
  withLayer(layer)("Stars", (it) => {
    it.effect("a saved message is listed for its user alone, the last one saved first, over all conversations", () =>
      Effect.gen(function* () {
        const stars = yield* Stars
        const { a, b, id } = yield* twoOfUs
        const group = yield* groupOf(a, b)
        const [one, two, three] = [yield* say(id, b), yield* say(group, b), yield* say(id, a)]
        yield* stars.add(a, id, three)
        yield* stars.add(a, id, one)
        yield* stars.add(a, group, two)
        assert.deepStrictEqual(yield* listed(a), [two, one, three])
        assert.deepStrictEqual(yield* listed(b), [])
        const first = yield* stars.list(a, { limit: 2 })
        const rest = yield* stars.list(a, { limit: 2, cursor: first.nextCursor })
        assert.deepStrictEqual(
          [...first.items, ...rest.items].map((message) => message.id),
          [two, one, three]
        )
        assert.isUndefined(rest.nextCursor)
        yield* stars.remove(a, id, one)
        yield* stars.add(a, id, three)
        assert.deepStrictEqual(yield* listed(a), [two, three])
        yield* stars.remove(a, id, three)
        yield* stars.add(a, id, three)
        assert.deepStrictEqual(yield* listed(a), [three, two])
        assert.strictEqual(yield* refused(stars.list(a, { limit: 2, cursor: "?" })), "cursor")
        assert.strictEqual(yield* refused(stars.list(a, { limit: 0 })), "limit")
      })
    )

    it.effect("each change takes a user seq, no seq of the log, and reaches the user's own devices", () =>
      Effect.gen(function* () {
        const stars = yield* Stars
        const { a, b, id } = yield* twoOfUs
        const messageId = yield* say(id, b)
        const log = yield* wholeLog(id)
        const before = yield* userSeqOf(a)
        const [mine, others] = [yield* listen(userSubject(a)), yield* listen(userSubject(b))]
        yield* stars.remove(a, id, messageId)
        yield* stars.add(a, id, messageId)
        yield* stars.add(a, id, messageId)
        yield* stars.remove(a, id, messageId)
        assert.strictEqual(yield* userSeqOf(a), before + 2)
        assert.deepStrictEqual(yield* wholeLog(id), log)
        const { seq: messageSeq } = log.at(-1) ?? { seq: 0 }
        assert.deepStrictEqual(
          mine.map(({ json }) => JSON.parse(json)),
          [true, false].map((starred) => ({
            event: "star.updated",
            conversationId: id,
            data: { messageId, messageSeq, starred }
          }))
        )
        assert.deepStrictEqual(others, [])
        const sync = yield* Sync
        const missed = yield* sync.sync(a, { cursors: {}, userSeq: before })
        assert.deepStrictEqual(missed.stars, [{ conversationId: id, messageId, messageSeq, starred: false }])
        assert.deepStrictEqual((yield* sync.sync(a, { cursors: {}, userSeq: before + 2 })).stars, [])
        assert.deepStrictEqual((yield* sync.sync(a, { cursors: {} })).stars, [])
      })
    )

    it.effect("deleted and hidden messages leave the list, and so do those of conversations that were left", () =>
      Effect.gen(function* () {
        const stars = yield* Stars
        const changes = yield* MessageChanges
        const backstage = yield* Backstage
        const [owner, member] = [yield* person, yield* person]
        const id = yield* groupOf(owner, member)
        const [old, deleted, hidden, kept] = [
          yield* say(id, owner),
          yield* say(id, owner),
          yield* say(id, owner),
          yield* say(id, owner)
        ]
        for (const messageId of [old, deleted, hidden, kept]) yield* stars.add(member, id, messageId)
        yield* changes.delete(owner, id, deleted)
        yield* changes.hide(member, id, hidden)
        yield* backstage.seeFrom(id, member, 3)
        assert.deepStrictEqual(yield* listed(member), [kept])
        assert.strictEqual(yield* outcome(stars.add(owner, id, deleted)), "message-deleted")
        yield* stars.remove(member, id, deleted)
        assert.strictEqual(yield* outcome(stars.add(member, id, old)), "NotFound")
        assert.strictEqual(yield* outcome(stars.remove(member, id, old)), "NotFound")
        assert.strictEqual(yield* outcome(stars.add(yield* person, id, kept)), "NotFound")
        const nobodys = MessageId.make("00000000-0000-7000-8000-000000000001")
        assert.strictEqual(yield* outcome(stars.add(member, id, nobodys)), "NotFound")
        const dm = yield* twoOfUs
        assert.strictEqual(yield* outcome(stars.add(dm.a, dm.id, kept)), "NotFound")
        yield* backstage.leave(id, member)
        assert.deepStrictEqual(yield* listed(member), [])
        assert.strictEqual(yield* outcome(stars.remove(member, id, kept)), "NotFound")
      })
    )
  })
}
