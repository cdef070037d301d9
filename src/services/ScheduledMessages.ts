import { randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer, Schema } from "effect"
import { ClientMessageId, ScheduledMessageId, type UserId } from "../domain/Ids.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import { Conflict, type InvalidRequest, invalid, NotFound, type Problem, type Unavailable } from "../domain/Problem.ts"
import type {
  NewScheduledMessage,
  ScheduledContent,
  ScheduledMessage,
  ScheduledMessageChange
} from "../domain/ScheduledMessage.ts"
import { every } from "./Background.ts"
import { keyReused, pageOf } from "./ConversationRows.ts"
import { noConversation } from "./LogReader.ts"
import { wrongWith } from "./MessageRules.ts"
import { Messages } from "./Messages.ts"
import { checkLimit, cursorOf, Millis } from "./Paging.ts"
import {
  isRefusal,
  makeMemoryScheduled,
  makeSqlScheduled,
  type ScheduledRow,
  type ScheduledStorage,
  scheduledLimit
} from "./ScheduledMessageStorage.ts"
import { Settings } from "./Settings.ts"

const cursor = cursorOf(Schema.Struct({ at: Millis, id: ScheduledMessageId }))

/** How many are sent at a time. */
const batch = 20

const notFound = new NotFound({ detail: "There is no such scheduled message" })

const problems = {
  "not-a-member": noConversation,
  "not-found": notFound,
  "too-early": invalid("sendAt", "must be in the future"),
  "too-late": invalid("sendAt", "must be within a year"),
  "too-many": new Conflict({
    code: "too-many-scheduled",
    detail: `Nobody may have more than ${scheduledLimit} scheduled messages`
  }),
  "key-reused": keyReused,
  sending: new Conflict({ code: "already-sending", detail: "It is being sent" })
}

const toScheduled = ({ claimedUntil, content, createdAt, failure, id, ...row }: ScheduledRow): ScheduledMessage => ({
  ...content,
  id,
  conversationId: row.conversationId,
  sendAt: row.sendAt.toISOString(),
  status: failure !== null ? "failed" : claimedUntil === null ? "scheduled" : "sending",
  failure,
  createdAt: createdAt.toISOString()
})

/** Nobody knows whether it was stored; everything else is a refusal that stays one. */
const isUndecided = ({ _tag }: Problem) => _tag === "Unavailable" || _tag === "Internal" || _tag === "RateLimited"

/** Messages that are sent later. */
export class ScheduledMessages extends Context.Service<
  ScheduledMessages,
  {
    /** Asked again with the same `idempotencyKey` it answers with the same one, while that is not sent. */
    readonly create: (
      userId: UserId,
      message: NewScheduledMessage,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<ScheduledMessage, InvalidRequest | NotFound | Conflict | Unavailable>
    readonly get: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<ScheduledMessage, NotFound | Unavailable>
    /** The next one first. Those that failed stay until they are changed or cancelled. */
    readonly list: (
      userId: UserId,
      page: PageRequest
    ) => Effect.Effect<Page<ScheduledMessage>, InvalidRequest | Unavailable>
    /** What failed is scheduled again. `Conflict` ("already-sending") from the first attempt to send it on. */
    readonly update: (
      userId: UserId,
      id: ScheduledMessageId,
      change: ScheduledMessageChange
    ) => Effect.Effect<ScheduledMessage, InvalidRequest | NotFound | Conflict | Unavailable>
    readonly cancel: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<void, NotFound | Conflict | Unavailable>
    /**
     * Sends what is due, each under its own id, so that a second attempt, here or on another node, is a duplicate. One
     * whose fate is not known is tried again in half a minute. Answers with how many it has tried.
     */
    readonly sendDue: Effect.Effect<number, Unavailable>
  }
>()("chat/services/ScheduledMessages") {
  static readonly make = Effect.fnUntraced(function* (storage: ScheduledStorage) {
    const messages = yield* Messages
    const { limits } = yield* Settings

    const check = (content: ScheduledContent) => {
      const wrong = wrongWith({ ...content, clientMessageId: ClientMessageId.make("x") }, limits)
      return wrong === undefined ? Effect.void : Effect.fail(wrong)
    }

    const find = Effect.fnUntraced(function* (userId: UserId, id: ScheduledMessageId) {
      return (yield* storage.find(userId, id)) ?? (yield* notFound)
    })

    const send = ({ content, conversationId, id, userId }: ScheduledRow) =>
      messages.send(userId, conversationId, { ...content, clientMessageId: ClientMessageId.make(id) }).pipe(
        Effect.matchEffect({
          onSuccess: () => storage.settle(id, null),
          onFailure: (problem) =>
            isUndecided(problem)
              ? Effect.void
              : storage.settle(id, { type: problem.type, detail: problem.detail ?? problem.title })
        }),
        // Its lease ends, and then it is tried again.
        Effect.catchTag("Unavailable", () => Effect.void)
      )

    return ScheduledMessages.of({
      create: Effect.fn("ScheduledMessages.create")(function* (userId, message, idempotencyKey) {
        const { conversationId, sendAt, ...content } = message
        yield* check(content)
        const id = ScheduledMessageId.make(randomUUIDv7())
        const added = yield* storage.add({ id, userId, conversationId, content, sendAt, key: idempotencyKey ?? null })
        if (isRefusal(added)) return yield* Effect.fail(problems[added])
        return toScheduled(yield* find(userId, added))
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
        const outcome = yield* storage.change(userId, id, content, sendAt ?? null)
        if (outcome !== "scheduled") return yield* Effect.fail(problems[outcome])
        return toScheduled(yield* find(userId, id))
      }),
      cancel: Effect.fn("ScheduledMessages.cancel")(function* (userId, id) {
        if (yield* storage.cancel(userId, id)) return
        yield* find(userId, id)
        return yield* problems.sending
      }),
      sendDue: Effect.gen(function* () {
        const due = yield* storage.claim(batch)
        // All at once: those of one conversation are appended in this order all the same.
        yield* Effect.forEach(due, send, { concurrency: "unbounded", discard: true })
        return due.length
      }).pipe(Effect.withSpan("ScheduledMessages.sendDue"))
    })
  })

  static readonly layer = Layer.effect(
    ScheduledMessages,
    Effect.flatMap(makeSqlScheduled, (storage) => ScheduledMessages.make(storage))
  )

  static readonly layerTest = Layer.effect(
    ScheduledMessages,
    Effect.flatMap(makeMemoryScheduled, (storage) => ScheduledMessages.make(storage))
  )
}

/** Sends what is due, each second, as long as this node lives. */
export const layerScheduler = Layer.effectDiscard(
  Effect.gen(function* () {
    const { sendDue } = yield* ScheduledMessages
    const all = Effect.repeat(sendDue, { while: (sent) => sent === batch })
    yield* every("1 second", "sending scheduled messages", all)
  })
)
