import { Array as Arr, Cause, Clock, Effect } from "effect"
import type { Unavailable } from "../domain/Problem.ts"
import { Nodes } from "../services/bus/Nodes.ts"
import { untilNext } from "../services/platform/Background.ts"
import { monotonicMillis } from "../services/platform/Monotonic.ts"
import { Settings } from "../services/platform/Settings.ts"

/** How many keys one statement compares with the database. */
const pageSize = 1000

/**
 * The bus may lose events: they are found by comparing what this node knows with the database. The returned function
 * starts a loop in the background that ends with the scope: it hands the `keys` to `check` in pages of 1,000, spread
 * over `timers.repair`, or `timers.repairDegraded` while a node has lost the bus, and all at once when the bus is back.
 */
export const makeRepairLoop = Effect.gen(function* () {
  const nodes = yield* Nodes
  const { timers } = yield* Settings
  const clock = yield* Clock.Clock

  return Effect.fnUntraced(function* <K>(
    keys: () => ReadonlyArray<K>,
    check: (page: ReadonlyArray<K>) => Effect.Effect<unknown, Unavailable>
  ) {
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const quietly = (page: ReadonlyArray<K>) =>
      check(page).pipe(
        Effect.ignore,
        // The loop must survive a defect of one page.
        Effect.catchDefect((defect) => Effect.logError("comparison failed", Cause.die(defect)))
      )

    /** Waits for its part of the interval, which gets shorter when the bus is lost in the meantime. */
    const pause = (parts: number) =>
      Effect.gen(function* () {
        const start = monotonicMillis(clock)
        const step = Math.min(timers.repairDegraded, timers.repair) / parts
        const due = () => start + (nodes.inTouch() ? timers.repair : timers.repairDegraded) / parts
        while (monotonicMillis(clock) < due())
          yield* Effect.sleep(Math.max(1, Math.min(yield* untilNext(step), due() - monotonicMillis(clock))))
      })

    // The keys are looked up after the wait, so that those which were added during it need not wait for the next round.
    let rest: ReadonlyArray<K> = []
    const checkNext = Effect.gen(function* () {
      yield* pause(Math.max(1, Math.ceil(keys().length / pageSize)))
      if (rest.length === 0) rest = keys()
      const page = rest.slice(0, pageSize)
      rest = rest.slice(pageSize)
      if (page.length > 0) yield* quietly(page)
    })

    const checkAll = Effect.suspend(() => Effect.forEach(Arr.chunksOf(keys(), pageSize), quietly, { discard: true }))
    yield* nodes.onReunion(() => fork(checkAll))
    yield* Effect.forkScoped(Effect.forever(checkNext))
  })
})
