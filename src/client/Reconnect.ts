import { Clock, Effect, Latch } from "effect"
import type { Problem } from "../domain/Problem.ts"
import { CloseCode, isFinal } from "../domain/Protocol.ts"
import type { Closed, Connection } from "./Connection.ts"
import type { Credentials } from "./Credentials.ts"
import { Refused } from "./Failures.ts"
import type { Greeting } from "./Frames.ts"
import { jitter } from "./Platform.ts"
import type { LastConnection } from "./Session.ts"
import type { ChatState } from "./state/State.ts"

/** After a connection that lasted this long, the next pause starts small again. */
const lastingMs = 10_000

const isExpiry = (end: Closed | Problem) => "code" in end && end.code === CloseCode.tokenExpired

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

  const progress = (greeting: Greeting, done: boolean) =>
    Effect.gen(function* () {
      // Until the connection has caught up, the cursors belong to the epoch before.
      const epoch = done || last === undefined ? greeting.epoch : last.epoch
      const reached: LastConnection = { userSeq: greeting.userSeq, ...(epoch !== undefined && { epoch }) }
      last = reached
      if (!done) return reached
      onlineSince = yield* Clock.currentTimeMillis
      yield* update({ connection: { status: "online" } })
      yield* Effect.logDebug("online")
      return reached
    })

  /** Waits before the next connection, or fails when there must be none. */
  const after = (end: Closed | Problem, attempt: number, token: string) =>
    Effect.gen(function* () {
      const expired = isExpiry(end)
      if (!("_tag" in end) && isFinal(end.code)) return yield* new Refused({ code: end.code })
      const atOnce = attempt === 0 && (expired || ("atOnce" in end && end.atOnce === true))
      const pauseMs = "retryAfterMs" in end ? end.retryAfterMs : atOnce ? 0 : yield* jitter(attempt)
      yield* update({ connection: { status: "waiting", pauseMs } })
      yield* alarm.close
      yield* Effect.raceFirst(Effect.sleep(pauseMs), alarm.await)
      // After the pause: a token of short life would expire during it.
      if (expired) yield* credentials.renewed(token).pipe(Effect.catchTag("ConnectionLost", () => Effect.void))
    })

  const live = (attempt: number): Effect.Effect<never, Refused> =>
    Effect.gen(function* () {
      onlineSince = undefined
      const token = yield* credentials.token
      yield* update({ connection: { status: "connecting" } })
      yield* Effect.logDebug("connecting")
      const end = yield* Effect.flip(run(token, last, progress))
      yield* Effect.logDebug(`the connection has ended: ${"_tag" in end ? end._tag : end.code}`)
      const since = onlineSince
      const lasted = since !== undefined && (isExpiry(end) || (yield* Clock.currentTimeMillis) - since >= lastingMs)
      const tries = lasted ? 0 : attempt
      yield* after(end, tries, token)
      return yield* live(tries + 1)
    })

  return { live: live(0), wake: Effect.asVoid(alarm.open) }
})
