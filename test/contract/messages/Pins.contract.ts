import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { Pins } from "../../../src/services/messages/Pins.ts"
import {
  Backstage,
  type Chat,
  entryOf,
  groupOf,
  outcome,
  person,
  refused,
  store,
  twoOfUs,
  wholeLog
} from "../../support/Chat.ts"

const all = { limit: 50 }

/** Sends a new message and returns its id. */
const say = (id: ConversationId, senderId: UserId) =>
  Effect.map(store(entryOf(id, senderId)), ({ message }) => message.id)

/** The last event of the log, and the length of the log. */
const last = Effect.fnUntraced(function* (id: ConversationId) {
  const events = yield* wholeLog(id)
  return { head: events.length, event: events.at(-1) }
})

/** The contract of Pins, for every Layer. */
export const pinsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Pins", (it) => {
    it.effect("pinning depends on the role, makes events for everybody, and lists the latest message first", () =>
      Effect.gen(function* () {
        const pins = yield* Pins
        const backstage = yield* Backstage
        const [owner, admin, member] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(owner, admin, member)
        yield* backstage.setRole(id, admin, "admin")
        const [one, two, three] = [yield* say(id, member), yield* say(id, owner), yield* say(id, admin)]
        assert.strictEqual(yield* outcome(pins.add(member, id, one)), "Forbidden")
        assert.strictEqual(yield* outcome(pins.remove(member, id, one)), "Forbidden")
        yield* pins.add(admin, id, three)
        yield* pins.add(owner, id, one)
        yield* pins.add(admin, id, two)
        yield* pins.add(owner, id, two)
        const { event, head } = yield* last(id)
        assert.deepInclude(event, {
          event: "message.pinned",
          actorId: admin,
          data: { messageId: two, messageSeq: 3 }
        })
        const { items } = yield* pins.list(member, id, all)
        assert.deepStrictEqual(
          items.map((message) => [message.id, message.pinned]),
          [
            [three, true],
            [two, true],
            [one, true]
          ]
        )
        const first = yield* pins.list(member, id, { limit: 2 })
        const next = yield* pins.list(member, id, { limit: 2, cursor: first.nextCursor })
        assert.deepStrictEqual([...first.items, ...next.items], items)
        assert.strictEqual(yield* refused(pins.list(member, id, { limit: 2, cursor: "?" })), "cursor")
        yield* pins.remove(admin, id, one)
        yield* pins.remove(owner, id, one)
        const unpinned = yield* last(id)
        assert.deepInclude(unpinned.event, { event: "message.unpinned", seq: head + 1 })
        assert.strictEqual(unpinned.head, head + 1)
        yield* backstage.seeFrom(id, member, 4)
        assert.deepStrictEqual(
          (yield* pins.list(member, id, all)).items.map((message) => message.id),
          [three]
        )
        assert.strictEqual(yield* outcome(pins.list(yield* person, id, all)), "NotFound")
        const dm = yield* twoOfUs
        const theirs = yield* say(dm.id, dm.a)
        yield* pins.add(dm.b, dm.id, theirs)
        assert.lengthOf((yield* pins.list(dm.a, dm.id, all)).items, 1)
      })
    )
  })
}
