import { Effect, FiberSet } from "effect"

/** What makes a log line that may come at any rate into a function that writes it at most once a minute. */
export const makeRareLog = Effect.gen(function* () {
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
