import { Clock, Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { PubSub } from "../services/bus/PubSub.ts"
import { conversationSubject, type Published, userSubject } from "../services/bus/Subjects.ts"
import { Log } from "../services/log/Log.ts"
import * as Definitions from "../services/platform/MetricDefinitions.ts"
import { Metrics } from "../services/platform/Metrics.ts"
import { Tracing } from "../services/platform/Tracing.ts"
import { Cursor, type Subscriber } from "./Cursor.ts"
import { Feed } from "./Feed.ts"
import { makeFeedRepair } from "./FeedRepair.ts"
import { Frame } from "./Frame.ts"

/** What the bus calls with the events of one conversation. */
type OnEvents = (events: ReadonlyArray<Published>, traceparent: string | undefined) => void

/** Delivers what the bus brings to the cursors of a feed: one span for all receivers, and only in a sampled trace. */
const makeDelivery = Effect.fnUntraced(function* (watchForGap: (id: ConversationId, feed: Feed) => void) {
  const clock = yield* Clock.Clock
  const metrics = yield* Metrics
  const tracing = yield* Tracing
  const fanOut = metrics.histogram(Definitions.fanOut)

  const deliver = (id: ConversationId, feed: Feed, events: ReadonlyArray<Published>) => {
    const since = clock.monotonicTimeNanosUnsafe()
    for (const event of events) {
      if (event.seq === null) feed.offer(event)
      else feed.take(new Frame(event))
    }
    fanOut(Number(clock.monotonicTimeNanosUnsafe() - since) / 1e9)
    watchForGap(id, feed)
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

  return (id: ConversationId, feed: Feed): OnEvents =>
    (events, traceparent) =>
      tracing.step(traceparent, deliverySpan(id, feed, events), () => deliver(id, feed, events))
})

/**
 * The fan-out of this node: one subscription per conversation while a subscriber here needs it. Each event is encoded
 * once, and all subscribers get the same bytes. What the bus loses is read from the log.
 */
export class Hub extends Context.Service<
  Hub,
  {
    /**
     * Follows conversations. The returned cursors hold their events, so that nothing that commits from now on is
     * missed: the caller sets `nextSeq`, sends what is older, and releases. When the subscriber's membership ends, the
     * cursor is detached before that event is delivered and `onLeft` is called; the membership is then to be read again.
     * Fails with `Unavailable`, following nothing, when the log cannot be read.
     */
    readonly follow: (
      subscriber: Subscriber,
      conversationIds: ReadonlyArray<ConversationId>,
      onLeft: (conversationId: ConversationId) => void
    ) => Effect.Effect<ReadonlyArray<Cursor>, Unavailable>
    /** Stops delivery to the cursor. Repeating it does nothing. */
    readonly unfollow: (cursor: Cursor) => void
    /** Calls `onSignal` for the events on a user's subject until the scope closes. None is missed once it returns. */
    readonly signals: (userId: UserId, onSignal: (signal: Published) => void) => Effect.Effect<void, never, Scope.Scope>
    /** How many conversations are followed. */
    readonly size: () => number
  }
>()("chat/realtime/Hub") {
  static readonly layer = Layer.effect(
    Hub,
    Effect.gen(function* () {
      const log = yield* Log
      const metrics = yield* Metrics
      const pubsub = yield* PubSub
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const feeds = new Map<ConversationId, Feed>()
      const watchForGap = yield* makeFeedRepair(feeds)
      const onEvents = yield* makeDelivery(watchForGap)
      let delivered = 0
      const onDelivery = (cursors: number) => {
        delivered += cursors
      }
      metrics.read(Definitions.deliveries, () => delivered)
      metrics.read(Definitions.followed, () => feeds.size)

      const unfollow = (cursor: Cursor) => {
        const feed = feeds.get(cursor.conversationId)
        if (feed === undefined) return
        feed.cursors.delete(cursor)
        if (feed.cursors.size > 0) return
        feeds.delete(cursor.conversationId)
        fork(Scope.close(feed.scope, Exit.void))
      }

      /** Subscribes before it reads the heads, so that no event falls between the two. */
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
          watchForGap(id, feed)
        }
      })

      const follow = Effect.fn("Hub.follow")(function* (
        subscriber: Subscriber,
        conversationIds: ReadonlyArray<ConversationId>,
        onLeft: (conversationId: ConversationId) => void
      ) {
        const opened = new Map<ConversationId, Feed>()
        const followed = conversationIds.map((id) => {
          const cursor = new Cursor(id, subscriber, onLeft)
          const known = feeds.get(id)
          const feed = known ?? new Feed(onDelivery)
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
