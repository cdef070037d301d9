import { Clock, Effect } from "effect"

/**
 * The milliseconds of the monotonic clock, which only grow and begin at an unknown time. Durations are differences of
 * these. The time of day jumps when the machine's clock is corrected, so it only says when something happened.
 */
export const monotonicMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe() / 1000n) / 1000

/** `monotonicMillis` of the clock of the fiber. */
export const monotonicNow: Effect.Effect<number> = Clock.clockWith((clock) => Effect.sync(() => monotonicMillis(clock)))
