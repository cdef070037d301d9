import { hash, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import type { EventPage } from "../domain/Event.ts"
import { type ConversationId, MessageId, type UserId } from "../domain/Ids.ts"
import { namesIn } from "../domain/Mentions.ts"
import type { Ack, Message, MessagePage, NewMessage, Sent } from "../domain/Message.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { type Appended, Log, type NewEntry } from "./Log.ts"
import { type HistoryQuery, placeOf, wrongWith } from "./MessageRules.ts"
import { checkLimit } from "./Paging.ts"
import { Settings } from "./Settings.ts"
import { spanned } from "./Tracing.ts"

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
    /** With `threads`, replies in threads are among them. */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      query: HistoryQuery & { readonly threads?: boolean | undefined }
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

      const append = (
        senderId: UserId,
        conversationId: ConversationId,
        message: NewMessage
      ): Effect.Effect<Appended, SendError> => {
        const { attachments = [], body, replyTo = null, threadRoot = null, type = "text" } = message
        const payload = message.payload ?? undefined
        const names = body.includes("@") ? namesIn(body) : []
        const plain = threadRoot === null && payload === undefined && names.length === 0
        const entry: NewEntry = {
          id: MessageId.make(randomUUIDv7()),
          conversationId,
          senderId,
          clientMessageId: message.clientMessageId,
          requestHash: hash(
            "sha256",
            JSON.stringify([type, body, replyTo, threadRoot, attachments, ...(payload === undefined ? [] : [payload])]),
            "buffer"
          ),
          type,
          body,
          replyTo,
          extra: plain ? null : { ...(threadRoot !== null && { threadRoot }), names, ...(payload && { payload }) }
        }
        const wrong = wrongWith(message, limits)
        if (wrong === undefined) return log.append(entry)
        // What was stored once is answered again, though a limit has been lowered since.
        return Effect.flatMap(log.known(entry), (known) =>
          known === null ? Effect.fail(wrong) : Effect.succeed(known)
        )
      }

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
        list: Effect.fn("Messages.list")(function* (userId, conversationId, query) {
          const { limit, threads = false } = query
          yield* checkLimit({ limit }, limits.pageSize)
          const place = yield* placeOf(query)
          return yield* log.messages({ conversationId, userId, place, limit, replies: threads ? "all" : undefined })
        }),
        events: Effect.fn("Messages.events")(function* (userId, conversationId, { after, limit }) {
          yield* checkLimit({ limit }, limits.pageSize)
          const { head, items } = yield* log.events({ conversationId, userId, after, limit })
          return { items, head }
        })
      })
    })
  )
}
