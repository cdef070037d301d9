import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Schema } from "effect"
import { NewMessage } from "../../../src/domain/Message.ts"
import type { Payload } from "../../../src/domain/Payload.ts"
import { encodeEvent } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { type Chat, listen, outcome, post, refused, twoOfUs, until, wholeLog } from "../../support/Chat.ts"

const lunch = { question: "Where?", options: ["here", "there", "nowhere"] }

const payloads = {
  location: { latitude: 52.52, longitude: -0.000001, name: 'Café "Zoë" \\ {,}' },
  contact: { name: "Ann", phones: ["+49 30 1234"], emails: ["ann@example.org"] },
  sticker: { pack: "cats", id: "42", emoji: "🐈" },
  poll: { ...lunch, multiple: true, closesAt: "2100-01-31T12:00:00Z" }
} as const satisfies Record<string, Payload>

const types = ["location", "contact", "sticker", "poll"] as const

/** The contract of messages with payloads, for every Layer. */
export const payloadsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("payloads", (it) => {
    it.effect(
      "a payload has its type's form, and is the same live, in replay and in history, also in a batch with plain messages",
      () =>
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

    it.effect("refuses a payload for a type without one, and a type with a payload when it is missing", () =>
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

    it.effect("the payload is a part of the request that a clientMessageId stands for", () =>
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
}
