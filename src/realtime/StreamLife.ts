import { randomUUID } from "node:crypto"
import { type Cause, Clock, Effect, Queue, Schedule, Stream } from "effect"
import type { Unavailable } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import { Principals } from "../services/admin/Principals.ts"
import type { Published } from "../services/bus/Subjects.ts"
import { Sessions } from "../services/identity/Sessions.ts"
import { monotonicNow } from "../services/platform/Monotonic.ts"
import { Drain } from "../services/platform/readiness/Drain.ts"
import { Settings } from "../services/platform/Settings.ts"
import { Presence } from "../services/presence/Presence.ts"
import { CatchUp } from "./CatchUp.ts"
import { EventStream, type PositionTracker, type ServerSentEvent } from "./EventStream.ts"
import { Frame } from "./Frame.ts"
import { Hub } from "./Hub.ts"

/** The last `seq` that a client has of each conversation and of its user's own state; nothing without `cursors`. */
export type ResumePoint = Parameters<CatchUp["Service"]["start"]>[1]

/** The longest delay that a timer of Node accepts, in milliseconds. */
const longestDelay = 2 ** 31 - 1

/** A stream whose start failed asks its reader to reconnect after this pause, in milliseconds. */
const pauseAfterFailure = 1000

const end = (stream: EventStream, event: string, data: unknown) =>
  Effect.sync(() => {
    stream.send({ event, data })
    stream.end()
  })

/** Opens the stream object, with its replays and the folding of its position. */
const makeStream = Effect.gen(function* () {
  const { limits } = yield* Settings
  const catchUp = yield* CatchUp

  return Effect.fnUntraced(function* (
    { userId }: Principal,
    queue: Queue.Queue<ServerSentEvent, Cause.Done>,
    position: PositionTracker,
    fold: Effect.Effect<void, Unavailable>
  ) {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const folding = fold.pipe(
      Effect.retry({ schedule: Schedule.spaced("1 second"), while: () => !stream.isClosing }),
      Effect.ensuring(Effect.sync(() => stream.folded()))
    )
    const stream: EventStream = new EventStream(userId, queue, position, limits, {
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
    return stream
  })
})

/** Ends the stream with its session, its token and its node, and pings the reader until then. */
const makeWatch = Effect.gen(function* () {
  const { timers } = yield* Settings
  const drain = yield* Drain
  const hub = yield* Hub
  const presence = yield* Presence
  const principals = yield* Principals
  const sessions = yield* Sessions

  return Effect.fnUntraced(function* (principal: Principal, stream: EventStream) {
    const { userId } = principal
    const offer = (changed: Published) => stream.offer(new Frame(changed))
    yield* presence.connect({ userId, connectionId: randomUUID(), offer })
    yield* sessions.onEnded((ids) => {
      if (ids.includes(principal.sessionId)) stream.end()
    })
    yield* principals.watch(principal, stream)
    // The session may have ended before the listener was there.
    yield* principals.check(principal)
    const since = yield* monotonicNow
    yield* Effect.addFinalizer(() =>
      Effect.flatMap(monotonicNow, (now) => {
        stream.end()
        for (const cursor of stream.cursors.values()) hub.unfollow(cursor)
        return Effect.logInfo("event stream closed", { userId, durationMs: Math.round(now - since), sent: stream.sent })
      })
    )
    const ping = Effect.sync(() => stream.send({ event: "ping", data: {} }))
    yield* Effect.forkScoped(Effect.repeat(Effect.delay(ping, timers.heartbeat), Schedule.forever))
    const tokenLifeMs = Math.max(0, Math.min(principal.expiresAt - (yield* Clock.currentTimeMillis), longestDelay))
    const expire = Effect.sync(() => stream.end())
    yield* Effect.forkScoped(Effect.delay(expire, tokenLifeMs))
    const reconnect = end(stream, "reconnect", { afterMs: Math.round(timers.drain / 2) })
    yield* Effect.forkScoped(Effect.andThen(drain.started, reconnect))
  })
})

/** Runs streams: the returned function opens one that lives until its scope closes. `onStart` gets the user seq. */
export const makeStreamLife = Effect.gen(function* () {
  const catchUp = yield* CatchUp
  const open = yield* makeStream
  const watch = yield* makeWatch

  return Effect.fnUntraced(function* (
    principal: Principal,
    from: ResumePoint,
    position: PositionTracker,
    fold: Effect.Effect<void, Unavailable>,
    onStart: (userSeq: number) => void
  ) {
    const queue = yield* Queue.unbounded<ServerSentEvent, Cause.Done>()
    const stream = yield* open(principal, queue, position, fold)
    yield* watch(principal, stream)
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
            end(stream, "reconnect", { afterMs: pauseAfterFailure })
          )
        ),
        Effect.forkScoped
      )
    return Stream.fromQueue(queue).pipe(Stream.tap((event) => Effect.sync(() => stream.taken(event))))
  })
})
