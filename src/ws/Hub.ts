import { Clock, Context, Deferred, Effect, Exit, Layer, Option, Schedule, Schema, Scope } from "effect"
import { Event } from "../domain/Event.ts"
import { type ConversationId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { references, seenFrom } from "../domain/Visibility.ts"
import { Log } from "../services/Log.ts"
import * as Definitions from "../services/MetricDefinitions.ts"
import { Metrics } from "../services/Metrics.ts"
import { conversationSubject, encodeEvent, type Published, PubSub, userSubject } from "../services/PubSub.ts"
import { Settings } from "../services/Settings.ts"
import { Tracing } from "../services/Tracing.ts"
import { makeComparison } from "./Comparison.ts"
import { encodeFrame } from "./Protocol.ts"

const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))
const decodeLeft = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ data: Schema.Struct({ userId: UserId }) }))
)

/** An event on this node: encoded as a WebSocket frame once, and only when a socket needs it. */
export class Frame {
  readonly event: string
  readonly conversationId: ConversationId | null
  /** 0 for an ephemeral one. */
  readonly seq: number
  readonly json: string
  private readonly published: Published
  private encoded: Buffer | undefined
  private decoded: Option.Option<Event> | undefined
  private narrowed: Map<number, Frame> | undefined

  constructor(published: Published) {
    this.event = published.event
    this.conversationId = published.conversationId
    this.seq = published.seq ?? 0
    this.json = published.json
    this.published = published
  }

  /** The same bytes for every socket. */
  get bytes(): Buffer {
    this.encoded ??= encodeFrame(this.json)
    return this.encoded
  }

  /** Whose membership ends with it, if anybody's. */
  get leaver(): UserId | undefined {
    if (this.event !== "member.left") return undefined
    return Option.getOrUndefined(Option.map(decodeLeft(this.json), ({ data }) => data.userId))
  }

  /**
   * What a member is handed who sees from `visibleFromSeq` on: this frame, unless it tells something of an earlier
   * message. What is left of it then is the same, and so encoded once, for all from whom the same is hidden.
   */
  seenFrom(visibleFromSeq: number): Frame {
    if (this.published.refers === null || visibleFromSeq <= this.published.refers) return this
    this.decoded ??= decodeEvent(this.json)
    this.narrowed ??= new Map()
    const event = this.decoded
    const hidden = Option.isNone(event) ? 0 : references(event.value).filter((seq) => seq < visibleFromSeq).length
    const known = this.narrowed.get(hidden)
    if (known !== undefined) return known
    // Of an event of a later release nobody here knows which part may be shown.
    const { conversationId, event: name, seq } = this
    const json = JSON.stringify(
      Option.isNone(event) ? { event: name, conversationId, seq, data: {} } : seenFrom(event.value, visibleFromSeq)
    )
    const frame = new Frame({ ...this.published, refers: null, json })
    this.narrowed.set(hidden, frame)
    return frame
  }
}

/** Who follows conversations: one socket, or one stream of another transport. */
export interface Follower {
  readonly userId: UserId
  /** Takes a durable event in its turn; false when it cannot: then it must catch up from the log. */
  readonly deliver: (frame: Frame) => boolean
  /** Takes an ephemeral event, or drops it: then it is false. */
  readonly offer: (frame: Frame) => boolean
}

/** At most this many events are held back for one follower or before one hole. */
const maxHeld = 256

/**
 * A follower's place in one conversation: it is handed `s` only when `s` is the next one. While it catches up from the
 * log, live events are held; too many of them are dropped, since the log has them.
 */
export class Cursor {
  readonly conversationId: ConversationId
  readonly follower: Follower
  nextSeq = 0
  /** Up to here events were handed on before there was this cursor: it goes live only beyond. */
  after = 0
  /** False from the end of the follower's membership on: nothing more comes. */
  attached = true
  /** It was live once, so that its follower is known to be a member. */
  admitted = false
  /** From where on the follower may see; nothing earlier is handed on, not even as a part of a later event. */
  visibleFromSeq = Number.MAX_SAFE_INTEGER
  private held: Array<Frame> | undefined = []
  private overflowed = false
  private readonly onLeft: (conversationId: ConversationId) => void

  constructor(
    conversationId: ConversationId,
    follower: Follower,
    onLeft: (conversationId: ConversationId) => void = () => {}
  ) {
    this.conversationId = conversationId
    this.follower = follower
    this.onLeft = onLeft
  }

  /** Live: what is published is handed on at once. */
  get live(): boolean {
    return this.held === undefined
  }

  /** Holds live events back until `release`. */
  hold(): void {
    this.held ??= []
    this.overflowed = false
  }

  receive(frame: Frame): void {
    if (this.held !== undefined) {
      if (this.held.length < maxHeld) this.held.push(frame)
      else this.overflowed = true
    } else if (frame.seq === this.nextSeq) {
      if (this.deliver(frame)) this.nextSeq++
      else this.hold()
    }
  }

  /** Hands on what was held and goes live; false when some of it is missing and must be read from the log first. */
  release(): boolean {
    if (this.nextSeq <= this.after) return this.restart()
    for (const frame of this.held ?? []) {
      if (frame.seq < this.nextSeq) continue
      if (frame.seq > this.nextSeq || !this.deliver(frame)) return this.restart()
      this.nextSeq++
    }
    if (this.overflowed) return this.restart()
    this.held = undefined
    this.admitted = true
    return true
  }

  /** Its follower is no member any more, or another one than he was. */
  detach(): void {
    this.attached = false
    this.onLeft(this.conversationId)
  }

  private deliver(frame: Frame): boolean {
    return this.follower.deliver(frame.seenFrom(this.visibleFromSeq))
  }

  private restart(): false {
    this.held = []
    this.overflowed = false
    return false
  }
}

/**
 * One followed conversation on this node: its events in `seq` order, whatever the bus loses or swaps. `onHand` is told
 * to how many an event was handed.
 */
class Feed {
  readonly cursors = new Set<Cursor>()
  readonly early = new Map<number, Frame>()
  readonly ready = Deferred.makeUnsafe<void, Unavailable>()
  readonly scope = Scope.makeUnsafe()
  /** The last seq handed on; undefined until the head is known. */
  last: number | undefined
  repairing = false
  private readonly onHand: (cursors: number) => void

  constructor(onHand: (cursors: number) => void) {
    this.onHand = onHand
  }

  attach(cursor: Cursor): void {
    cursor.after = this.last ?? 0
    this.cursors.add(cursor)
  }

  start(head: number): void {
    if (this.last === undefined) {
      this.last = head
      for (const cursor of this.cursors) cursor.after = head
      this.advance()
    }
    Deferred.doneUnsafe(this.ready, Exit.void)
  }

  take(frame: Frame): void {
    if (this.last === undefined || frame.seq > this.last + 1) {
      this.keep(frame)
    } else if (frame.seq === this.last + 1) {
      this.hand(frame)
      if (this.early.size > 0) this.advance()
    }
  }

  /** Of more than can be held the latest stays, since it tells up to where to read. */
  private keep(frame: Frame): void {
    if (this.early.size >= maxHeld) {
      const latest = Math.max(...this.early.keys())
      if (frame.seq <= latest) return
      this.early.delete(latest)
    }
    this.early.set(frame.seq, frame)
  }

  private hand(frame: Frame): void {
    this.last = frame.seq
    const { leaver } = frame
    if (leaver !== undefined) this.detach(leaver, frame.seq)
    this.onHand(this.cursors.size)
    for (const cursor of this.cursors) cursor.receive(frame)
  }

  /** Before the event is handed on, which is none of his any more. Who knows of a later membership keeps that. */
  private detach(userId: UserId, seq: number): void {
    for (const cursor of this.cursors) {
      if (cursor.follower.userId !== userId || cursor.nextSeq > seq) continue
      this.cursors.delete(cursor)
      cursor.detach()
    }
  }

  private advance(): void {
    for (const seq of this.early.keys()) if (this.last !== undefined && seq <= this.last) this.early.delete(seq)
    for (;;) {
      const next = this.last === undefined ? undefined : this.early.get(this.last + 1)
      if (next === undefined) return
      this.early.delete(next.seq)
      this.hand(next)
    }
  }
}

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
          while (feed.early.size > 0 && feeds.get(id) === feed) {
            yield* Effect.sleep(timers.gapWait)
            const { last } = feed
            if (feed.early.size > 0)
              yield* Effect.retry(repair(id, feed, Math.max(...feed.early.keys()), "hole"), retry)
            // Nobody may be left to wait for it by now.
            if (feed.last !== last || feed.early.size === 0 || feeds.get(id) !== feed) continue
            yield* Effect.logError("the bus brought events that the log does not have", { conversationId: id })
            feed.early.clear()
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
        if (feed.early.size === 0 || feed.last === undefined || feed.repairing) return
        feed.repairing = true
        fork(fillHole(id, feed))
      }

      const hand = (id: ConversationId, feed: Feed, events: ReadonlyArray<Published>) => {
        const since = clock.currentTimeNanosUnsafe()
        for (const event of events) {
          if (event.seq !== null) {
            feed.take(new Frame(event))
          } else {
            const frame = new Frame(event)
            for (const { admitted, follower } of feed.cursors)
              if (admitted && follower.userId !== event.except) follower.offer(frame)
          }
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
