import { Context, Effect, Layer, Result, Schema } from "effect"
import { DeliveredMark, NewConversation, ReadMark } from "../domain/Conversation.ts"
import { ConversationId, MessageId, Seq } from "../domain/Ids.ts"
import { NewMessage } from "../domain/Message.ts"
import { usualLimit } from "../domain/Page.ts"
import { PresenceChange, PresenceSubscription } from "../domain/Presence.ts"
import { type InvalidRequest, invalid, invalidData, type Problem } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import { Conversations } from "../services/Conversations.ts"
import { Messages } from "../services/Messages.ts"
import { Presence } from "../services/Presence.ts"
import { Settings } from "../services/Settings.ts"
import { Typing } from "../services/Typing.ts"

/** Who asks, and over which socket. */
export interface Caller extends Principal {
  readonly connectionId: string
}

/** What a command asks for, decoded; `conversationId` and `kind` say among which others it keeps its order. */
export interface Operation {
  readonly conversationId: ConversationId | undefined
  readonly kind: "send" | "other"
  readonly run: (caller: Caller) => Effect.Effect<unknown, Problem>
}

type Decode = (data: unknown) => Effect.Effect<Operation, InvalidRequest>

/** An operation on nothing that exists yet, or on no single conversation. */
const apart = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  run: (caller: Caller, data: S["Type"]) => Effect.Effect<unknown, Problem>
): Decode => {
  const decode = Schema.decodeUnknownEffect(schema)
  return (data) =>
    decode(data).pipe(
      Effect.mapError(invalidData),
      Effect.map((decoded) => ({
        conversationId: undefined,
        kind: "other",
        run: (caller) => run(caller, decoded)
      }))
    )
}

const decodeConversation = Schema.decodeUnknownResult(Schema.Struct({ conversationId: ConversationId }))

/** An operation in a conversation: its data are `conversationId` and the given fields. */
const within = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  run: (caller: Caller, conversationId: ConversationId, data: S["Type"]) => Effect.Effect<unknown, Problem>,
  kind: Operation["kind"] = "other"
): Decode => {
  const decode = Schema.decodeUnknownResult(schema)
  return (data) => {
    const id = decodeConversation(data)
    if (Result.isFailure(id)) return Effect.fail(invalidData(id.failure))
    const decoded = decode(data)
    if (Result.isFailure(decoded)) return Effect.fail(invalidData(decoded.failure))
    const { conversationId } = id.success
    return Effect.succeed({ conversationId, kind, run: (principal) => run(principal, conversationId, decoded.success) })
  }
}

const Page = Schema.Struct({ limit: Schema.optionalKey(Schema.Int), cursor: Schema.optionalKey(Schema.String) })
const History = Schema.Struct({
  before: Schema.optionalKey(Seq),
  after: Schema.optionalKey(Seq),
  around: Schema.optionalKey(Seq),
  limit: Schema.optionalKey(Schema.Int)
})
const Pull = Schema.Struct({ after: Seq, limit: Schema.optionalKey(Schema.Int) })
const Nothing = Schema.Struct({})

/** The operations that a socket can ask for, by name: the data are the HTTP bodies plus the ids of the path. */
export class Commands extends Context.Service<
  Commands,
  { readonly decode: (op: string, data: unknown) => Effect.Effect<Operation, InvalidRequest> }
>()("chat/ws/Commands") {
  static readonly layer = Layer.effect(
    Commands,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const messages = yield* Messages
      const presence = yield* Presence
      const typing = yield* Typing
      const limits = (yield* Settings).limits
      const defaultLimit = Math.min(usualLimit, limits.pageSize)

      const operations = new Map<string, Decode>([
        ["ping", apart(Nothing, () => Effect.succeed({}))],
        ["message.send", within(NewMessage, ({ userId }, id, message) => messages.send(userId, id, message), "send")],
        [
          "message.list",
          within(History, ({ userId }, id, { limit = defaultLimit, ...place }) =>
            messages.list(userId, id, { ...place, limit })
          )
        ],
        [
          "message.get",
          within(Schema.Struct({ messageId: MessageId }), ({ userId }, id, { messageId }) =>
            messages.get(userId, id, messageId)
          )
        ],
        [
          "events.pull",
          within(Pull, ({ userId }, id, { after, limit = defaultLimit }) =>
            messages.events(userId, id, { after, limit })
          )
        ],
        [
          "read.mark",
          within(ReadMark, ({ userId }, id, mark) => Effect.as(conversations.markRead(userId, id, mark), {}))
        ],
        [
          "delivered.mark",
          within(DeliveredMark, ({ userId }, id, { seq }) =>
            Effect.as(conversations.markDelivered(userId, id, seq), {})
          )
        ],
        ["typing.start", within(Nothing, ({ userId }, id) => Effect.as(typing.start(userId, id), {}))],
        ["typing.stop", within(Nothing, ({ userId }, id) => Effect.as(typing.stop(userId, id), {}))],
        [
          "conversation.create",
          apart(NewConversation, ({ userId }, conversation) =>
            Effect.map(conversations.create(userId, conversation), (answer) => answer.conversation)
          )
        ],
        [
          "presence.set",
          apart(PresenceChange, ({ connectionId, userId }, { status }) =>
            Effect.as(presence.set(userId, status, connectionId), {})
          )
        ],
        [
          "presence.subscribe",
          apart(PresenceSubscription, ({ connectionId }, { userIds }) =>
            Effect.map(presence.subscribe(connectionId, userIds), (items) => ({ items }))
          )
        ],
        [
          "presence.unsubscribe",
          apart(PresenceSubscription, ({ connectionId }, { userIds }) =>
            Effect.as(presence.unsubscribe(connectionId, userIds), {})
          )
        ],
        ["conversation.get", within(Nothing, ({ userId }, id) => conversations.get(userId, id))],
        [
          "conversation.list",
          apart(Page, ({ userId }, { cursor, limit = defaultLimit }) => conversations.list(userId, { limit, cursor }))
        ],
        [
          "member.list",
          within(Page, ({ userId }, id, { cursor, limit = defaultLimit }) =>
            conversations.members(userId, id, { limit, cursor })
          )
        ]
      ])

      return Commands.of({
        decode: (op, data) =>
          operations.get(op)?.(data ?? {}) ?? Effect.fail(invalid("op", "must be the name of an operation"))
      })
    })
  )
}
