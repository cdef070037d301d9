import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type ConversationId, ScheduledMessageId, type UserId } from "../../../src/domain/Ids.ts"
import type { NewScheduledMessage } from "../../../src/domain/ScheduledMessage.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { ScheduledMessages } from "../../../src/services/messages/ScheduledMessages.ts"
import {
  Backstage,
  type Chat,
  cursorWith,
  groupOf,
  listen,
  messagesIn,
  nowhere,
  outcome,
  people,
  person,
  refused,
  twoOfUs,
  wholeLog
} from "../../support/Chat.ts"
import { Time } from "../../support/Time.ts"

const inMinutes = (minutes: number) =>
  Time.use((time) => Effect.map(time.now, (now) => new Date(now.getTime() + minutes * 60_000)))

const schedule = Effect.fnUntraced(function* (
  userId: UserId,
  conversationId: ConversationId,
  body: string,
  minutes = 10,
  more: Partial<NewScheduledMessage> = {},
  key?: string
) {
  const sendAt = yield* inMinutes(minutes)
  const service = yield* ScheduledMessages
  return yield* service.create(userId, { conversationId, sendAt, body, ...more }, key)
})

const list = (userId: UserId, limit = 50, cursor?: string) =>
  ScheduledMessages.use((service) => service.list(userId, { limit, cursor }))

const pass = (minutes: number) => Time.use((time) => time.pass(minutes))

const sendDue = ScheduledMessages.use((service) => service.sendDue)

const bodies = (id: ConversationId) => Effect.map(wholeLog(id), (events) => messagesIn(events).map(({ body }) => body))

/** The contract of every Layer of ScheduledMessages. */
export const scheduledMessagesContract = <E>(layer: Layer.Layer<Chat | ScheduledMessages | Time, E>) => {
  withLayer(layer)("ScheduledMessages", (it) => {
    it.effect("refuses a blocked user's new messages and changes, and answers a retry as before", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const service = yield* ScheduledMessages
        const sendAt = yield* inMinutes(10)
        const create = service.create(b, { conversationId: id, sendAt, body: "later" }, "key")
        const scheduled = yield* create
        yield* Blocks.use((blocks) => blocks.add(a, b))
        assert.deepStrictEqual(yield* create, scheduled)
        assert.strictEqual(yield* outcome(schedule(b, id, "another")), "Forbidden")
        assert.strictEqual(yield* outcome(service.update(b, scheduled.id, { body: "changed" })), "Forbidden")
        assert.deepStrictEqual((yield* list(b)).items, [scheduled])
        assert.strictEqual(yield* outcome(schedule(a, id, "from the one who blocks")), "ok")
        assert.strictEqual(yield* outcome(service.cancel(b, scheduled.id)), "ok")
      })
    )

    it.effect("sends a message at its time, once, under its own id, and then forgets it", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const scheduled = yield* schedule(a, id, "later")
        assert.deepInclude(scheduled, { conversationId: id, body: "later", status: "scheduled", failure: null })
        assert.deepStrictEqual((yield* list(a)).items, [scheduled])
        yield* sendDue
        assert.deepStrictEqual(yield* bodies(id), [])
        yield* pass(11)
        const heard = yield* listen(conversationSubject(id))
        yield* Effect.all([sendDue, sendDue, sendDue], { concurrency: "unbounded" })
        const [message] = messagesIn(yield* wholeLog(id))
        assert.deepInclude(message, { body: "later", senderId: a, clientMessageId: scheduled.id })
        assert.lengthOf(yield* bodies(id), 1)
        assert.deepStrictEqual(
          heard.map(({ event }) => event),
          ["message.created"]
        )
        assert.deepStrictEqual((yield* list(a)).items, [])
        const service = yield* ScheduledMessages
        assert.strictEqual(yield* outcome(service.get(a, scheduled.id)), "NotFound")
        assert.strictEqual(yield* outcome(service.cancel(a, scheduled.id)), "NotFound")
      }).pipe(Effect.scoped)
    )

    it.effect("messages of one conversation are sent in the order of their times", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const [third, first, second] = [9, 3, 6]
        yield* schedule(a, id, "third", third)
        yield* schedule(b, id, "first", first)
        yield* schedule(a, id, "second", second)
        yield* pass(10)
        yield* sendDue
        assert.deepStrictEqual(yield* bodies(id), ["first", "second", "third"])
      })
    )

    it.effect("a message can be changed and cancelled until it is sent", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const service = yield* ScheduledMessages
        const one = yield* schedule(a, id, "one", 5)
        const two = yield* schedule(a, id, "two", 5)
        const sendAt = yield* inMinutes(20)
        const changed = yield* service.update(a, one.id, { body: "changed", sendAt })
        assert.deepStrictEqual(changed, { ...one, body: "changed", sendAt: sendAt.toISOString() })
        assert.deepStrictEqual(yield* service.get(a, one.id), changed)
        yield* service.cancel(a, two.id)
        for (const another of [one.id, ScheduledMessageId.make(nowhere)]) {
          assert.strictEqual(yield* outcome(service.get(b, another)), "NotFound")
          assert.strictEqual(yield* outcome(service.update(b, another, {})), "NotFound")
          assert.strictEqual(yield* outcome(service.cancel(b, another)), "NotFound")
        }
        assert.strictEqual(yield* refused(service.update(a, one.id, { sendAt: yield* inMinutes(-1) })), "sendAt")
        assert.strictEqual(yield* refused(service.update(a, one.id, { body: " " })), "body")
        yield* pass(10)
        yield* sendDue
        assert.deepStrictEqual(yield* bodies(id), [])
        yield* pass(15)
        yield* sendDue
        assert.deepStrictEqual(yield* bodies(id), ["changed"])
      })
    )

    it.effect("a message fails when its sender may no longer send, and can be scheduled again", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a, b)
        const { id: scheduled } = yield* schedule(b, id, "too late")
        yield* Backstage.use(({ leave }) => leave(id, b))
        yield* pass(11)
        yield* sendDue
        const service = yield* ScheduledMessages
        const failed = yield* service.get(b, scheduled)
        assert.strictEqual(failed.status, "failed")
        assert.strictEqual(failed.failure?.type, "/problems/not-found")
        yield* sendDue
        assert.deepStrictEqual(yield* bodies(id), [])
        assert.strictEqual(yield* refused(service.update(b, scheduled, { body: "again" })), "sendAt")
        const again = yield* service.update(b, scheduled, { sendAt: yield* inMinutes(1) })
        assert.deepInclude(again, { status: "scheduled", failure: null })
        yield* service.cancel(b, scheduled)
        assert.deepStrictEqual((yield* list(b)).items, [])
      })
    )

    it.effect("a retry under the same key answers with the same message", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const sendAt = yield* inMinutes(5)
        const first = yield* schedule(a, id, "once", 5, { sendAt }, "key")
        assert.deepStrictEqual(yield* schedule(a, id, "once", 5, { sendAt }, "key"), first)
        assert.strictEqual(yield* outcome(schedule(a, id, "twice", 5, { sendAt }, "key")), "idempotency-key-reused")
        assert.notStrictEqual((yield* schedule(b, id, "once", 5, { sendAt }, "key")).id, first.id)
        assert.lengthOf((yield* list(a)).items, 1)
      })
    )

    it.effect("refuses content that could not be sent now, times out of bounds, and too many messages", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const times = [
          [-1, "sendAt"],
          [366 * 24 * 60, "sendAt"],
          [364 * 24 * 60, "ok"]
        ] as const
        for (const [minutes, expected] of times) {
          assert.strictEqual(yield* refused(schedule(a, id, "x", minutes)), expected)
        }
        assert.strictEqual(yield* refused(schedule(a, id, " ")), "body")
        assert.strictEqual(yield* refused(schedule(a, id, "x", 1, { type: "system" })), "type")
        assert.strictEqual(yield* outcome(schedule(a, nowhere, "x")), "NotFound")
        assert.strictEqual(yield* outcome(schedule(yield* person, id, "x")), "NotFound")
        for (let n = 1; n < 100; n++) yield* schedule(a, id, `${n}`)
        assert.strictEqual(yield* outcome(schedule(a, id, "one too many")), "too-many-scheduled")
      })
    )

    it.effect("lists in pages, the next message first", () =>
      Effect.gen(function* () {
        const [a] = yield* people(1)
        if (a === undefined) return
        const id = yield* groupOf(a)
        for (const minutes of [3, 1, 2]) yield* schedule(a, id, `in ${minutes}`, minutes)
        const first = yield* list(a, 2)
        const rest = yield* list(a, 2, first.nextCursor)
        assert.deepStrictEqual(
          [...first.items, ...rest.items].map(({ body }) => body),
          ["in 1", "in 2", "in 3"]
        )
        assert.notProperty(rest, "nextCursor")
        assert.strictEqual(yield* refused(list(a, 0)), "limit")
        for (const cursor of ["no cursor", cursorWith({ at: 9e15, id: a }), cursorWith({ at: -8.64e15, id: a })])
          assert.strictEqual(yield* refused(list(a, 1, cursor)), "cursor")
      })
    )
  })
}
