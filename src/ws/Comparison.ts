import { Cause, Clock, Effect } from "effect"
import type { Unavailable } from "../domain/Problem.ts"
import { Nodes } from "../services/Nodes.ts"
import { Settings } from "../services/Settings.ts"

const pageSize = 1000

/**
 * The bus is a hint: what it lost is found by comparing what this node knows with the database. `keys` are compared in
 * pages of 1,000 spread over `timers.repair`, or `timers.repairDegraded` while a node has lost the bus, and all at once
 * when it is back. The returned function starts a comparison in the background; it ends with the scope.
 */
export const makeComparison = Effect.gen(function* () {
  const nodes = yield* Nodes
  const { timers } = yield* Settings
  const clock = yield* Clock.Clock

  return Effect.fnUntraced(function* <K>(
    keys: () => ReadonlyArray<K>,
    compare: (page: ReadonlyArray<K>) => Effect.Effect<unknown, Unavailable>
  ) {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const pages = () => {
      const all = keys()
      return Array.from({ length: Math.ceil(all.length / pageSize) }, (_, page) =>
        all.slice(page * pageSize, (page + 1) * pageSize)
      )
    }
    const quietly = (page: ReadonlyArray<K>) =>
      compare(page).pipe(
        Effect.ignore,
        // The next one must come all the same.
        Effect.catchDefect((defect) => Effect.logError("comparison failed", Cause.die(defect)))
      )

    /** Waits for its part of the interval, which gets shorter when the bus goes away meanwhile. */
    const pause = (parts: number) =>
      Effect.gen(function* () {
        const start = clock.currentTimeMillisUnsafe()
        const step = Math.min(timers.repairDegraded, timers.repair) / parts
        const due = () => start + (nodes.inTouch() ? timers.repair : timers.repairDegraded) / parts
        while (clock.currentTimeMillisUnsafe() < due())
          yield* Effect.sleep(Math.max(1, Math.min(step, due() - clock.currentTimeMillisUnsafe())))
      })

    // The keys are looked up after the wait: what came meanwhile must not wait for the next round too.
    let rest: ReadonlyArray<K> = []
    const compareNext = Effect.gen(function* () {
      yield* pause(Math.max(1, Math.ceil(keys().length / pageSize)))
      if (rest.length === 0) rest = keys()
      const page = rest.slice(0, pageSize)
      rest = rest.slice(pageSize)
      if (page.length > 0) yield* quietly(page)
    })

    yield* nodes.onReunion(() => fork(Effect.forEach(pages(), quietly, { discard: true })))
    yield* Effect.forkScoped(Effect.forever(compareNext))
  })
})
