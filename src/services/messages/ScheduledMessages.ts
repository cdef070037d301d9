import { randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer, Schema } from "effect"
import { ClientMessageId, type ConversationId, ScheduledMessageId, type UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import {
  Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  NotFound,
  type Problem,
  type Unavailable
} from "../../domain/Problem.ts"
import { blocked, idempotencyKeyReused, noConversation } from "../../domain/Refusals.ts"
import type {
  NewScheduledMessage,
  ScheduledContent,
  ScheduledMessage,
  ScheduledMessageChange
} from "../../domain/ScheduledMessage.ts"
import { checkLimit, cursorOf, Millis, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { wrongWith } from "./MessageRules.ts"
import { Messages } from "./Messages.ts"

/** A scheduled message as it is stored. */
export interface ScheduledRow {
  readonly id: ScheduledMessageId
  readonly userId: UserId
  readonly conversationId: ConversationId
  readonly content: ScheduledContent
  readonly sendAt: Date
  readonly createdAt: Date
  /** The node that is sending the message has it to itself until then; null before the first attempt. */
  readonly claimedUntil: Date | null
  readonly failure: ScheduledMessage["failure"]
}

/** A scheduled message to store. */
export type NewScheduledRow = Pick<ScheduledRow, "id" | "userId" | "conversationId" | "content" | "sendAt"> & {
  /** The Idempotency-Key of the request. */
  readonly key: string | null
}

/** A user may have this many scheduled messages at a time. */
export const scheduledLimit = 100

/** Why a scheduled message cannot be stored or changed, by the outcomes in migrations/functions/scheduled_messages.sql. */
export const scheduledProblems = {
  "not-a-member": noConversation,
  blocked,
  "not-found": new NotFound({ detail: "There is no such scheduled message" }),
  "too-early": invalid("sendAt", "must be in the future"),
  "too-late": invalid("sendAt", "must be within a year"),
  "too-many": new Conflict({
    code: "too-many-scheduled",
    detail: `You have ${scheduledLimit} scheduled messages already, which is the limit`
  }),
  "key-reused": idempotencyKeyReused,
  sending: new Conflict({ code: "already-sending", detail: "The message is being sent" })
}

type StoreError = InvalidRequest | NotFound | Forbidden | Conflict | Unavailable

/** Where scheduled messages are kept. Only the clock of the storage counts. */
export class ScheduledMessageStorage extends Context.Service<
  ScheduledMessageStorage,
  {
    /** Answers with the id of the new message, or of the one that was stored under the same key by the same request. */
    readonly add: (row: NewScheduledRow) => Effect.Effect<ScheduledMessageId, StoreError>
    /** One of the user's own scheduled messages, unless it was sent. */
    readonly find: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<ScheduledRow | undefined, Unavailable>
    /** The user's scheduled messages after the given one, in the order in which they will be sent. */
    readonly list: (
      userId: UserId,
      after: { readonly at: number; readonly id: ScheduledMessageId } | undefined,
      limit: number
    ) => Effect.Effect<ReadonlyArray<ScheduledRow>, Unavailable>
    /** Changes the given fields, and forgets a failure. A `sendAt` of null leaves the time as it is. */
    readonly change: (
      userId: UserId,
      id: ScheduledMessageId,
      content: Partial<ScheduledContent>,
      sendAt: Date | null
    ) => Effect.Effect<void, StoreError>
    /** Answers false when the message is being sent, or does not exist. */
    readonly cancel: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<boolean, Unavailable>
    /** Claims due messages that no other node is sending. No other call gets them until their lease ends. */
    readonly claim: (limit: number) => Effect.Effect<ReadonlyArray<ScheduledRow>, Unavailable>
    /** Removes a message that was sent (`failure` is null), or stores why it cannot be sent. */
    readonly settle: (id: ScheduledMessageId, failure: ScheduledRow["failure"]) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/ScheduledMessageStorage") {
  /** A node that sends a message has it to itself for this long. After that another attempt is made. */
  static readonly lease = "30 seconds"
}

const cursor = cursorOf(Schema.Struct({ at: Millis, id: ScheduledMessageId }))

/** At most this many messages are claimed and sent in one step. */
const messagesPerStep = 20

/** The content of a scheduled message is checked with this id in the place of its own, which it gets later. */
const checkedId = ClientMessageId.make("x")

const toScheduled = ({ claimedUntil, content, createdAt, failure, id, ...row }: ScheduledRow): ScheduledMessage => ({
  ...content,
  id,
  conversationId: row.conversationId,
  sendAt: row.sendAt.toISOString(),
  status: failure !== null ? "failed" : claimedUntil === null ? "scheduled" : "sending",
  failure,
  createdAt: createdAt.toISOString()
})

/** After these problems nobody knows whether the message was stored. Any other problem is a final refusal. */
const isUndecided = ({ _tag }: Problem) => _tag === "Unavailable" || _tag === "Internal" || _tag === "RateLimited"

/** Messages that are sent at a later time. */
export class ScheduledMessages extends Context.Service<
  ScheduledMessages,
  {
    /**
     * Schedules a message. The same request with the same `idempotencyKey` answers with the same message for as long
     * as that is not sent. Fails with `NotFound` when the user is not a member, `Forbidden` when the other member of
     * the DM has blocked the user, `InvalidRequest` for bad content or a time in the past or more than a year ahead,
     * and `Conflict` when the user has too many ("too-many-scheduled") or the key belongs to another request
     * ("idempotency-key-reused").
     */
    readonly create: (
      userId: UserId,
      message: NewScheduledMessage,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<ScheduledMessage, StoreError>
    /** One of the user's own scheduled messages. Fails with `NotFound` for any other id, and after it was sent. */
    readonly get: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<ScheduledMessage, NotFound | Unavailable>
    /**
     * The user's own scheduled messages, the next one first. Messages that failed stay listed until they are changed
     * or cancelled.
     */
    readonly list: (
      userId: UserId,
      page: PageRequest
    ) => Effect.Effect<Page<ScheduledMessage>, InvalidRequest | Unavailable>
    /**
     * Changes the content or the time, and schedules a failed message again. Fails as `create` and `get` do, and with
     * `Conflict` ("already-sending") as soon as the first attempt to send it has begun. It may be repeated.
     */
    readonly update: (
      userId: UserId,
      id: ScheduledMessageId,
      change: ScheduledMessageChange
    ) => Effect.Effect<ScheduledMessage, StoreError>
    /**
     * Removes a scheduled message. Fails with `NotFound` when it does not exist, which includes a second call, and
     * `Conflict` ("already-sending") as soon as the first attempt to send it has begun.
     */
    readonly cancel: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<void, NotFound | Conflict | Unavailable>
    /**
     * Sends the messages that are due, each under its own id, so that a second attempt, on this node or on another, is a
     * duplicate. A message whose outcome is unknown is tried again when its lease ends. Answers with the number of
     * messages that were tried.
     */
    readonly sendDue: Effect.Effect<number, Unavailable>
  }
>()("chat/services/ScheduledMessages") {
  /** The rules, on any storage. */
  static readonly layerNoDeps = Layer.effect(
    ScheduledMessages,
    Effect.gen(function* () {
      const storage = yield* ScheduledMessageStorage
      const { limits } = yield* Settings
      const sendDue = yield* makeSendDue

      const check = (content: ScheduledContent) => {
        // An upload is deleted when it is not sent within a day.
        if (content.attachments?.length) return Effect.fail(invalid("attachments", "must be absent: send them now"))
        const wrong = wrongWith({ ...content, clientMessageId: checkedId }, limits)
        return wrong === undefined ? Effect.void : Effect.fail(wrong)
      }

      const find = Effect.fnUntraced(function* (userId: UserId, id: ScheduledMessageId) {
        return (yield* storage.find(userId, id)) ?? (yield* scheduledProblems["not-found"])
      })

      return ScheduledMessages.of({
        create: Effect.fn("ScheduledMessages.create")(function* (userId, message, idempotencyKey) {
          const { conversationId, sendAt, ...content } = message
          yield* check(content)
          const id = ScheduledMessageId.make(randomUUIDv7())
          const key = idempotencyKey ?? null
          const stored = yield* storage.add({ id, userId, conversationId, content, sendAt, key })
          return toScheduled(yield* find(userId, stored))
        }),
        get: Effect.fn("ScheduledMessages.get")((userId, id) => Effect.map(find(userId, id), toScheduled)),
        list: Effect.fn("ScheduledMessages.list")(function* (userId, page) {
          yield* checkLimit(page, limits.pageSize)
          const after = page.cursor === undefined ? undefined : yield* cursor.decode(page.cursor)
          const rows = yield* storage.list(userId, after, page.limit + 1)
          return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toScheduled), ({ id, sendAt }) =>
            cursor.encode({ at: sendAt.getTime(), id })
          )
        }),
        update: Effect.fn("ScheduledMessages.update")(function* (userId, id, { sendAt, ...content }) {
          const old = yield* find(userId, id)
          yield* check({ ...old.content, ...content })
          yield* storage.change(userId, id, content, sendAt ?? null)
          return toScheduled(yield* find(userId, id))
        }),
        cancel: Effect.fn("ScheduledMessages.cancel")(function* (userId, id) {
          if (yield* storage.cancel(userId, id)) return
          yield* find(userId, id)
          return yield* scheduledProblems.sending
        }),
        sendDue
      })
    })
  )
}

const makeSendDue = Effect.gen(function* () {
  const storage = yield* ScheduledMessageStorage
  const messages = yield* Messages

  const send = ({ content, conversationId, id, userId }: ScheduledRow) =>
    messages.send(userId, conversationId, { ...content, clientMessageId: ClientMessageId.make(id) }).pipe(
      Effect.matchEffect({
        onSuccess: () => storage.settle(id, null),
        onFailure: (problem) =>
          isUndecided(problem)
            ? Effect.void
            : storage.settle(id, { type: problem.type, detail: problem.detail ?? problem.title })
      }),
      // The lease of the message ends, and then it is tried again.
      Effect.catchTag("Unavailable", () => Effect.void)
    )

  return Effect.gen(function* () {
    const due = yield* storage.claim(messagesPerStep)
    // The messages are sent at the same time; the log still appends those of one conversation in this order.
    yield* Effect.forEach(due, send, { concurrency: "unbounded", discard: true })
    return due.length
  }).pipe(Effect.withSpan("ScheduledMessages.sendDue"))
})
