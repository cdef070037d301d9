import { Effect, type Scope } from "effect"

/** Callbacks of this process, each kept until the scope that added it closes. */
interface Listeners<Args extends ReadonlyArray<unknown> = []> {
  /** Calls `listener` on each `notify` until the scope closes. Adding the same function twice calls it twice. */
  readonly add: (listener: (...args: Args) => void) => Effect.Effect<void, never, Scope.Scope>
  /** Calls all listeners. One that throws does not keep the others from being called. */
  readonly notify: (...args: Args) => void
}

/** Makes an empty set of callbacks. What a callback throws is handed to `onDefect`. */
export const makeListeners = <Args extends ReadonlyArray<unknown> = []>(
  onDefect: (defect: unknown) => void
): Listeners<Args> => {
  const listeners = new Set<{ readonly call: (...args: Args) => void }>()
  return {
    add: (call) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const own = { call }
          listeners.add(own)
          return own
        }),
        (own) => Effect.sync(() => listeners.delete(own))
      ).pipe(Effect.asVoid),
    notify: (...args) => {
      for (const { call } of listeners) {
        try {
          call(...args)
        } catch (defect) {
          onDefect(defect)
        }
      }
    }
  }
}
