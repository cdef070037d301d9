import { hash, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import type { EventPage } from "../domain/Event.ts"
import { type ConversationId, MessageId, type UserId } from "../domain/Ids.ts"
import type { Ack, Message, MessagePage, NewMessage, Sent } from "../domain/Message.ts"
import {
  type Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  type NotFound,
  type Unavailable
} from "../domain/Problem.ts"
import { longerThan } from "../domain/Text.ts"
import { type Appended, Log, type NewEntry, type Place } from "./Log.ts"
import { Settings } from "./Settings.ts"
import { spanned } from "./Tracing.ts"

/** Where in a conversation's history a page lies: at most one of the three, all of them seqs. */
export interface HistoryQuery {
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly around?: number | undefined
  readonly limit: number
}

type SendError = InvalidRequest | NotFound | Forbidden | Conflict | Unavailable

/** What people do with messages: the rules in front of the log. */
export class Messages extends Context.Service<
  Messages,
  {
    /**
     * Stores a message and answers when it is committed. A retry with the same `clientMessageId` gives back the
     * original, so after `Unavailable` or a lost answer the same call may be made again. Sends of one caller are
     * appended in the order of the calls.
     */
    readonly send: (
      senderId: UserId,
      conversationId: ConversationId,
      message: NewMessage
    ) => Effect.Effect<Ack, SendError>
    /** The same, answering with the whole message as it is now. */
    readonly post: (
      senderId: UserId,
      conversationId: ConversationId,
      message: NewMessage
    ) => Effect.Effect<Sent, SendError>
    readonly get: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<Message, NotFound | Unavailable>
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      query: HistoryQuery
    ) => Effect.Effect<MessagePage, InvalidRequest | NotFound | Unavailable>
    /** The member's view of the log itself: every durable event after a cursor. */
    readonly events: (
      userId: UserId,
      conversationId: ConversationId,
      query: { readonly after: number; readonly limit: number }
    ) => Effect.Effect<EventPage, InvalidRequest | NotFound | Unavailable>
  }
>()("chat/services/Messages") {
  static readonly layer = Layer.effect(
    Messages,
    Effect.gen(function* () {
      const log = yield* Log
      const { limits } = yield* Settings

      const check = (message: NewMessage): InvalidRequest | undefined => {
        if (message.type === "system") return invalid("type", "must not be system: the service alone writes those")
        if (message.type !== undefined && message.type !== "text") return invalid("type", "must be text")
        if (longerThan(message.body, limits.messageLength))
          return invalid("body", `must have at most ${limits.messageLength} characters`)
        if (message.body.trim() === "") return invalid("body", "must not be empty")
        if (message.attachments !== undefined && message.attachments.length > 0)
          return invalid("attachments", "must be empty: attachments are not supported yet")
        if (message.threadRoot !== undefined && message.threadRoot !== null)
          return invalid("threadRoot", "must be absent: threads are not supported yet")
        return undefined
      }

      const append = (
        senderId: UserId,
        conversationId: ConversationId,
        message: NewMessage
      ): Effect.Effect<Appended, SendError> => {
        const type = message.type ?? "text"
        const replyTo = message.replyTo ?? null
        const entry: NewEntry = {
          id: MessageId.make(randomUUIDv7()),
          conversationId,
          senderId,
          clientMessageId: message.clientMessageId,
          requestHash: hash(
            "sha256",
            JSON.stringify([type, message.body, replyTo, message.threadRoot ?? null, message.attachments ?? []]),
            "buffer"
          ),
          type,
          body: message.body,
          replyTo
        }
        const wrong = check(message)
        if (wrong === undefined) return log.append(entry)
        // What was stored once is answered again, though a limit has been lowered since.
        return Effect.flatMap(log.known(entry), (known) =>
          known === null ? Effect.fail(wrong) : Effect.succeed(known)
        )
      }

      const checkLimit = (limit: number) =>
        limit >= 1 && limit <= limits.pageSize
          ? Effect.void
          : Effect.fail(invalid("limit", `must be from 1 to ${limits.pageSize}`))

      return Messages.of({
        send: (senderId, conversationId, message) =>
          append(senderId, conversationId, message).pipe(
            Effect.map((appended) => appended.ack),
            spanned("Messages.send")
          ),
        post: Effect.fn("Messages.post")(function* (senderId, conversationId, message) {
          const { ack, message: stored } = yield* append(senderId, conversationId, message)
          return {
            message: stored ?? (yield* log.message(conversationId, senderId, ack.messageId)),
            duplicate: ack.duplicate
          }
        }),
        get: (userId, conversationId, messageId) => log.message(conversationId, userId, messageId),
        list: Effect.fn("Messages.list")(function* (userId, conversationId, { limit, ...query }) {
          yield* checkLimit(limit)
          const places: Array<Place> = []
          if (query.before !== undefined) places.push({ before: query.before })
          if (query.after !== undefined) places.push({ after: query.after })
          if (query.around !== undefined) places.push({ around: query.around })
          if (places.length > 1) return yield* invalid("before", "must not be combined with after or around")
          return yield* log.messages({ conversationId, userId, place: places[0] ?? { newest: true }, limit })
        }),
        events: Effect.fn("Messages.events")(function* (userId, conversationId, { after, limit }) {
          yield* checkLimit(limit)
          return yield* log.events({ conversationId, userId, after, limit })
        })
      })
    })
  )
}
