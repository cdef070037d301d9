import { Context, Effect, Layer, type Scope } from "effect"
import type { Unavailable } from "../domain/Problem.ts"
import type { SyncRequest } from "../domain/Sync.ts"
import { Conversations } from "../services/conversations/Conversations.ts"
import { bytesPer, HeavyReads } from "../services/platform/load/HeavyReads.ts"
import type { Cursor } from "./Cursor.ts"
import { Frame } from "./Frame.ts"
import { Hub } from "./Hub.ts"
import { makeListing } from "./Listing.ts"
import { MembershipQueue, makeMemberships } from "./MembershipQueue.ts"
import { makeReplay } from "./Replay.ts"
import { makeResume } from "./Resume.ts"
import type { ResumableSubscriber } from "./Subscriber.ts"

/** Brings a subscriber up to date: when it connects, when its user joins a conversation, and after it was too slow. */
export class CatchUp extends Context.Service<
  CatchUp,
  {
    /**
     * Follows all conversations of the subscriber's user, calls `onStart` with the user seq, sends the list of
     * conversations or what the cursors missed, and goes live. Cursors of another `epoch` are reset. Changes of
     * memberships are followed from then on until the scope closes. Fails with `Unavailable` when the database is
     * down; what has already been sent stays sent.
     */
    readonly start: (
      subscriber: ResumableSubscriber,
      from: { readonly cursors?: SyncRequest["cursors"]; readonly userSeq?: number; readonly epoch?: string },
      onStart: (userSeq: number) => void
    ) => Effect.Effect<void, Unavailable, Scope.Scope>
    /** Replays what the cursor missed, or resets it when that is too much, and lets it go live. */
    readonly replay: (subscriber: ResumableSubscriber, cursor: Cursor) => Effect.Effect<void>
  }
>()("chat/realtime/CatchUp") {
  static readonly layer = Layer.effect(
    CatchUp,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const hub = yield* Hub
      const reads = yield* HeavyReads
      const replay = yield* makeReplay
      const listing = yield* makeListing(replay)
      const resume = yield* makeResume(replay, listing)
      const memberships = yield* makeMemberships(replay, listing)

      const start: CatchUp["Service"]["start"] = Effect.fn("CatchUp.start")(function* (subscriber, from, onStart) {
        const queue = new MembershipQueue(subscriber)
        yield* hub.signals(subscriber.userId, (signal) => {
          const { conversationId, event } = signal
          if (event === "membership.changed" && conversationId !== null) queue.offer(conversationId)
          // All other signals are events for the user's own devices.
          else subscriber.offer(new Frame(signal))
        })
        const { memberships: current, userSeq } = yield* reads.inTime(
          subscriber.userId,
          conversations.memberships(subscriber.userId),
          ({ memberships }) => memberships.length * bytesPer.followed
        )
        if (subscriber.isClosing) return
        onStart(userSeq)
        const byActivity = [...current].sort((a, b) => b.lastActivityAt.getTime() - a.lastActivityAt.getTime())
        const ids = byActivity.filter((place) => place.shown).map((place) => place.conversationId)
        yield* memberships.follow(queue, ids)
        yield* from.cursors === undefined
          ? listing.list(subscriber, ids)
          : resume(subscriber, { ...from, cursors: from.cursors }, byActivity)
        // Changes wait in the queue until the start is over.
        yield* memberships.watch(queue, userSeq)
      })

      return CatchUp.of({ replay: replay.replay, start })
    })
  )
}
