import { hash, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import type { EventPage } from "../../domain/Event.ts"
import { type ConversationId, MessageId, type UserId } from "../../domain/Ids.ts"
import { namesIn } from "../../domain/Mentions.ts"
import type { Ack, Message, MessagePage, NewMessage, Sent } from "../../domain/Message.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"
import { Attachments } from "../files/Attachments.ts"
import type { Appended, NewEntry } from "../log/Entry.ts"
import { Log } from "../log/Log.ts"
import { checkLimit } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { spanned } from "../platform/Tracing.ts"
import { type HistoryQuery, toHistoryPlace, wrongContent, wrongWith } from "./MessageRules.ts"

type SendError = InvalidRequest | NotFound | Forbidden | Conflict | Unavailable

/** Sending and reading messages: the rules in front of the log. */
export class Messages extends Context.Service<
  Messages,
  {
    /**
     * Stores a message and answers when it is committed. A retry with the same `clientMessageId` answers with the
     * original, so the same call may be repeated after `Unavailable` or a lost answer. Sends of one caller are appended
     * in the order of the calls, unless they have attachments. Fails with `InvalidRequest` for bad content, `NotFound` when
     * the user is not a member or may not see the message that is replied to, `Forbidden` when the other member of the DM
     * has blocked the user, and `Conflict` when the `clientMessageId` was used for another message ("message-id-reused") or
     * an attachment is not uploaded completely yet ("attachment-not-ready"). `NotFound` also for attachments that are not
     * the sender's to send. Only programs, which say so by `byProgram`, send messages of type `system`.
     */
    readonly send: (
      senderId: UserId,
      conversationId: ConversationId,
      message: NewMessage,
      byProgram?: boolean
    ) => Effect.Effect<Ack, SendError>
    /** Does the same as `send`, and answers with the whole message as it is now. */
    readonly post: (
      senderId: UserId,
      conversationId: ConversationId,
      message: NewMessage,
      byProgram?: boolean
    ) => Effect.Effect<Sent, SendError>
    /** A message as it is now. Fails with `NotFound` for a message that the user may not see. */
    readonly get: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<Message, NotFound | Unavailable>
    /**
     * A page of the history that the user may see, in ascending `seq`: without the replies in threads unless `threads` is
     * set. Fails with `NotFound` when the user is not a member, and `InvalidRequest` for a bad limit or several bounds.
     */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      query: HistoryQuery & { readonly threads?: boolean | undefined }
    ) => Effect.Effect<MessagePage, InvalidRequest | NotFound | Unavailable>
    /**
     * A page of the log itself as the member may see it: every durable event after a seq, in ascending order, and the head
     * of the log. Fails with `NotFound` when the user is not a member, and `InvalidRequest` for a bad limit.
     */
    readonly events: (
      userId: UserId,
      conversationId: ConversationId,
      query: { readonly after: number; readonly limit: number }
    ) => Effect.Effect<EventPage, InvalidRequest | NotFound | Unavailable>
  }
>()("chat/services/Messages") {
  /** The implementation, on any log. */
  static readonly layer = Layer.effect(
    Messages,
    Effect.gen(function* () {
      const log = yield* Log
      const attachments = yield* Attachments
      const { limits } = yield* Settings

      const append = (
        senderId: UserId,
        conversationId: ConversationId,
        message: NewMessage,
        byProgram: boolean
      ): Effect.Effect<Appended, SendError> => {
        const { attachments: ids = [], body, replyTo = null, threadRoot = null, type = "text" } = message
        const payload = message.payload ?? (message.silent === true ? { silent: true as const } : undefined)
        const names = body.includes("@") ? namesIn(body) : []
        const plain = threadRoot === null && payload === undefined && names.length === 0
        const extra = plain ? null : { ...(threadRoot !== null && { threadRoot }), names, ...(payload && { payload }) }
        const entry: NewEntry = {
          id: MessageId.make(randomUUIDv7()),
          conversationId,
          senderId,
          clientMessageId: message.clientMessageId,
          requestHash: hash(
            "sha256",
            JSON.stringify([type, body, replyTo, threadRoot, ids, ...(payload === undefined ? [] : [payload])]),
            "hex"
          ),
          type,
          body,
          replyTo,
          extra
        }
        // A message that was stored before is acknowledged again, even when a limit has been lowered since, and though
        // its attachments are bound.
        const unlessKnown = (refusal: SendError) =>
          Effect.flatMap(log.known(entry), (known) => (known === null ? Effect.fail(refusal) : Effect.succeed(known)))
        const wrong = wrongWith(message, limits, byProgram)
        if (wrong !== undefined) return unlessKnown(wrong)
        if (ids.length === 0) return log.append(entry)
        return Effect.matchEffect(attachments.unsent(senderId, ids), {
          onFailure: unlessKnown,
          onSuccess: (found): Effect.Effect<Appended, SendError> => {
            const misfit = wrongContent(type, found)
            return misfit === undefined
              ? log.append({ ...entry, extra: { names, ...extra, attachments: found } })
              : Effect.fail(misfit)
          }
        })
      }

      return Messages.of({
        send: (senderId, conversationId, message, byProgram = false) =>
          append(senderId, conversationId, message, byProgram).pipe(
            Effect.map((appended) => appended.ack),
            spanned("Messages.send")
          ),
        post: Effect.fn("Messages.post")(function* (senderId, conversationId, message, byProgram = false) {
          const { ack, message: stored } = yield* append(senderId, conversationId, message, byProgram)
          return {
            message: stored ?? (yield* log.message(senderId, conversationId, ack.messageId)),
            duplicate: ack.duplicate
          }
        }),
        get: (userId, conversationId, messageId) => log.message(userId, conversationId, messageId),
        list: Effect.fn("Messages.list")(function* (userId, conversationId, query) {
          const { limit, threads = false } = query
          yield* checkLimit({ limit }, limits.pageSize)
          const place = yield* toHistoryPlace(query)
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
