import { randomUUID } from "node:crypto"
import { type Cause, Clock, Context, Effect, Layer, Queue, Schedule, type Scope, Stream } from "effect"
import type { UserId } from "../domain/Ids.ts"
import { RateLimited, type Unauthenticated, type Unavailable } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import { Conversations } from "../services/Conversations.ts"
import { Drain } from "../services/Drain.ts"
import { EventCursors, type Vector } from "../services/EventCursors.ts"
import { eventStreams, limitHits } from "../services/MetricDefinitions.ts"
import { Metrics } from "../services/Metrics.ts"
import { Presence } from "../services/Presence.ts"
import type { Published } from "../services/PubSub.ts"
import { Sessions } from "../services/Sessions.ts"
import { Settings } from "../services/Settings.ts"
import { untraced } from "../services/Tracing.ts"
import { CatchUp } from "../ws/CatchUp.ts"
import { Frame } from "../ws/Frame.ts"
import { Hub } from "../ws/Hub.ts"
import { EventStream, nowhere, type Place, type ServerSentEvent } from "./EventStream.ts"
import { Position, parsePosition } from "./StreamPosition.ts"

/** The last `seq` that a client has of each conversation, and of its user's own state; nothing yet without cursors. */
type From = Parameters<CatchUp["Service"]["start"]>[1]

/** Above every head: such a cursor is answered with a reset. */
const unknownSeq = Number.MAX_SAFE_INTEGER

/** The events of a user for clients that have no WebSocket: the same events in the same order, read as they are pulled. */
export class EventStreams extends Context.Service<
  EventStreams,
  {
    /**
     * Opens a stream. Without a `lastEventId` it starts with the list of conversations, with one it goes on after that
     * event, on any node. It ends with its scope, with the session, when its token expires or the node goes away.
     */
    readonly open: (
      principal: Principal,
      lastEventId: string | undefined
    ) => Effect.Effect<Stream.Stream<ServerSentEvent>, Unavailable | Unauthenticated | RateLimited, Scope.Scope>
    /** As `open`, for a caller that keeps its cursors itself: the events as JSON, without ids. */
    readonly follow: (
      principal: Principal,
      from: From
    ) => Effect.Effect<Stream.Stream<string>, Unavailable | Unauthenticated | RateLimited, Scope.Scope>
  }
>()("chat/http/EventStreams") {
  static readonly layer = Layer.effect(
    EventStreams,
    Effect.gen(function* () {
      const { limits, timers } = yield* Settings
      const catchUp = yield* CatchUp
      const conversations = yield* Conversations
      const drain = yield* Drain
      const hub = yield* Hub
      const presence = yield* Presence
      const sessions = yield* Sessions
      const stored = yield* EventCursors

      /** What the client has: nothing, what its last event says, or something that nobody knows any more. */
      const resumePoint = Effect.fnUntraced(function* ({ userId }: Principal, lastEventId: string | undefined) {
        if (lastEventId === undefined || lastEventId === "") return undefined
        const position = parsePosition(lastEventId)
        const base = position && (yield* stored.load(userId, position.base))
        const known = base && position.apply(base)
        if (known !== undefined) return known
        const { places, userSeq } = yield* conversations.places(userId)
        return { seqs: places.map((place) => [place.conversationId, unknownSeq] as const), userSeq }
      })

      const end = (stream: EventStream, event: string, data: unknown) =>
        Effect.sync(() => {
          stream.send({ event, data })
          stream.end()
        })

      const open = new Map<UserId, number>()
      const metrics = yield* Metrics
      metrics.read(eventStreams, () => [...open.values()].reduce((sum, count) => sum + count, 0))
      const tooMany = metrics.counter(limitHits, { limit: "streams" })
      const count = ({ userId }: Principal) =>
        Effect.acquireRelease(
          Effect.suspend(() => {
            const others = open.get(userId) ?? 0
            if (others >= limits.socketsPerUser) {
              tooMany()
              return Effect.fail(new RateLimited({ retryAfterMs: 1000, detail: "Too many streams are open" }))
            }
            return Effect.succeed(open.set(userId, others + 1))
          }),
          () =>
            Effect.sync(() => {
              const others = (open.get(userId) ?? 1) - 1
              if (others === 0) open.delete(userId)
              else open.set(userId, others)
            })
        )

      /** A stream from its first event to its end. */
      const run = Effect.fnUntraced(function* (
        principal: Principal,
        from: From,
        position: Place,
        fold: Effect.Effect<void, Unavailable>,
        onStart: (userSeq: number) => void
      ) {
        const fork = Effect.runForkWith(yield* Effect.context<never>())
        const queue = yield* Queue.unbounded<ServerSentEvent, Cause.Done>()
        const folding = fold.pipe(
          Effect.retry({ schedule: Schedule.spaced("1 second"), while: () => !stream.isClosing }),
          Effect.ensuring(Effect.sync(() => stream.folded()))
        )
        const stream: EventStream = new EventStream(principal.userId, queue, position, limits, {
          catchUp: (cursor) => {
            fork(
              Effect.catchCause(catchUp.replay(stream, cursor), (cause) => {
                stream.end()
                return Effect.logError("replay failed", cause)
              })
            )
          },
          fold: () => void fork(folding)
        })

        const tell = (changed: Published) => stream.offer(new Frame(changed))
        yield* presence.connect({ userId: principal.userId, connectionId: randomUUID(), tell })
        yield* sessions.onEnded((ids) => {
          if (ids.includes(principal.sessionId)) stream.end()
        })
        // The session may have ended before anybody here could hear of it.
        yield* sessions.check(principal)
        const since = yield* Clock.currentTimeMillis
        yield* Effect.addFinalizer(() =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            stream.end()
            for (const cursor of stream.cursors.values()) hub.unfollow(cursor)
            const { sent, userId } = stream
            return Effect.logInfo("event stream closed", { userId, durationMs: now - since, sent })
          })
        )
        const ping = Effect.sync(() => stream.send({ event: "ping", data: {} }))
        yield* Effect.forkScoped(Effect.repeat(Effect.delay(ping, timers.heartbeat), Schedule.forever))
        const life = principal.expiresAt - since
        yield* Effect.forkScoped(
          Effect.delay(
            Effect.sync(() => stream.end()),
            Math.max(0, Math.min(life, 2 ** 31 - 1))
          )
        )
        yield* Effect.forkScoped(
          Effect.andThen(drain.started, end(stream, "reconnect", { afterMs: Math.round(timers.drain / 2) }))
        )
        let userSeq = 0
        yield* catchUp
          .start(stream, from, (now) => {
            userSeq = now
          })
          .pipe(
            Effect.tap(() => Effect.sync(() => onStart(userSeq))),
            Effect.catchCause((cause) =>
              Effect.andThen(
                Effect.logWarning("event stream ended", cause),
                end(stream, "reconnect", { afterMs: 1000 })
              )
            ),
            Effect.forkScoped
          )
        return Stream.fromQueue(queue).pipe(Stream.tap((event) => Effect.sync(() => stream.taken(event))))
      })

      const start = Effect.fnUntraced(function* (principal: Principal, lastEventId: string | undefined) {
        yield* count(principal)
        const from = yield* resumePoint(principal, lastEventId)
        const vector: Vector = from ?? { seqs: [], userSeq: 0 }
        const position = new Position(yield* stored.store(principal.userId, vector), vector)
        const fold = Effect.suspend(() => {
          const { vector } = position
          return Effect.map(stored.store(principal.userId, vector), (base) => position.rebase(base, vector))
        })
        const cursors = from && { cursors: Object.fromEntries(from.seqs), userSeq: from.userSeq }
        return yield* run(principal, cursors ?? {}, position, fold, (userSeq) => position.setUserSeq(userSeq))
      })

      const follow = Effect.fnUntraced(function* (principal: Principal, from: From) {
        yield* count(principal)
        const events = yield* run(principal, from, nowhere, Effect.void, () => {})
        return Stream.map(events, ({ data }) => data)
      })

      // What a stream does in its life is no part of the request that opened it.
      return EventStreams.of({
        open: (principal, lastEventId) => untraced(start(principal, lastEventId)),
        follow: (principal, from) => untraced(follow(principal, from))
      })
    })
  )
}
