import { Clock, Effect } from "effect"

/** A clock whose time of day can be set, as an administrator may do, while its monotonic time goes on. */
export const makeSteppingClock = Effect.map(Clock.clockWith(Effect.succeed), (live) => {
  let offset = 0
  const millis = () => live.currentTimeMillisUnsafe() + offset
  const nanos = () => live.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => live.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: live.monotonicTimeNanos,
    sleep: (duration) => live.sleep(duration)
  }
  const step = (by: number) =>
    Effect.sync(() => {
      offset += by
    })
  return { clock, step }
})
