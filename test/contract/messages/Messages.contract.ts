import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, Layer } from "effect"
import { AttachmentId, ClientMessageId, type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import type { NewMessage } from "../../../src/domain/Message.ts"
import type { HistoryQuery } from "../../../src/services/messages/MessageRules.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import {
  Backstage,
  type Chat,
  nowhere,
  outcome,
  person,
  problem,
  refused,
  twoOfUs,
  wholeLog
} from "../../support/Chat.ts"

const nothing = MessageId.make("00000000-0000-7000-8000-000000000000")

let sent = 0

const text = (body: string, change: Partial<NewMessage> = {}): NewMessage => {
  sent++
  return { clientMessageId: ClientMessageId.make(`sent-${sent}`), body, ...change }
}

/** Messages with a lower limit on the length. */
const strict = Layer.fresh(Messages.layer).pipe(
  Layer.provide(SettingsMemory.layerMemory({ limits: { messageLength: 3 } }))
)

/** The contract of Messages on every Layer of Log, with the default limits. */
export const messagesContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Messages", (it) => {
    it.effect("posting answers with the message, sending with its acknowledgement", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const posted = text("Hello")
        const { duplicate, message } = yield* messages.post(a, id, posted)
        assert.isFalse(duplicate)
        assert.deepInclude(message, {
          conversationId: id,
          seq: 2,
          senderId: a,
          type: "text",
          body: "Hello",
          clientMessageId: posted.clientMessageId
        })
        assert.deepStrictEqual(yield* messages.get(b, id, message.id), message)
        const ack = { messageId: message.id, seq: 2, createdAt: message.createdAt, duplicate: true }
        assert.deepStrictEqual(yield* messages.send(a, id, posted), ack)
        assert.deepStrictEqual(yield* messages.post(a, id, posted), { message, duplicate: true })
        const next = yield* messages.send(b, id, text("Hi", { replyTo: message.id }))
        assert.deepInclude(next, { seq: 3, duplicate: false })
        const reply = yield* messages.get(a, id, next.messageId)
        assert.deepInclude(reply.replyTo, { messageId: message.id, excerpt: "Hello" })
      })
    )

    it.effect("an id stands for one request only", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, id } = yield* twoOfUs
        const other = yield* messages.send(a, id, text("other"))
        const first = text("first", { replyTo: null })
        yield* messages.send(a, id, first)
        const { clientMessageId } = first
        const same: NewMessage = { clientMessageId, body: "first", type: "text", threadRoot: null, attachments: [] }
        assert.strictEqual(yield* outcome(messages.send(a, id, same)), "ok")
        for (const change of [{ body: "second" }, { replyTo: other.messageId }, { replyTo: nothing }]) {
          assert.strictEqual(yield* outcome(messages.send(a, id, { ...first, ...change })), "message-id-reused")
        }
        assert.lengthOf(yield* wholeLog(id), 3)
      })
    )

    it.effect("a known id is answered before the checks", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, id } = yield* twoOfUs
        const known = text("known")
        yield* messages.send(a, id, known)
        assert.strictEqual(yield* outcome(messages.send(a, id, { ...known, body: "" })), "message-id-reused")
        const long = text("longer than the limit will be")
        const { messageId } = yield* messages.send(a, id, long)
        const lowered = yield* Effect.provide(Messages, strict)
        assert.deepInclude(yield* lowered.send(a, id, long), { messageId, seq: 3, duplicate: true })
        assert.deepInclude((yield* lowered.post(a, id, long)).message, { id: messageId, body: long.body })
        assert.strictEqual(yield* refused(lowered.send(a, id, text(long.body))), "body")
        assert.lengthOf(yield* wholeLog(id), 3)
      })
    )

    it.effect("refuses bad content, and stores nothing of it", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, id } = yield* twoOfUs
        const send = (body: string, change?: Partial<NewMessage>) => refused(messages.send(a, id, text(body, change)))
        for (const body of ["", " \n\t\u2003", "x".repeat(8001)]) assert.strictEqual(yield* send(body), "body")
        assert.strictEqual(yield* send("x", { type: "system" }), "type")
        assert.strictEqual(yield* send("x", { attachments: [AttachmentId.make(nothing)] }), "NotFound")
        assert.strictEqual(yield* send("x", { threadRoot: nothing }), "NotFound")
        assert.strictEqual(yield* send("x", { replyTo: nothing }), "NotFound")
        assert.lengthOf(yield* wholeLog(id), 1)
        assert.strictEqual(yield* send("x".repeat(8000)), "ok")
      })
    )

    it.effect("sends of one caller are stored in the order of the calls", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const acks = yield* Effect.forEach(
          Arr.range(1, 100),
          (n) => messages.send(n % 2 === 0 ? a : b, id, text(`${n}`)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          acks.map(({ seq }) => seq),
          Arr.range(2, 101)
        )
      })
    )

    it.effect("lists before, after or around a seq, and refuses several bounds", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        yield* Effect.forEach(Arr.range(1, 5), (n) => messages.send(a, id, text(`${n}`)))
        const list = (query: HistoryQuery) =>
          Effect.map(messages.list(b, id, query), ({ hasAfter, hasBefore, items }) => [
            items.map(({ seq }) => seq),
            hasBefore,
            hasAfter
          ])
        assert.deepStrictEqual(yield* list({ limit: 2 }), [[5, 6], true, false])
        assert.deepStrictEqual(yield* list({ before: 5, limit: 2 }), [[3, 4], true, true])
        assert.deepStrictEqual(yield* list({ after: 0, limit: 2 }), [[2, 3], false, true])
        assert.deepStrictEqual(yield* list({ around: 4, limit: 3 }), [[3, 4, 5], true, true])
        for (const query of [
          { before: 1, after: 1 },
          { after: 1, around: 1 },
          { before: 1, after: 1, around: 1 }
        ]) {
          assert.strictEqual(yield* refused(messages.list(b, id, { ...query, limit: 2 })), "before")
        }
        for (const limit of [0, 201, Number.NaN]) {
          assert.strictEqual(yield* refused(messages.list(b, id, { limit })), "limit")
          assert.strictEqual(yield* refused(messages.events(b, id, { after: 0, limit })), "limit")
        }
        const { head, items } = yield* messages.events(b, id, { after: 4, limit: 200 })
        assert.deepStrictEqual([items.map(({ seq }) => seq), head], [[5, 6], 6])
      })
    )

    it.effect("strangers and former members get the same answer as for something that does not exist", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const known = text("known")
        const { messageId } = yield* messages.send(b, id, known)
        yield* Backstage.use(({ leave }) => leave(id, b))
        const answers = (conversationId: ConversationId, userId: UserId) =>
          Effect.all([
            problem(messages.send(userId, conversationId, text("x"))),
            problem(messages.send(userId, conversationId, text(""))),
            problem(messages.send(userId, conversationId, known)),
            problem(messages.post(userId, conversationId, known)),
            problem(messages.post(userId, conversationId, text("x", { replyTo: messageId }))),
            problem(messages.get(userId, conversationId, messageId)),
            problem(messages.list(userId, conversationId, { limit: 10 })),
            problem(messages.events(userId, conversationId, { after: 0, limit: 10 }))
          ])
        const unknown = yield* answers(nowhere, a)
        for (const answer of unknown) assert.deepInclude(answer, { status: 404 })
        assert.deepStrictEqual(yield* answers(id, yield* person), unknown)
        assert.deepStrictEqual(yield* answers(id, b), unknown)
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )
  })
}
