import { Effect, FiberSet } from "effect"

/**
 * Makes functions that write a log line at most once a minute, however often they are called. The lines in between are
 * dropped.
 */
export const makeThrottledLog = Effect.gen(function* () {
  const fork = yield* FiberSet.makeRuntime<never, void, never>()
  return <Args extends ReadonlyArray<unknown>>(log: (...args: Args) => Effect.Effect<void>) => {
    let quiet = false
    return (...args: Args) => {
      if (quiet) return
      quiet = true
      fork(
        log(...args).pipe(
          Effect.andThen(Effect.sleep("1 minute")),
          Effect.andThen(
            Effect.sync(() => {
              quiet = false
            })
          )
        )
      )
    }
  }
})
