import { Effect } from "effect"

/** Counts the turns of the event loop until the scope closes. */
export const countTurns = Effect.acquireRelease(
  Effect.sync(() => {
    const count = { turns: 0, next: setImmediate(() => {}) }
    const again = () => {
      count.turns++
      count.next = setImmediate(again)
    }
    again()
    return count
  }),
  ({ next }) => Effect.sync(() => clearImmediate(next))
)
