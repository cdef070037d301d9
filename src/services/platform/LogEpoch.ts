import { Context, Effect, type Scope } from "effect"
import { makeListeners } from "./Listeners.ts"

/**
 * Which log the database holds. Another epoch means that the database was restored or has failed over, so that events
 * which clients have may be missing from the log, or have other contents.
 */
export interface LogEpoch {
  /** The epoch as an opaque text; undefined while it is not known. */
  readonly current: () => string | undefined
  /** Takes the epoch that a connection has found, and calls the listeners when it is another one. */
  readonly observe: (epoch: string) => void
  /** Calls `listener` with each later epoch, until the scope closes. */
  readonly onChange: (listener: (epoch: string) => void) => Effect.Effect<void, never, Scope.Scope>
}

/** Makes the epoch of a database that nothing is known of yet. */
export const makeLogEpoch = Effect.gen(function* () {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const listeners = makeListeners<[string]>((defect) => fork(Effect.logError("a listener of the epoch failed", defect)))
  let current: string | undefined
  return {
    current: () => current,
    observe: (epoch) => {
      const before = current
      current = epoch
      if (before !== undefined && before !== epoch) listeners.notify(epoch)
    },
    onChange: listeners.add
  } satisfies LogEpoch
})

/** Provided by the pool of connections; without one, there is a single log, whose epoch nobody knows. */
export const LogEpoch = Context.Reference<LogEpoch>("chat/services/LogEpoch", {
  defaultValue: () => ({ current: () => undefined, observe: () => {}, onChange: () => Effect.void })
})
