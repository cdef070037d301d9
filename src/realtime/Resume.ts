import { Effect } from "effect"
import type { ConversationId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { replayLimit } from "../domain/Protocol.ts"
import type { SyncRequest } from "../domain/Sync.ts"
import type { MembershipState } from "../services/conversations/Conversations.ts"
import { Drafts } from "../services/messages/Drafts.ts"
import { MessageChanges } from "../services/messages/MessageChanges.ts"
import { Stars } from "../services/messages/Stars.ts"
import { compare } from "../services/messages/Sync.ts"
import { LogEpoch } from "../services/platform/LogEpoch.ts"
import * as Definitions from "../services/platform/MetricDefinitions.ts"
import { Metrics } from "../services/platform/Metrics.ts"
import type { Listing } from "./Listing.ts"
import type { Replay } from "./Replay.ts"
import { type ResumableSubscriber, sendWhenRoom } from "./Subscriber.ts"

/**
 * Sends a returning client what it missed since `from`, in this order: events of the conversations that it kept, added
 * and removed conversations, changes of the user's own state, and `ready`. The subscriber must follow all
 * shown ones of `memberships` already.
 */
type Resume = (
  subscriber: ResumableSubscriber,
  from: SyncRequest & { readonly epoch?: string },
  memberships: ReadonlyArray<MembershipState>
) => Effect.Effect<void, Unavailable>

const idOf = ({ conversationId }: { readonly conversationId: ConversationId }) => conversationId

/** Makes the `Resume`, which sends to a client that reconnects what it has missed. */
export const makeResume = Effect.fnUntraced(function* ({ goLive, replay, reset }: Replay, { add, settings }: Listing) {
  const changes = yield* MessageChanges
  const drafts = yield* Drafts
  const epoch = yield* LogEpoch
  const stars = yield* Stars
  const metrics = yield* Metrics
  const countResume = metrics.counter(Definitions.resumes)

  const catchUpKept = Effect.fnUntraced(function* (
    subscriber: ResumableSubscriber,
    kept: ReturnType<typeof compare>["kept"],
    sameLog: boolean
  ) {
    let budget = replayLimit.hello
    for (const { conversationId, seen, seq, visibleFromSeq } of kept) {
      const cursor = subscriber.cursors.get(conversationId)
      if (cursor === undefined) continue
      // The client may be ahead of what the bus has brought to this node, but not of the log.
      const missed = Math.max(cursor.after, seq) - seen
      cursor.visibleFromSeq = visibleFromSeq
      if (sameLog && missed >= 0 && missed <= Math.min(budget, replayLimit.conversation)) {
        budget -= missed
        cursor.nextSeq = seen + 1
        // The membership is known up to `seq` only: beyond it the log must be read to see whether it continues.
        if (missed > 0 || cursor.after > seq || !cursor.release()) yield* replay(subscriber, cursor)
      } else {
        yield* reset(subscriber, cursor, seq)
        yield* goLive(subscriber, cursor, seq + 1)
      }
    }
  })

  const resume: Resume = Effect.fnUntraced(function* (subscriber, from, memberships) {
    const { added, changed, kept, removed } = compare(memberships, from)
    countResume()
    const current = epoch.current()
    const sameLog = from.epoch === undefined || current === undefined || from.epoch === current
    yield* catchUpKept(subscriber, kept, sameLog)
    yield* add(subscriber, added.map(idOf))
    for (const conversationId of removed) {
      yield* subscriber.room
      subscriber.send({ event: "conversation.removed", conversationId, data: {} })
    }
    yield* settings(subscriber, changed.map(idOf))
    if (from.userSeq !== undefined) {
      for (const { conversationId, ...change } of yield* drafts.changedAfter(subscriber.userId, from.userSeq)) {
        yield* sendWhenRoom(subscriber, "draft.updated", conversationId, change)
      }
      for (const { conversationId, ...star } of yield* stars.changedAfter(subscriber.userId, from.userSeq)) {
        yield* sendWhenRoom(subscriber, "star.updated", conversationId, star)
      }
      for (const { conversationId, ...hidden } of yield* changes.hiddenAfter(subscriber.userId, from.userSeq)) {
        yield* sendWhenRoom(subscriber, "message.hidden", conversationId, hidden)
      }
    }
    subscriber.send({ event: "ready", data: { resumed: true, done: true } })
  })
  return resume
})
