import { Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { Forbidden, type RateLimited, type Unavailable } from "../../domain/Problem.ts"
import { type Counter, Limits } from "../platform/Limits.ts"
import { authFailures } from "../platform/MetricDefinitions.ts"
import { Metrics, type Values } from "../platform/Metrics.ts"
import { Settings } from "../platform/Settings.ts"
import { Passwords, type Turn } from "./Passwords.ts"
import { isWithoutPassword, type UserRow } from "./Rows.ts"
import { SessionStorage } from "./SessionStorage.ts"

/**
 * A counter that limits the failures of all addresses together. `isExempt` is only asked when the counter is used up.
 */
export interface SharedCounter {
  readonly counter: Counter
  readonly isExempt: Effect.Effect<boolean, Unavailable>
}

/** The refusal of a user's current password. */
export const wrongPassword = new Forbidden({ detail: "The current password is wrong" })

/** Makes a function that counts a refused login or token, by its reason. */
export const makeCountFailure = Effect.map(
  Metrics,
  (metrics) => (reason: Values<typeof authFailures.labels>["reason"]) =>
    Effect.sync(() => metrics.counter(authFailures, { reason })())
)

/** Makes the checks of passwords, which limit how often somebody may guess. */
export const makePasswordChecks = Effect.gen(function* () {
  const { limits } = yield* Settings
  const limiter = yield* Limits
  const passwords = yield* Passwords
  const storage = yield* SessionStorage
  const countFailure = yield* makeCountFailure

  const giveBack = (counters: ReadonlyArray<Counter>) =>
    Effect.forEach(counters, (counter) => limiter.giveBack(...counter), { concurrency: "unbounded", discard: true })

  /**
   * Counts on all counters. `shared` comes last, so that callers who have used up their own counters take nothing from
   * it.
   */
  const take = Effect.fnUntraced(function* (
    counters: ReadonlyArray<Counter>,
    shared: SharedCounter | undefined
  ): Effect.fn.Return<ReadonlyArray<Counter>, RateLimited | Unavailable> {
    yield* limiter.consumeAll(counters.map((counter) => ({ counter, times: 1 })))
    if (shared === undefined) return counters
    return yield* limiter.consume(...shared.counter).pipe(
      Effect.as([...counters, shared.counter]),
      Effect.catchTag("RateLimited", (refusal) =>
        Effect.flatMap(shared.isExempt, (exempt) =>
          exempt ? Effect.succeed(counters) : Effect.andThen(giveBack(counters), refusal)
        )
      )
    )
  })

  /**
   * Whether the password is that of the user; undefined stands for an account that does not exist. A failure counts on
   * every counter and a success on none; a counter that is used up refuses with `RateLimited` before anything is
   * hashed.
   */
  const verify = Effect.fnUntraced(function* (
    user: UserRow | undefined,
    password: string,
    turn: Turn,
    counters: ReadonlyArray<Counter>,
    shared?: SharedCounter
  ) {
    let taken: ReadonlyArray<Counter> = []
    // The attempt is counted before the answer is known, so that many attempts at once cannot slip through together.
    const before = Effect.map(take(counters, shared), (all) => {
      taken = all
    })
    const right = yield* passwords
      .verify(user === undefined || isWithoutPassword(user) ? null : user.passwordHash, password, turn, before)
      .pipe(user === undefined ? (check) => check : Effect.annotateLogs("userId", user.id))
    yield* right ? giveBack(taken) : countFailure("password")
    return right
  })

  /** Checks `password` against the user's current password, and succeeds with the hash of that. */
  const confirm = Effect.fnUntraced(function* (userId: UserId, password: string) {
    const user = yield* storage.user(userId)
    const turn = { account: userId, address: userId }
    const right = yield* verify(user, password, turn, [
      [`password:${userId}`, limits.loginFailuresPerMinute, "1 minute"]
    ])
    return user === undefined || !right ? yield* wrongPassword : user.passwordHash
  })

  return { verify, confirm }
})

/** The result of `makePasswordChecks`. */
export type PasswordChecks = Effect.Success<typeof makePasswordChecks>
