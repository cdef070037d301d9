import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { type ConversationId, MessageId, type UserId } from "../../src/domain/Ids.ts"
import { NewMessage } from "../../src/domain/Message.ts"
import type { Payload } from "../../src/domain/Payload.ts"
import { Blocks } from "../../src/services/Blocks.ts"
import { MessageChanges } from "../../src/services/MessageChanges.ts"
import { Messages } from "../../src/services/Messages.ts"
import { Polls } from "../../src/services/Polls.ts"
import { conversationSubject, encodeEvent } from "../../src/services/PubSub.ts"
import {
  Backstage,
  type Chat,
  groupOf,
  listen,
  nowhere,
  outcome,
  person,
  post,
  problem,
  refused,
  twoOfUs,
  until,
  wholeLog
} from "../support/Chat.ts"

const nothing = MessageId.make("00000000-0000-7000-8000-000000000000")

const lunch = { question: "Where?", options: ["here", "there", "nowhere"] }

const payloads = {
  location: { latitude: 52.52, longitude: -0.000001, name: 'Café "Zoë" \\ {,}' },
  contact: { name: "Ann", phones: ["+49 30 1234"], emails: ["ann@example.org"] },
  sticker: { pack: "cats", id: "42", emoji: "🐈" },
  poll: { ...lunch, multiple: true, closesAt: "2100-01-31T12:00:00Z" }
} as const satisfies Record<string, Payload>

const types = ["location", "contact", "sticker", "poll"] as const

const vote = (userId: UserId, id: ConversationId, messageId: MessageId, ...options: ReadonlyArray<number>) =>
  Polls.use((polls) => polls.vote(userId, id, messageId, options))

const poll = (id: ConversationId, userId: UserId, change: { multiple?: boolean; closesAt?: string } = {}) =>
  post(id, userId, { type: "poll", body: "", payload: { ...lunch, ...change } })

/** What is kept of payloads and polls on every Layer. */
export const payloadsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("payloads", (it) => {
    it.effect("are those of the type, the same live, in replay and in history, also in one batch with plain ones", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const heard = yield* listen(conversationSubject(id))
        const sent = yield* Effect.forEach(
          [...types, "text" as const, ...types],
          (type) => post(id, a, type === "text" ? {} : { type, body: "", payload: payloads[type] }),
          { concurrency: "unbounded" }
        )
        for (const message of sent) {
          assert.deepStrictEqual(message.payload, message.type in payloads ? Object(payloads)[message.type] : null)
          const { myVote, ...rest } = yield* messages.get(b, id, message.id)
          assert.deepStrictEqual(rest, message)
          assert.deepStrictEqual(myVote, message.type === "poll" ? [] : undefined)
        }
        yield* until(Effect.sync(() => heard.length === sent.length))
        assert.deepStrictEqual(heard, (yield* wholeLog(id)).slice(1).map(encodeEvent))
      })
    )

    it.effect("are refused where they do not belong, and missed where they do", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const send = (change: Partial<NewMessage>) => refused(post(id, a, change))
        for (const type of types) {
          assert.strictEqual(yield* send({ type }), "payload")
          assert.strictEqual(yield* send({ type, payload: null }), "payload")
          for (const other of types) {
            if (other !== type) assert.strictEqual(yield* send({ type, payload: payloads[other] }), "payload")
          }
        }
        assert.strictEqual(yield* send({ payload: payloads.poll }), "payload")
        for (const type of ["image", "video", "audio", "file"] as const) {
          assert.strictEqual(yield* send({ type }), "attachments")
        }
        assert.strictEqual(yield* send({ type: "system", payload: payloads.poll }), "type")
        assert.strictEqual(yield* send({ type: "poll", payload: payloads.poll, body: "x".repeat(8001) }), "body")
        assert.lengthOf(yield* wholeLog(id), 1)
      })
    )

    it.effect("belong to the request that an id stands for", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const root = yield* post(id, b)
        const first = yield* post(id, a, { type: "poll", payload: lunch, body: "" })
        const again = { clientMessageId: first.clientMessageId, type: "poll" as const, body: "", payload: lunch }
        const decoded = yield* Schema.decodeUnknownEffect(NewMessage)({
          ...again,
          payload: { options: lunch.options, extra: 1, question: lunch.question }
        })
        assert.deepInclude(yield* messages.send(a, id, decoded), { messageId: first.id, duplicate: true })
        for (const change of [
          { payload: { ...lunch, multiple: true } },
          { payload: { ...lunch, options: lunch.options.toReversed() } },
          { threadRoot: root.id }
        ]) {
          assert.strictEqual(yield* outcome(messages.send(a, id, { ...decoded, ...change })), "message-id-reused")
        }
        assert.lengthOf(yield* wholeLog(id), 3)
      })
    )
  })

  withLayer(layer)("polls", (it) => {
    it.effect("count the votes of all, and show me mine alone", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, c)
        const { id: messageId, seq: messageSeq, votes } = yield* poll(id, a, { multiple: true })
        assert.deepStrictEqual(votes, [0, 0, 0])
        const heard = yield* listen(conversationSubject(id))
        yield* vote(a, id, messageId, 2, 0, 2)
        yield* vote(b, id, messageId, 2)
        yield* vote(a, id, messageId, 0, 2)
        yield* vote(a, id, messageId, 1)
        yield* vote(b, id, messageId)
        yield* vote(c, id, messageId)
        const log = yield* wholeLog(id)
        const event = "poll.voted"
        assert.deepStrictEqual(
          log.slice(2).map(({ actorId, data, event }) => ({ actorId, data, event })),
          [
            { event, actorId: a, data: { messageId, messageSeq, votes: [1, 0, 1] } },
            { event, actorId: b, data: { messageId, messageSeq, votes: [1, 0, 2] } },
            { event, actorId: a, data: { messageId, messageSeq, votes: [0, 1, 1] } },
            { event, actorId: b, data: { messageId, messageSeq, votes: [0, 1, 0] } }
          ]
        )
        const voted = () => heard.filter(({ event }) => event === "poll.voted")
        yield* until(Effect.sync(() => voted().length === 4))
        assert.deepStrictEqual(voted(), log.slice(2).map(encodeEvent))
        assert.deepInclude(yield* messages.get(a, id, messageId), { votes: [0, 1, 0], myVote: [1], changedSeq: 6 })
        const { items } = yield* messages.list(b, id, { limit: 10 })
        assert.deepInclude(items[0], { votes: [0, 1, 0], myVote: [] })
        assert.notInclude(JSON.stringify(log), "myVote")
      })
    )

    it.effect("take one option unless they are multiple, and only their own", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a)
        assert.strictEqual(yield* refused(vote(b, id, messageId, 0, 1)), "options")
        assert.strictEqual(yield* refused(vote(b, id, messageId, 3)), "options")
        const text = yield* post(id, a)
        assert.strictEqual(yield* outcome(vote(b, id, text.id, 0)), "not-a-poll")
        assert.strictEqual(yield* outcome(vote(b, id, nothing, 0)), "NotFound")
        assert.lengthOf(yield* wholeLog(id), 3)
      })
    )

    it.effect("that are closed change no more, and answer a retry as before", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a, { closesAt: "1970-01-01T00:00:00.000Z" })
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 0)), "poll-closed")
        assert.strictEqual(yield* outcome(vote(b, id, messageId)), "ok")
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )

    it.effect("take no vote of who is blocked, who may take his back", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a)
        yield* vote(b, id, messageId, 1)
        yield* Blocks.use((blocks) => blocks.add(a, b))
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 0)), "Forbidden")
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 1)), "ok")
        assert.strictEqual(yield* outcome(vote(b, id, messageId)), "ok")
        assert.lengthOf(yield* wholeLog(id), 4)
      })
    )

    it.effect("that are deleted are gone with their question and votes", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a)
        yield* vote(b, id, messageId, 1)
        yield* MessageChanges.use((changes) => changes.remove(a, id, messageId))
        const tombstone = yield* messages.get(b, id, messageId)
        assert.deepInclude(tombstone, { type: "poll", body: "", payload: null, votes: null })
        assert.notProperty(tombstone, "myVote")
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 0)), "NotFound")
      })
    )

    it.effect("a stranger, an ex-member and who sees less get the very answer of what does not exist", () =>
      Effect.gen(function* () {
        const [a, b, late] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, late)
        const { id: messageId, seq } = yield* poll(id, a)
        yield* Backstage.use(({ leave }) => leave(id, b))
        yield* Backstage.use(({ seeFrom }) => seeFrom(id, late, seq + 1))
        const unknown = yield* problem(vote(a, nowhere, messageId, 0))
        assert.deepInclude(unknown, { status: 404 })
        for (const userId of [b, late, yield* person]) {
          assert.deepStrictEqual(yield* problem(vote(userId, id, messageId, 0)), unknown)
        }
      })
    )
  })
}
