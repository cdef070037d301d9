import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { ClientMessageId, type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import type { HistoryPlace } from "../../../src/services/log/Entry.ts"
import { Log } from "../../../src/services/log/Log.ts"
import {
  again,
  append,
  Backstage,
  type Chat,
  dmOf,
  entryOf,
  groupOf,
  listen,
  messagesIn,
  nowhere,
  outcome,
  people,
  person,
  problem,
  store,
  twoOfUs,
  until,
  wholeLog
} from "../../support/Chat.ts"

const nothing = MessageId.make("00000000-0000-7000-8000-000000000000")
const all = { concurrency: "unbounded" } as const

/** Appends messages one after the other; the bodies are "1", "2", … */
const appendMany = (conversationId: ConversationId, senderId: UserId, count: number) =>
  Effect.forEach(Arr.range(1, count), (n) => append(entryOf(conversationId, senderId, { body: `${n}` })))

/** The behaviour that every implementation of Log must have. */
export const logContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Log: append", (it) => {
    it.effect("stores any characters of an id and a body, also in one batch", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, id } = yield* twoOfUs
        const visible = Array.from({ length: 0x7e - 0x20 }, (_, index) => String.fromCharCode(0x21 + index)).join("")
        const odd = ['"', "\\", '\\"', "{}", ",", "NULL", "null", "$&", "{a,b}", visible]
        // Each text has a batch of its own, because a batch that fails is repeated row by row.
        const batches = odd.map((text) =>
          Arr.range(1, 4).map((n) =>
            entryOf(id, a, { clientMessageId: ClientMessageId.make(`${text}${n}`), body: `${text}\n\t'"\\${n}` })
          )
        )
        yield* Effect.forEach(batches, (batch) => Effect.forEach(batch, append, all))
        const entries = batches.flat()
        const { items } = yield* log.messages({ conversationId: id, userId: a, place: { newest: true }, limit: 50 })
        assert.deepStrictEqual(
          items.map(({ body, clientMessageId }) => ({ clientMessageId, body })),
          entries.map(({ body, clientMessageId }) => ({ clientMessageId, body }))
        )
        const retried = yield* Effect.forEach(entries.map(again), append, all)
        assert.deepStrictEqual(
          retried.map(({ ack }) => [ack.messageId, ack.duplicate]),
          entries.map((entry) => [entry.id, true])
        )
      })
    )

    it.effect("acknowledges with the next seq, and every reading shows the same message", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        const heard = yield* listen(conversationSubject(id))
        const entry = entryOf(id, a, { body: "Grüße, 你好 👋🏽 \\ '; -- {\"}" })
        const { ack, message } = yield* store(entry)
        assert.deepStrictEqual(ack, { messageId: entry.id, seq: 2, createdAt: message.createdAt, duplicate: false })
        assert.deepInclude(message, {
          id: entry.id,
          conversationId: id,
          seq: 2,
          senderId: a,
          clientMessageId: entry.clientMessageId,
          type: "text",
          body: entry.body,
          replyTo: null,
          editedAt: null,
          deletedAt: null,
          revision: 1,
          changedSeq: 2
        })
        assert.deepStrictEqual(yield* log.message(b, id, entry.id), message)
        const page = yield* log.messages({ conversationId: id, userId: b, place: { newest: true }, limit: 10 })
        assert.deepStrictEqual(page, { items: [message], hasBefore: false, hasAfter: false })
        const [created, event] = yield* wholeLog(id)
        assert.deepInclude(created, { event: "conversation.created", seq: 1, actorId: a })
        assert.deepStrictEqual(created?.data, { kind: "dm", title: null, memberCount: 2 })
        assert.deepStrictEqual(event, {
          event: "message.created",
          conversationId: id,
          seq: 2,
          at: ack.createdAt,
          actorId: a,
          data: { message }
        })
        yield* until(Effect.sync(() => heard.length > 0))
        assert.deepInclude(heard[0], { event: "message.created", conversationId: id, seq: 2, except: null })
        assert.deepStrictEqual(
          heard.map(({ json }) => JSON.parse(json)),
          [event]
        )
      })
    )

    it.effect(
      "the same request again answers with the original and publishes it again for receivers that missed it",
      () =>
        Effect.gen(function* () {
          const { a, b, id } = yield* twoOfUs
          const entry = entryOf(id, a)
          const { ack } = yield* append(entry)
          yield* append(entryOf(id, b))
          const heard = yield* listen(conversationSubject(id))
          assert.deepStrictEqual(yield* append(again(entry)), { ack: { ...ack, duplicate: true }, message: null })
          yield* until(Effect.sync(() => heard.some(({ seq }) => seq === 2)))
          const republished = heard.find(({ seq }) => seq === 2)
          assert.deepStrictEqual(JSON.parse(republished?.json ?? "null"), (yield* wholeLog(id))[1])
          assert.lengthOf(yield* wholeLog(id), 3)
        })
    )

    it.effect("another request under a known id is a conflict and takes no seq", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const entry = entryOf(id, a)
        yield* append(entry)
        const { clientMessageId } = entry
        assert.strictEqual(
          yield* outcome(append(entryOf(id, a, { clientMessageId, body: "other" }))),
          "message-id-reused"
        )
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )

    it.effect("an id stands for its sender and conversation alone", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const other = yield* dmOf(a, yield* person)
        const { clientMessageId } = entryOf(id, a)
        const appended = yield* Effect.forEach(
          [
            entryOf(id, a, { clientMessageId }),
            entryOf(id, b, { clientMessageId }),
            entryOf(other, a, { clientMessageId })
          ],
          append
        )
        assert.deepStrictEqual(
          appended.map(({ ack }) => [ack.seq, ack.duplicate]),
          [
            [2, false],
            [3, false],
            [2, false]
          ]
        )
      })
    )

    it.effect("an id that is used many times at once, also in one batch, is stored once", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const entry = entryOf(id, a)
        const { clientMessageId } = entry
        const results = yield* Effect.forEach(
          [
            entryOf(id, a),
            ...Arr.makeBy(20, () => again(entry)),
            entryOf(id, a, { clientMessageId, body: "other" }),
            entryOf(id, a),
            again(entry)
          ],
          (each) => Effect.match(append(each), { onFailure: (error) => error._tag, onSuccess: ({ ack }) => ack }),
          all
        )
        const acks = results.flatMap((result) => (typeof result === "string" ? [] : [result]))
        assert.deepStrictEqual(
          results.filter((result) => typeof result === "string"),
          ["Conflict"]
        )
        assert.lengthOf(
          acks.filter(({ duplicate }) => !duplicate),
          3
        )
        const messages = messagesIn(yield* wholeLog(id))
        assert.lengthOf(messages, 3)
        assert.deepStrictEqual(new Set(acks.map(({ messageId }) => messageId)), new Set(messages.map(({ id }) => id)))
      })
    )

    it.effect("keeps the order of the calls in each of many conversations", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const owner = yield* person
        const users = [owner, ...(yield* people(4))]
        const ids = yield* Effect.replicateEffect(groupOf(owner, ...users.slice(1)), 20)
        const heard = yield* Effect.forEach(ids, (id) => listen(conversationSubject(id)))
        const entries = Arr.range(1, 12).flatMap((n) =>
          ids.flatMap((id) => users.map((user) => entryOf(id, user, { body: `${n}` })))
        )
        const acks = yield* Effect.forEach(entries, append, all)
        assert.strictEqual(acks.filter(({ ack }) => !ack.duplicate).length, 12 * 20 * 5)
        const heads = yield* log.heads(ids)
        for (const [index, id] of ids.entries()) {
          assert.strictEqual(heads.get(id), 61)
          const expected = entries.filter(({ conversationId }) => conversationId === id).map(({ id }) => id)
          assert.deepStrictEqual(
            messagesIn(yield* wholeLog(id)).map(({ id }) => id),
            expected
          )
          yield* until(Effect.sync(() => heard[index]?.length === 60))
          assert.deepStrictEqual(
            heard[index]?.map(({ seq }) => seq),
            Arr.range(2, 61)
          )
        }
      })
    )

    it.effect("a reply has a short copy of the message that it replies to", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        const original = entryOf(id, a, { body: "👋".repeat(200) })
        yield* append(original)
        const reply = entryOf(id, b, { replyTo: original.id })
        const [{ message }] = yield* Effect.all([store(reply), append(entryOf(id, b))], all)
        assert.deepStrictEqual(message.replyTo, {
          messageId: original.id,
          seq: 2,
          senderId: a,
          excerpt: "👋".repeat(140),
          deleted: false
        })
        assert.deepStrictEqual(yield* log.message(a, id, reply.id), message)
        assert.deepStrictEqual(messagesIn(yield* wholeLog(id))[1], message)
      })
    )

    it.effect("a reply to a message that is unknown, in another conversation or not visible is refused", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const other = yield* dmOf(a, yield* person)
        const elsewhere = entryOf(other, a)
        const early = entryOf(id, a)
        yield* Effect.forEach([entryOf(other, a), elsewhere, early], append)
        // The seq of the message elsewhere is one that the user may see here.
        yield* Backstage.use(({ seeFrom }) => seeFrom(id, a, 3))
        const replies = (options?: typeof all) =>
          Effect.forEach(
            [nothing, elsewhere.id, early.id],
            (replyTo) => problem(append(entryOf(id, a, { replyTo }))),
            options
          )
        const problems = [...(yield* replies()), ...(yield* replies(all))]
        assert.deepStrictEqual(problems, Arr.replicate(problems[0] ?? "ok", 6))
        assert.deepInclude(problems[0], { status: 404 })
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )
  })

  withLayer(layer)("Log: reading", (it) => {
    it.effect("reads the events after a cursor up to the head", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        yield* appendMany(id, a, 6)
        const whole = yield* wholeLog(id)
        for (const after of [0, 1, 5, 6, 7, 8, Number.MAX_SAFE_INTEGER]) {
          for (const limit of [1, 3, 200]) {
            assert.deepStrictEqual(yield* log.events({ conversationId: id, userId: b, after, limit }), {
              items: whole.slice(after, after + limit),
              head: 7,
              visibleFromSeq: 1
            })
          }
        }
      })
    )

    it.effect("reads a range of the log, and the heads of the conversations that exist", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, id } = yield* twoOfUs
        const quiet = yield* dmOf(a, a)
        yield* appendMany(id, a, 4)
        const whole = yield* wholeLog(id)
        assert.deepStrictEqual(yield* log.range(id, 1, 3), whole.slice(1, 3))
        assert.deepStrictEqual(yield* log.range(id, 5, 9), [])
        assert.deepStrictEqual(yield* log.range(nowhere, 0, 9), [])
        assert.deepStrictEqual(
          yield* log.heads([id, nowhere, quiet]),
          new Map([
            [id, 5],
            [quiet, 1]
          ])
        )
        assert.deepStrictEqual(yield* log.heads([]), new Map())
      })
    )

    it.effect("reads pages of the history before, after and around any seq", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        yield* appendMany(id, a, 7)
        const messages = messagesIn(yield* wholeLog(id))
        const page = (place: HistoryPlace, limit: number) =>
          log.messages({ conversationId: id, userId: b, place, limit })
        const expected = (from: number, through: number) => ({
          items: messages.filter(({ seq }) => seq >= from && seq <= through),
          hasBefore: from > 2,
          hasAfter: through < 8
        })
        assert.deepStrictEqual(yield* page({ newest: true }, 3), expected(6, 8))
        assert.deepStrictEqual(yield* page({ newest: true }, 7), expected(2, 8))
        assert.deepStrictEqual(yield* page({ before: 6 }, 3), expected(3, 5))
        assert.deepStrictEqual(yield* page({ before: 5 }, 3), expected(2, 4))
        assert.deepStrictEqual(yield* page({ before: 4 }, 3), expected(2, 3))
        assert.deepStrictEqual(yield* page({ before: 99 }, 1), expected(8, 8))
        assert.deepStrictEqual(yield* page({ after: 0 }, 2), expected(2, 3))
        assert.deepStrictEqual(yield* page({ after: 5 }, 3), expected(6, 8))
        assert.deepStrictEqual(yield* page({ after: 5 }, 2), expected(6, 7))
        assert.deepStrictEqual(yield* page({ around: 5 }, 3), expected(4, 6))
        assert.deepStrictEqual(yield* page({ around: 5 }, 4), expected(3, 6))
        assert.deepStrictEqual(yield* page({ around: 5 }, 1), expected(5, 5))
        assert.deepStrictEqual(yield* page({ around: 2 }, 4), expected(2, 3))
        assert.deepStrictEqual(yield* page({ around: 8 }, 4), expected(6, 8))
      })
    )

    it.effect("a page beyond the end of a history is empty", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        const page = (place: HistoryPlace) => log.messages({ conversationId: id, userId: b, place, limit: 10 })
        const empty = (hasBefore: boolean, hasAfter: boolean) => ({ items: [], hasBefore, hasAfter })
        for (const place of [{ newest: true }, { before: 1 }, { after: 1 }, { around: 1 }] as const) {
          assert.deepStrictEqual(yield* page(place), empty(false, false))
        }
        yield* appendMany(id, a, 2)
        for (const before of [0, 1, 2]) assert.deepStrictEqual(yield* page({ before }), empty(false, true))
        for (const after of [3, 4, Number.MAX_SAFE_INTEGER]) {
          assert.deepStrictEqual(yield* page({ after }), empty(true, false))
        }
        for (const place of [{ before: Number.MAX_SAFE_INTEGER }, { around: Number.MAX_SAFE_INTEGER }]) {
          assert.lengthOf((yield* page(place)).items, 2)
        }
      })
    )

    it.effect("a later member sees no earlier message, nor the earlier message that a reply replies to", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        const secret = entryOf(id, a, { body: "secret" })
        yield* append(secret)
        const reply = entryOf(id, a, { replyTo: secret.id })
        yield* append(reply)
        yield* Backstage.use(({ seeFrom }) => seeFrom(id, b, 3))
        const query = { conversationId: id, userId: b, limit: 10 }
        const page = yield* log.messages({ ...query, place: { newest: true } })
        const events = yield* log.events({ ...query, after: 0 })
        const message = yield* log.message(b, id, reply.id)
        assert.deepStrictEqual(message.replyTo, {
          messageId: secret.id,
          seq: 2,
          senderId: null,
          excerpt: "",
          deleted: false,
          hidden: true
        })
        assert.deepStrictEqual(page, { items: [message], hasBefore: false, hasAfter: false })
        assert.strictEqual(events.head, 3)
        assert.deepStrictEqual(messagesIn(events.items), [message])
        assert.lengthOf(events.items, 1)
        for (const place of [{ before: 3 }, { before: 2 }]) {
          assert.deepInclude(yield* log.messages({ ...query, place }), { items: [], hasBefore: false, hasAfter: true })
        }
        assert.strictEqual(yield* outcome(log.message(b, id, secret.id)), "NotFound")
      })
    )

    it.effect("a stranger and a former member get the answer for an unknown conversation", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        const stranger = yield* person
        const entry = entryOf(id, b)
        yield* append(entry)
        yield* Backstage.use(({ leave }) => leave(id, b))
        const answers = (conversationId: ConversationId, userId: UserId) =>
          Effect.all([
            problem(append(entryOf(conversationId, userId))),
            problem(append(again({ ...entry, conversationId, senderId: userId }))),
            problem(append(entryOf(conversationId, userId, { replyTo: entry.id }))),
            problem(log.events({ conversationId, userId, after: 0, limit: 10 })),
            problem(log.messages({ conversationId, userId, place: { newest: true }, limit: 10 })),
            problem(log.message(userId, conversationId, entry.id))
          ])
        const unknown = yield* answers(nowhere, a)
        for (const answer of unknown) assert.deepInclude(answer, { status: 404 })
        assert.deepStrictEqual(yield* answers(id, stranger), unknown)
        assert.deepStrictEqual(yield* answers(id, b), unknown)
        assert.strictEqual(yield* outcome(log.message(a, id, nothing)), "NotFound")
        assert.strictEqual(yield* outcome(log.message(a, yield* dmOf(a, a), entry.id)), "NotFound")
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )
  })
}
