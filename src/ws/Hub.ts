import { Clock, Context, Deferred, Effect, Exit, Layer, Schedule, Scope } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { Log } from "../services/Log.ts"
import * as Definitions from "../services/MetricDefinitions.ts"
import { Metrics } from "../services/Metrics.ts"
import { conversationSubject, encodeEvent, type Published, PubSub, userSubject } from "../services/PubSub.ts"
import { Settings } from "../services/Settings.ts"
import { Tracing } from "../services/Tracing.ts"
import { makeComparison } from "./Comparison.ts"
import { Cursor, type Follower } from "./Cursor.ts"
import { Feed } from "./Feed.ts"
import { Frame } from "./Frame.ts"

/** How many events one read of a repair takes. */
const repairStep = 200

/**
 * The fan-out of this node: one subscription per conversation while a follower here needs it, each event encoded once
 * and the same bytes handed to all. A hole waits `timers.gapWait` for the missing event and is then read from the log;
 * the heads of all followed conversations are compared with the log, since the bus may lose the last event too.
 */
export class Hub extends Context.Service<
  Hub,
  {
    /**
     * Follows conversations. The cursors come back holding: nothing that commits from now on is missed. The caller sets
     * `nextSeq`, sends what is older, and releases. A cursor whose follower's membership ends is detached before that
     * event is handed on, and `onLeft` is called for it: then the membership is to be read again.
     */
    readonly follow: (
      follower: Follower,
      conversationIds: ReadonlyArray<ConversationId>,
      onLeft: (conversationId: ConversationId) => void
    ) => Effect.Effect<ReadonlyArray<Cursor>, Unavailable>
    readonly unfollow: (cursor: Cursor) => void
    /** Signals of a user's subject until the scope closes. Confirmed when it returns. */
    readonly signals: (userId: UserId, onSignal: (signal: Published) => void) => Effect.Effect<void, never, Scope.Scope>
    /** How many conversations are followed. */
    readonly size: () => number
  }
>()("chat/ws/Hub") {
  static readonly layer = Layer.effect(
    Hub,
    Effect.gen(function* () {
      const log = yield* Log
      const pubsub = yield* PubSub
      const { timers } = yield* Settings
      const metrics = yield* Metrics
      const repaired = {
        hole: metrics.counter(Definitions.repairedEvents, { cause: "hole" }),
        head: metrics.counter(Definitions.repairedEvents, { cause: "head" })
      }
      const fanOut = metrics.histogram(Definitions.fanOut)
      let delivered = 0
      const onHand = (cursors: number) => {
        delivered += cursors
      }
      metrics.read(Definitions.deliveries, () => delivered)
      const clock = yield* Clock.Clock
      const tracing = yield* Tracing
      const comparing = yield* makeComparison
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const feeds = new Map<ConversationId, Feed>()
      metrics.read(Definitions.followed, () => feeds.size)
      const retry = { schedule: Schedule.spaced(timers.repairDegraded) }

      /** Reads what lies between the feed and `head`; one read per conversation at a time. */
      const repair = (id: ConversationId, feed: Feed, head: number, cause: "hole" | "head") =>
        Effect.gen(function* () {
          while (feeds.get(id) === feed && feed.last !== undefined && feed.last < head) {
            const events = yield* log.range(id, feed.last, Math.min(head, feed.last + repairStep))
            if (events.length === 0) return
            for (const event of events) feed.take(new Frame(encodeEvent(event)))
            repaired[cause](events.length)
          }
        })

      /** Waits for the events that are missing, and reads from the log what did not come. */
      const fillHole = (id: ConversationId, feed: Feed): Effect.Effect<void> =>
        Effect.gen(function* () {
          while (feed.missingUpTo !== undefined && feeds.get(id) === feed) {
            yield* Effect.sleep(timers.gapWait)
            const { last, missingUpTo } = feed
            if (missingUpTo !== undefined) yield* Effect.retry(repair(id, feed, missingUpTo, "hole"), retry)
            // Nobody may be left to wait for it by now.
            if (feed.last !== last || feed.missingUpTo === undefined || feeds.get(id) !== feed) continue
            yield* Effect.logError("the bus brought events that the log does not have", { conversationId: id })
            feed.forget()
          }
        }).pipe(
          Effect.ignore,
          Effect.ensuring(
            Effect.sync(() => {
              feed.repairing = false
            })
          )
        )

      const watchForHole = (id: ConversationId, feed: Feed) => {
        if (feed.repairing || feed.missingUpTo === undefined) return
        feed.repairing = true
        fork(fillHole(id, feed))
      }

      const hand = (id: ConversationId, feed: Feed, events: ReadonlyArray<Published>) => {
        const since = clock.currentTimeNanosUnsafe()
        for (const event of events) {
          if (event.seq === null) feed.offer(event)
          else feed.take(new Frame(event))
        }
        fanOut(Number(clock.currentTimeNanosUnsafe() - since) / 1e9)
        watchForHole(id, feed)
      }

      const deliverySpan = (id: ConversationId, feed: Feed, events: ReadonlyArray<Published>) => () => ({
        name: "deliver conversation",
        kind: "consumer" as const,
        attributes: {
          "messaging.operation.name": "deliver",
          "messaging.operation.type": "process",
          "messaging.destination.name": conversationSubject(id),
          "messaging.batch.message_count": events.length,
          "chat.receivers": feed.cursors.size
        }
      })

      /** One span for all receivers, and only in a sampled trace. */
      const onEvents =
        (id: ConversationId, feed: Feed) => (events: ReadonlyArray<Published>, traceparent: string | undefined) =>
          tracing.step(traceparent, deliverySpan(id, feed, events), () => hand(id, feed, events))

      const unfollow = (cursor: Cursor) => {
        const feed = feeds.get(cursor.conversationId)
        if (feed === undefined) return
        feed.cursors.delete(cursor)
        if (feed.cursors.size > 0) return
        feeds.delete(cursor.conversationId)
        fork(Scope.close(feed.scope, Exit.void))
      }

      /** Subscribes first and reads the heads then, so that nothing falls between the two. */
      const start = Effect.fnUntraced(function* (opened: ReadonlyMap<ConversationId, Feed>) {
        if (opened.size === 0) return
        yield* Effect.forEach(
          opened,
          ([id, feed]) => Scope.provide(pubsub.subscribe(conversationSubject(id), onEvents(id, feed)), feed.scope),
          { concurrency: "unbounded", discard: true }
        )
        const heads = yield* Effect.exit(log.heads([...opened.keys()]))
        for (const [id, feed] of opened) {
          if (Exit.isSuccess(heads)) feed.start(heads.value.get(id) ?? 0)
          else Deferred.doneUnsafe(feed.ready, Exit.asVoid(heads))
          watchForHole(id, feed)
        }
      })

      const follow = Effect.fn("Hub.follow")(function* (
        follower: Follower,
        conversationIds: ReadonlyArray<ConversationId>,
        onLeft: (conversationId: ConversationId) => void
      ) {
        const opened = new Map<ConversationId, Feed>()
        const followed = conversationIds.map((id) => {
          const cursor = new Cursor(id, follower, onLeft)
          const known = feeds.get(id)
          const feed = known ?? new Feed(onHand)
          if (known === undefined) {
            feeds.set(id, feed)
            opened.set(id, feed)
          }
          feed.attach(cursor)
          return { cursor, feed }
        })
        yield* start(opened)
        return yield* Effect.forEach(followed, ({ cursor, feed }) =>
          Effect.as(Deferred.await(feed.ready), cursor)
        ).pipe(Effect.onError(() => Effect.forEach(followed, ({ cursor }) => Effect.sync(() => unfollow(cursor)))))
      }, Effect.uninterruptible)

      yield* comparing(
        () => [...feeds.keys()],
        (ids) =>
          Effect.flatMap(log.heads(ids), (heads) =>
            Effect.forEach(
              heads,
              ([id, head]) => {
                const feed = feeds.get(id)
                return feed?.last !== undefined && feed.last < head && !feed.repairing
                  ? repair(id, feed, head, "head")
                  : Effect.void
              },
              { discard: true }
            )
          )
      )

      return Hub.of({
        follow,
        unfollow,
        signals: (userId, onSignal) =>
          pubsub.subscribe(userSubject(userId), (signals) => {
            for (const signal of signals) onSignal(signal)
          }),
        size: () => feeds.size
      })
    })
  )
}
