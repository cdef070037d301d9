import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Context, Effect, Result, Schema } from "effect"
import { Attachment } from "../../src/domain/Attachment.ts"
import { ConversationId, MessageId, Seq, UserId } from "../../src/domain/Ids.ts"
import { decodeInput } from "../../src/domain/InvalidData.ts"
import { Message, MessageType, NewMessage } from "../../src/domain/Message.ts"
import { Payload } from "../../src/domain/Payload.ts"
import { WrittenAsIs } from "../../src/operations/Callers.ts"
import { AllOperations } from "../../src/operations/Operations.ts"
import { toMessage } from "../../src/services/log/MessageRows.ts"
import { decodeMessage } from "../../src/ws/Commands.ts"

const asIs = [...AllOperations.requests.values()].filter(({ annotations }) => Context.get(annotations, WrittenAsIs))

/** What arrives of a value that is sent as JSON. */
const sent = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Fails with the value that a Schema encodes in another form than JSON gives it. */
const isItsEncoding = (schema: Schema.Constraint & { readonly EncodingServices: never }) => {
  const encode = Schema.encodeUnknownSync(Schema.toCodecJson(schema))
  return (value: unknown) => {
    assert.deepStrictEqual(sent(value), sent(encode(value)))
    return true
  }
}

/** The fields of a `MessageRow`, whatever PostgreSQL may have in them. */
const Row = Schema.Struct({
  id: MessageId,
  conversationId: ConversationId,
  seq: Seq,
  senderId: UserId,
  clientMessageId: Schema.String,
  type: MessageType,
  body: Schema.String,
  createdAt: Schema.Date,
  editedAt: Schema.NullOr(Schema.Date),
  deletedAt: Schema.NullOr(Schema.Date),
  revision: Schema.Int,
  changedSeq: Seq,
  replyId: Schema.NullOr(MessageId),
  replySeq: Seq,
  replySenderId: UserId,
  replyExcerpt: Schema.String,
  replyDeleted: Schema.Boolean,
  reactions: Schema.NullOr(Schema.Array(Schema.Struct({ emoji: Schema.String, count: Schema.Int }))),
  pinned: Schema.Boolean,
  threadRootId: Schema.NullOr(MessageId),
  threadRootSeq: Schema.NullOr(Seq),
  threadPlace: Schema.NullOr(Schema.Int),
  threadReplyCount: Schema.Int,
  mentions: Schema.NullOr(Schema.Array(UserId)),
  payload: Schema.NullOr(Payload),
  votes: Schema.NullOr(Schema.Array(Schema.Int)),
  attachments: Schema.NullOr(Schema.Array(Attachment)),
  mine: Schema.optionalKey(Schema.Array(Schema.String)),
  myVote: Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.Int)))
})

describe("an answer that is written as it is", () => {
  for (const { _tag, successSchema } of asIs) {
    it.effect(`has the same form when ${_tag} encodes it by its Schema`, () =>
      Effect.gen(function* () {
        const result = yield* Arbitrary.checkEffect(Arbitrary.schema(successSchema), isItsEncoding(successSchema))
        assert.strictEqual(result._tag, "Passed", Arbitrary.formatCheckFailure(result))
      })
    )
  }

  it.effect("has messages with exactly the fields that are declared", () =>
    Effect.gen(function* () {
      const rows = Arbitrary.schema(Schema.Struct({ row: Row, visibleFromSeq: Seq }))
      const check = isItsEncoding(Message)
      const result = yield* Arbitrary.checkEffect(rows, ({ row, visibleFromSeq }) =>
        check(toMessage(row, visibleFromSeq))
      )
      assert.strictEqual(result._tag, "Passed", Arbitrary.formatCheckFailure(result))
    })
  )
})

describe("a message of a socket", () => {
  const value = Schema.Union([
    Schema.String,
    Schema.Literals(["", "an\u0000", "\ud800", "ü", "@a"]),
    Schema.Int,
    Schema.Null
  ])
  const Data = Schema.Union([
    Schema.Struct({ conversationId: value, clientMessageId: value, body: value }),
    Schema.Struct({
      conversationId: Schema.optionalKey(value),
      clientMessageId: value,
      body: Schema.optionalKey(value)
    }),
    Schema.Struct({
      conversationId: value,
      clientMessageId: Schema.Literal("one"),
      body: Schema.Literal("hello"),
      replyTo: Schema.optionalKey(value),
      silent: Schema.optionalKey(Schema.Boolean),
      unknown: Schema.optionalKey(value)
    }),
    value
  ])
  const decodeBySchema = decodeInput(NewMessage)

  it.effect("is decoded as its Schema decodes it, whichever way it takes", () =>
    Effect.gen(function* () {
      const result = yield* Arbitrary.checkEffect(Arbitrary.schema(Data), (data) => {
        const [decoded, expected] = [decodeMessage(data), decodeBySchema(data)]
        if (Result.isSuccess(expected)) assert.deepStrictEqual(decoded, expected)
        else assert.strictEqual(Result.isFailure(decoded) && decoded.failure.message, expected.failure.message)
        return true
      })
      assert.strictEqual(result._tag, "Passed", Arbitrary.formatCheckFailure(result))
    })
  )
})
