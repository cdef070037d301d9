import { Cause, Effect, type Tracer } from "effect"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { Conflict, Forbidden, NotFound } from "../../domain/Problem.ts"
import {
  blocked,
  messageIdReused,
  noAttachment,
  noConversation,
  noReplyTarget,
  noThreadRoot
} from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../bus/MembershipSignals.ts"
import { encodeEvent, PubSub } from "../bus/PubSub.ts"
import { conversationSubject, type Published } from "../bus/Subjects.ts"
import type { Pending } from "../platform/load/GroupCommit.ts"
import { untraced, within } from "../platform/Tracing.ts"
import { type AppendedRow, storedRow } from "./AppendCall.ts"
import type { Appended, NewEntry } from "./Entry.ts"
import type { Log } from "./Log.ts"
import { makeMessageCounts } from "./MessageCounts.ts"
import { messageCreated } from "./MessageRows.ts"

/** An entry that waits for its commit. */
export type PendingEntry = Pending<NewEntry, Appended, NotFound | Forbidden | Conflict>

/**
 * What a commit publishes for one conversation: the user who sees the conversation from now on, the events, and the
 * first traced send.
 */
interface Outgoing {
  readonly events: Array<Published>
  readonly span: Tracer.AnySpan | undefined
  readonly shownTo: UserId | null
}

/** The answers to the outcomes that refuse an entry. */
const refusals = {
  reused: Effect.fail(messageIdReused),
  "not-a-member": Effect.fail(noConversation),
  blocked: Effect.fail(blocked),
  "no-reply-target": Effect.fail(noReplyTarget),
  "no-thread-root": Effect.fail(noThreadRoot),
  "no-attachment": Effect.fail(noAttachment)
}

const ackOf = (row: AppendedRow, duplicate: boolean) => ({
  messageId: row.id,
  seq: row.seq,
  createdAt: row.createdAt.toISOString(),
  duplicate
})

/** Answers every entry of a batch that has no answer yet with a defect. */
export const answerWithDefect = (batch: ReadonlyArray<PendingEntry>, cause: Cause.Cause<unknown>) => {
  for (const entry of batch) entry.answer(Effect.failCause(Cause.die(Cause.squash(cause))))
}

/** Makes `settle`, which answers the entries of a committed batch and publishes the messages that it stored. */
export const makeSettle = Effect.fnUntraced(function* (reader: Pick<Log["Service"], "range">) {
  const pubsub = yield* PubSub
  const countMessages = yield* makeMessageCounts
  const signal = yield* makeMembershipSignals
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  const republish = (id: ConversationId, seq: number) =>
    reader.range(id, seq - 1, seq).pipe(
      Effect.flatMap((events) => pubsub.publish(conversationSubject(id), events.map(encodeEvent))),
      Effect.catch(() => Effect.void)
    )

  /** Answers the entry, and returns the event to publish, if there is one. */
  const answer = (entry: PendingEntry, row: AppendedRow): Published | null => {
    switch (row.outcome) {
      case "stored": {
        const event = messageCreated(storedRow(entry.input, row))
        entry.answer(Effect.succeed({ ack: ackOf(row, false), message: event.data.message }))
        return encodeEvent(event)
      }
      case "duplicate":
        entry.answer(Effect.succeed({ ack: ackOf(row, true), message: null }))
        // The event may have been lost together with the first answer. Receivers ignore an event that they have.
        fork(republish(entry.input.conversationId, row.seq))
        return null
      case "locked":
        return null
      default:
        entry.answer(refusals[row.outcome])
        return null
    }
  }

  return (batch: ReadonlyArray<PendingEntry>, rows: ReadonlyArray<AppendedRow>) =>
    Effect.suspend(() => {
      const outgoing = new Map<ConversationId, Outgoing>()
      for (const row of rows) {
        const entry = batch[row.position - 1]
        const event = entry === undefined ? null : answer(entry, row)
        if (entry === undefined || event === null) continue
        const { conversationId } = entry.input
        const { events = [], shownTo = row.shownTo, span = entry.span } = outgoing.get(conversationId) ?? {}
        events.push(event)
        outgoing.set(conversationId, { events, shownTo, span })
      }
      for (const [id, { events }] of outgoing) countMessages(id, events.length)
      const traced = batch.some(({ span }) => span !== undefined)
      const published = Effect.forEach(
        outgoing,
        ([id, { events, shownTo, span }]) => {
          const publish = pubsub.publish(conversationSubject(id), events)
          const all = shownTo === null ? publish : Effect.andThen(signal(id, [shownTo]), publish)
          // The publish belongs to the trace of the send, or to none when that send is not traced.
          return span === undefined ? all : within(span)(all)
        },
        { discard: true }
      )
      return traced ? untraced(published) : published
    }).pipe(Effect.catchCause((cause) => Effect.sync(() => answerWithDefect(batch, cause))))
})
