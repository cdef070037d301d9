import { Deferred, Effect, type Scope } from "effect"

/** Whether the tabs of this platform can share one connection. */
export const canShare = () => typeof BroadcastChannel !== "undefined" && globalThis.navigator?.locks !== undefined

/**
 * Waits for a Web Lock and holds it until the scope closes. With `steal`, takes it from its holder. Succeeds with an
 * effect that ends when another tab has stolen the lock.
 */
export const holdLock = (name: string, steal: boolean): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const granted = yield* Deferred.make<void>()
    const lost = yield* Deferred.make<void>()
    const waiting = new AbortController()
    const held = Promise.withResolvers<void>()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        waiting.abort()
        held.resolve()
      })
    )
    const options = steal ? { steal } : { signal: waiting.signal }
    globalThis.navigator.locks
      .request(name, options, () => {
        Deferred.doneUnsafe(granted, Effect.void)
        return held.promise
      })
      .then(
        () => {},
        () => {
          // A page without an origin is refused locks; it has no other tabs.
          if (!Deferred.isDoneUnsafe(granted)) Deferred.doneUnsafe(granted, Effect.void)
          else Deferred.doneUnsafe(lost, Effect.void)
        }
      )
    yield* Deferred.await(granted)
    return Deferred.await(lost)
  })

/** Whether other tabs wait for the lock. */
export const isAwaited = (name: string): Effect.Effect<boolean> =>
  Effect.promise(() =>
    globalThis.navigator.locks.query().then(
      ({ pending = [] }) => pending.some((request) => request.name === name),
      () => true
    )
  )
