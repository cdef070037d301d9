import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { ExternalId } from "../../../src/domain/ExternalId.ts"
import { type ConversationId, ServiceTokenId, type UserId } from "../../../src/domain/Ids.ts"
import { AccountAdmin } from "../../../src/services/admin/AccountAdmin.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import { ServerUsers } from "../../../src/services/admin/ServerUsers.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { Erasures } from "../../../src/services/messages/Erasures.ts"
import { dmOf, entryOf, groupOf, listen, people, store, wholeLog } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const actor = "cli:ann"
const program = ServiceTokenId.make("00000000-0000-7000-8000-00000000000c")

const say = (id: ConversationId, senderId: UserId, body: string) => store(entryOf(id, senderId, { body }))

/** The bodies of the history; a tombstone is "". */
const bodies = (id: ConversationId, userId: UserId) =>
  Log.use((log) =>
    Effect.map(log.messages({ conversationId: id, userId, place: { newest: true }, limit: 200 }), ({ items }) =>
      items.map(({ body }) => body)
    )
  )

const erase = Erasures.use(({ eraseDue }) => Effect.repeat(eraseDue, { while: (more) => more }))

const newestLines = Audit.use((audit) =>
  Effect.map(audit.list({ limit: 2 }), ({ items }) => items.map(({ act, detail, target }) => [act, target.id, detail]))
)

/** The behaviour that every implementation of Erasures must have. */
export const erasuresContract = <E>(layer: Layer.Layer<Operators | Erasures, E>) => {
  withLayer(layer)("Erasures", (it) => {
    it.effect("erase everything that a deleted user has written, wherever it was, and nothing else", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail(), c = assert.fail()] = yield* people(3)
        const dm = yield* dmOf(a, b)
        const group = yield* groupOf(b, a, c)
        const left = yield* groupOf(c, a)
        const gone = yield* groupOf(c, a)
        yield* say(dm, a, "mine")
        yield* say(dm, b, "yours")
        yield* say(left, a, "mine before I left")
        yield* Members.use((members) => members.leave(a, left))
        yield* say(gone, a, "deleted with its group")
        yield* ConversationAdmin.use((conversations) => conversations.delete(actor, gone))
        // More than one step erases.
        for (let message = 0; message < 101; message++) yield* say(group, a, `number ${message}`)
        yield* say(group, c, "theirs")
        const { length } = yield* wholeLog(group)
        yield* AccountAdmin.use((accounts) => accounts.delete(actor, a, "erase"))
        // Nothing waits for it, and whoever takes the next step finds it, after a restart too.
        assert.deepStrictEqual(yield* bodies(dm, b), ["mine", "yours"])
        assert.deepStrictEqual((yield* newestLines)[0], [
          "admin.deleteAccount",
          a,
          { endedSessions: 0, messages: "erase" }
        ])
        const heard = yield* listen(conversationSubject(dm))
        yield* erase
        assert.deepStrictEqual(yield* bodies(dm, b), ["", "yours"])
        assert.deepStrictEqual(yield* bodies(left, c), [""])
        assert.deepStrictEqual(yield* bodies(group, b), [...Array.from({ length: 101 }, () => ""), "theirs"])
        const events = (yield* wholeLog(group)).slice(length)
        assert.deepStrictEqual(
          events.slice(1).map(({ actorId, event }) => [event, actorId]),
          Array.from({ length: 101 }, () => ["message.deleted", a])
        )
        assert.strictEqual(events[0]?.event, "member.left")
        assert.deepStrictEqual(
          heard.map(({ event }) => event),
          ["message.deleted"]
        )
        yield* erase
        assert.lengthOf(yield* wholeLog(group), length + 102)
        assert.strictEqual((yield* newestLines)[0]?.[1], a, "it is one line of the audit log")
      })
    )

    it.effect("leave the messages of those who were deleted without it", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail()] = yield* people(2)
        const users = yield* ServerUsers
        const [keptId, erasedId] = [ExternalId.make("erasures: kept"), ExternalId.make("erasures: erased")]
        const made = yield* users.upsert(actor, [{ externalId: keptId }, { externalId: erasedId }])
        const [kept = assert.fail(), erased = assert.fail()] = made
        const group = yield* groupOf(b, a, kept.id, erased.id)
        for (const userId of [a, kept.id, erased.id]) yield* say(group, userId, "hello")
        yield* AccountAdmin.use((accounts) => accounts.delete(actor, a))
        yield* users.delete(program, keptId, "keep")
        yield* users.delete(program, erasedId, "erase")
        assert.deepStrictEqual(yield* newestLines, [
          ["admin.deleteAccount", erased.id, { endedSessions: 0, messages: "erase" }],
          ["admin.deleteAccount", kept.id, { endedSessions: 0 }]
        ])
        yield* erase
        assert.deepStrictEqual(yield* bodies(group, b), ["hello", "hello", ""])
      })
    )
  })
}
