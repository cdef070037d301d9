import { Context, Effect, Latch, Layer } from "effect"

/**
 * Whether this node is shutting down. A node that leaves says so at `/ready`, so that load balancers send nothing more,
 * and serves as before. A node that drains also sends its sockets elsewhere and refuses new ones.
 */
export class Drain extends Context.Service<
  Drain,
  {
    /** True from the first `leave` or `begin` on. */
    readonly isLeaving: () => boolean
    /** Says at `/ready` that this node is going away. Repeating it changes nothing. */
    readonly leave: Effect.Effect<void>
    /** True from the first `begin` on. */
    readonly isDraining: () => boolean
    /** Starts the drain. Repeating it changes nothing. */
    readonly begin: Effect.Effect<void>
    /** Resumes when the drain starts. */
    readonly started: Effect.Effect<void>
  }
>()("chat/services/Drain") {
  static readonly layer = Layer.effect(
    Drain,
    Effect.gen(function* () {
      const latch = yield* Latch.make()
      let leaving = false
      let draining = false
      return Drain.of({
        isLeaving: () => leaving,
        leave: Effect.sync(() => {
          leaving = true
        }),
        isDraining: () => draining,
        begin: Effect.suspend(() => {
          leaving = true
          draining = true
          return latch.open
        }),
        started: latch.await
      })
    })
  )
}
