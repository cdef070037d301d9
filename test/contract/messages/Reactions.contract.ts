import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer, Schema } from "effect"
import { Emoji } from "../../../src/domain/Emoji.ts"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Reactions } from "../../../src/services/messages/Reactions.ts"
import { type Chat, entryOf, groupOf, outcome, person, store, twoOfUs, wholeLog } from "../../support/Chat.ts"

const emoji = Schema.decodeSync(Emoji)

/** Sends a new message and returns its id. */
const say = (id: ConversationId, senderId: UserId) =>
  Effect.map(store(entryOf(id, senderId)), ({ message }) => message.id)

/** The last event of the log, and the length of the log. */
const last = Effect.fnUntraced(function* (id: ConversationId) {
  const events = yield* wholeLog(id)
  return { head: events.length, event: events.at(-1) }
})

const head = (id: ConversationId) => Effect.map(wholeLog(id), (events) => events.length)

/** The contract of Reactions, for every Layer. */
export const reactionsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Reactions", (it) => {
    it.effect("each member gives each reaction once, and the event has the count", () =>
      Effect.gen(function* () {
        const reactions = yield* Reactions
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const messageId = yield* say(id, a)
        const shown = (userId: UserId) =>
          Effect.map(messages.get(userId, id, messageId), (message) => message.reactions)
        yield* reactions.add(a, id, messageId, emoji("👍"))
        yield* reactions.add(b, id, messageId, emoji("❤️"))
        yield* reactions.add(b, id, messageId, emoji("👍"))
        yield* reactions.add(b, id, messageId, emoji("👍"))
        const { event } = yield* last(id)
        const data = { messageId, messageSeq: 2, emoji: "👍", userId: b, count: 2 }
        assert.deepInclude(event, { event: "reaction.added", seq: 5, actorId: b, data })
        assert.deepStrictEqual(yield* shown(a), [
          { emoji: "👍", count: 2, me: true },
          { emoji: "❤️", count: 1, me: false }
        ])
        const inList = yield* messages.list(b, id, { limit: 1 })
        assert.deepStrictEqual(inList.items[0]?.reactions, [
          { emoji: "👍", count: 2, me: true },
          { emoji: "❤️", count: 1, me: true }
        ])
        const { lastMessage } = yield* Conversations.use((conversations) => conversations.get(a, id))
        assert.deepStrictEqual(lastMessage?.reactions, yield* shown(a))
        const [, created] = yield* wholeLog(id)
        assert.deepStrictEqual(created?.event === "message.created" && created.data.message.reactions, [
          { emoji: "👍", count: 2 },
          { emoji: "❤️", count: 1 }
        ])
        yield* reactions.remove(a, id, messageId, emoji("👍"))
        yield* reactions.remove(a, id, messageId, emoji("❤️"))
        yield* reactions.remove(b, id, messageId, emoji("❤️"))
        const removed = yield* last(id)
        assert.deepInclude(removed.event, {
          event: "reaction.removed",
          seq: 7,
          data: { messageId, messageSeq: 2, emoji: "❤️", userId: b, count: 0 }
        })
        assert.deepStrictEqual(yield* shown(a), [{ emoji: "👍", count: 1, me: false }])
        yield* reactions.remove(b, id, messageId, emoji("👍"))
        assert.deepStrictEqual(yield* shown(a), [])
      })
    )

    it.effect("a message has at most 20 different reactions, and one member gives it at most 10", () =>
      Effect.gen(function* () {
        const reactions = yield* Reactions
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, c)
        const messageId = yield* say(id, a)
        const nth = (n: number) => emoji(String.fromCodePoint(0x1f600 + n))
        const add = (who: UserId, from: number, to: number) =>
          Effect.forEach(Arr.range(from, to), (n) => outcome(reactions.add(who, id, messageId, nth(n))))
        assert.deepStrictEqual(yield* add(a, 0, 10), [...Arr.replicate("ok", 10), "too-many-reactions"])
        assert.deepStrictEqual(yield* add(a, 0, 0), ["ok"], "it is there already")
        assert.deepStrictEqual(yield* add(b, 10, 19), Arr.replicate("ok", 10), "the others are still there for b")
        assert.deepStrictEqual(yield* add(c, 20, 20), ["too-many-reactions"])
        assert.deepStrictEqual(yield* add(c, 0, 0), ["ok"])
        assert.deepStrictEqual(yield* add(b, 0, 0), ["too-many-reactions"], "also one that the message has")
        yield* reactions.remove(a, id, messageId, nth(0))
        assert.deepStrictEqual(yield* add(a, 19, 19), ["ok"])
        assert.strictEqual(yield* head(id), 25, "a reaction that was refused or there already is no event")
      })
    )
  })
}
