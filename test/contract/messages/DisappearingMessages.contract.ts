import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { DisappearingMessages } from "../../../src/services/messages/DisappearingMessages.ts"
import {
  Backstage,
  type Chat,
  dmOf,
  entryOf,
  groupOf,
  listen,
  outcome,
  person,
  store,
  twoOfUs,
  wholeLog
} from "../../support/Chat.ts"
import { Time } from "../../support/Time.ts"

const say = (id: ConversationId, senderId: UserId, body: string) =>
  Effect.map(store(entryOf(id, senderId, { body })), ({ ack }) => ack)

const setLifetime = (id: ConversationId, userId: UserId, messageLifetimeSeconds: number | null) =>
  ConversationChanges.use((changes) => changes.update(userId, id, { messageLifetimeSeconds }))

const pass = (minutes: number) => Time.use((time) => time.pass(minutes))

const expire = DisappearingMessages.use(({ expireDue }) => Effect.repeat(expireDue, { while: (more) => more }))

/** The bodies of the history; a tombstone is "". */
const bodies = (id: ConversationId, userId: UserId) =>
  Log.use((log) =>
    Effect.map(log.messages({ conversationId: id, userId, place: { newest: true }, limit: 200 }), ({ items }) =>
      items.map(({ body }) => body)
    )
  )

const hour = 3600

/** The contract of every Layer of DisappearingMessages. */
export const disappearingMessagesContract = <E>(
  layer: Layer.Layer<Chat | ConversationChanges | DisappearingMessages | Time, E>
) => {
  withLayer(layer)("DisappearingMessages", (it) => {
    it.effect("messages that are sent while a lifetime is set are deleted when it ends; earlier messages stay", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* say(id, a, "before")
        const changed = yield* setLifetime(id, b, hour)
        assert.strictEqual(changed.messageLifetimeSeconds, hour)
        const { messageId, seq } = yield* say(id, a, "fleeting")
        yield* pass(50)
        yield* say(id, b, "later")
        yield* expire
        assert.deepStrictEqual(yield* bodies(id, a), ["before", "fleeting", "later"])
        yield* pass(11)
        const heard = yield* listen(conversationSubject(id))
        yield* expire
        yield* expire
        assert.deepStrictEqual(yield* bodies(id, a), ["before", "", "later"])
        const [event] = (yield* wholeLog(id)).slice(-1)
        assert.deepInclude(event, { event: "message.deleted", actorId: a, data: { messageId, messageSeq: seq } })
        assert.deepStrictEqual(
          heard.map(({ event, seq }) => [event, seq]),
          [["message.deleted", 6]]
        )
        yield* pass(50)
        yield* expire
        assert.deepStrictEqual(yield* bodies(id, a), ["before", "", ""])
      }).pipe(Effect.scoped)
    )

    it.effect("a message keeps the lifetime that it was sent with", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        yield* setLifetime(id, a, hour)
        yield* say(id, a, "an hour")
        yield* setLifetime(id, a, 3 * hour)
        yield* say(id, a, "three hours")
        yield* setLifetime(id, a, null)
        yield* say(id, a, "for ever")
        yield* pass(61)
        yield* expire
        assert.deepStrictEqual(yield* bodies(id, a), ["", "three hours", "for ever"])
        yield* pass(120)
        yield* expire
        assert.deepStrictEqual(yield* bodies(id, a), ["", "", "for ever"])
        yield* setLifetime(id, a, hour)
        yield* say(id, a, "an hour again")
        yield* pass(61)
        yield* expire
        assert.deepStrictEqual(yield* bodies(id, a), ["", "", "for ever", ""])
      })
    )

    it.effect("deletes messages of former members too, and nothing twice when several nodes do it", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a, b)
        yield* setLifetime(id, a, hour)
        for (let n = 0; n < 120; n++) yield* say(id, n % 2 === 0 ? a : b, `${n}`)
        yield* Backstage.use(({ leave }) => leave(id, b))
        yield* pass(61)
        yield* Effect.all([expire, expire, expire], { concurrency: "unbounded" })
        yield* expire
        assert.deepStrictEqual(new Set(yield* bodies(id, a)), new Set([""]))
        const deleted = (yield* wholeLog(id)).filter(({ event }) => event === "message.deleted")
        assert.lengthOf(deleted, 120)
      })
    )

    it.effect("both members of a DM may set a lifetime, in a group owners; setting the same again makes no event", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const [dm, group] = [yield* dmOf(a, b), yield* groupOf(a, b)]
        for (const user of [a, b, b]) yield* setLifetime(dm, user, hour)
        const events = yield* wholeLog(dm)
        assert.lengthOf(events, 2)
        assert.deepInclude(events[1], {
          event: "conversation.updated",
          actorId: a,
          data: { messageLifetimeSeconds: hour }
        })
        assert.strictEqual(yield* outcome(setLifetime(group, b, hour)), "Forbidden")
        assert.strictEqual(yield* outcome(setLifetime(group, yield* person, hour)), "NotFound")
        yield* setLifetime(group, a, null)
        assert.lengthOf(yield* wholeLog(group), 1)
        const changes = yield* ConversationChanges
        const both = { title: "x", messageLifetimeSeconds: null }
        assert.strictEqual(yield* outcome(changes.update(a, dm, both)), "not-a-group")
        assert.deepInclude(yield* changes.update(a, group, { ...both, messageLifetimeSeconds: hour }), {
          title: "x",
          messageLifetimeSeconds: hour
        })
        const conversations = yield* Conversations
        assert.strictEqual((yield* conversations.get(b, dm)).messageLifetimeSeconds, hour)
      })
    )
  })
}
