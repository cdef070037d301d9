import { Clock, Effect, Latch } from "effect"
import type { Problem } from "../domain/Problem.ts"
import { CloseCode, isFinal } from "../domain/Protocol.ts"
import type { Closed, Connection } from "./Connection.ts"
import type { Credentials } from "./Credentials.ts"
import { type ConnectionLost, Refused } from "./Failures.ts"
import type { Greeting } from "./Frames.ts"
import { jitter } from "./Platform.ts"
import type { LastConnection } from "./Session.ts"
import type { ChatState } from "./state/State.ts"

/** After a connection that lasted this long, the next pause starts small again. */
const lastingMs = 10_000

type End = Closed | Problem | ConnectionLost

const isCode = (end: End, code: number) => !("_tag" in end) && end.code === code
const isExpiry = (end: End) => isCode(end, CloseCode.tokenExpired)

/** Changes some fields of the state. */
export type Update = (change: Partial<ChatState>) => Effect.Effect<void>

/** Holds the current connection. Requests wait for one, or fail when there will be none. */
export const makeCurrent = Effect.gen(function* () {
  /** Open while `current` is defined. */
  const gate = yield* Latch.make(false)
  let current: Connection | Refused | undefined

  const connected: Effect.Effect<Connection, Refused> = Effect.suspend(() => {
    if (current instanceof Refused) return Effect.fail(current)
    return current === undefined ? Effect.andThen(gate.await, connected) : Effect.succeed(current)
  })

  return {
    connected,
    /** Fails when the service has refused the client for good. */
    unlessRefused: Effect.suspend(() => (current instanceof Refused ? Effect.fail(current) : Effect.void)),
    set: (next: Connection | Refused | undefined) =>
      Effect.suspend(() => {
        current = next
        return next === undefined ? gate.close : gate.open
      })
  }
})

/**
 * Makes the loop that connects again and again, with pauses, until the service refuses the client for good. `saved` is
 * what an earlier process has received.
 */
export const makeConnecting = Effect.fnUntraced(function* (
  credentials: Credentials["Service"],
  update: Update,
  saved: LastConnection | undefined,
  run: (
    token: string,
    last: LastConnection | undefined,
    progress: (greeting: Greeting, done: boolean) => Effect.Effect<LastConnection>
  ) => Effect.Effect<never, Closed | Problem>
) {
  const alarm = yield* Latch.make(false)
  let last = saved
  let onlineSince: number | undefined
  let isOnline = false
  /** The token was refused, and no connection has been accepted since. */
  let isDoubted = false

  const progress = (greeting: Greeting, done: boolean) =>
    Effect.gen(function* () {
      // Until the connection has caught up, the cursors belong to the epoch before.
      const epoch = done || last === undefined ? greeting.epoch : last.epoch
      const reached: LastConnection = { userSeq: greeting.userSeq, ...(epoch !== undefined && { epoch }) }
      last = reached
      isDoubted = false
      if (!done) return reached
      onlineSince = yield* Clock.currentTimeMillis
      isOnline = true
      // A wake during this attempt asked for what it has reached.
      yield* alarm.close
      yield* update({ connection: { status: "online" } })
      yield* Effect.logDebug("online")
      return reached
    })

  /** Waits before the next connection, or fails when there must be none. Succeeds with the number of attempts. */
  const after = (end: End, attempt: number, token: string | undefined): Effect.Effect<number, Refused> =>
    Effect.gen(function* () {
      // It may have been withdrawn, with the key that signed it: another one is tried once.
      const doubted = isCode(end, CloseCode.unauthenticated) && !isDoubted
      const expired = isExpiry(end) || doubted
      isDoubted ||= doubted
      if (!("_tag" in end) && !expired && isFinal(end.code)) return yield* new Refused({ code: end.code })
      const atOnce = attempt === 0 && (expired || ("atOnce" in end && end.atOnce === true))
      const asked = "retryAfterMs" in end ? end.retryAfterMs : undefined
      const pauseMs = asked ?? (atOnce ? 0 : yield* jitter(attempt))
      yield* update({ connection: { status: "waiting", pauseMs } })
      const pause = Effect.as(Effect.sleep(pauseMs), attempt + 1)
      // What has failed without a network says nothing of the time with one. A wake may also have come before the pause.
      // It does not cut the pause that the service asked for.
      const next = yield* asked === undefined ? Effect.raceFirst(pause, Effect.as(alarm.await, 0)) : pause
      yield* alarm.close
      if (!expired || token === undefined) return next
      // After the pause: a token of short life would expire during it.
      return yield* credentials.renewed(token).pipe(
        Effect.as(next),
        Effect.catchTag("ConnectionLost", () => after({ code: CloseCode.tokenExpired }, next, token))
      )
    })

  const live = (attempt: number): Effect.Effect<never, Refused> =>
    Effect.gen(function* () {
      onlineSince = undefined
      yield* update({ connection: { status: "connecting" } })
      const token = yield* Effect.catchTag(credentials.token, "ConnectionLost", (lost) =>
        Effect.flatMap(after(lost, attempt, undefined), live)
      )
      yield* Effect.logDebug("connecting")
      const end = yield* Effect.flip(run(token, last, progress))
      isOnline = false
      yield* Effect.logDebug(`the connection has ended: ${"_tag" in end ? end._tag : end.code}`)
      const since = onlineSince
      const lasted = since !== undefined && (isExpiry(end) || (yield* Clock.currentTimeMillis) - since >= lastingMs)
      return yield* live(yield* after(end, lasted ? 0 : attempt, token))
    })

  return { live: live(0), wake: Effect.suspend(() => (isOnline ? Effect.void : alarm.open)) }
})
