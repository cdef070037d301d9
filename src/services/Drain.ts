import { Context, Effect, Latch, Layer } from "effect"

/** Whether this node is on its way out: `/ready` says so, sockets are sent elsewhere, new ones are refused. */
export class Drain extends Context.Service<
  Drain,
  {
    readonly isDraining: () => boolean
    /** Starts the drain; the second call changes nothing. */
    readonly begin: Effect.Effect<void>
    /** Resumes when the drain starts. */
    readonly started: Effect.Effect<void>
  }
>()("chat/services/Drain") {
  static readonly layer = Layer.effect(
    Drain,
    Effect.gen(function* () {
      const latch = yield* Latch.make()
      let draining = false
      return Drain.of({
        isDraining: () => draining,
        begin: Effect.suspend(() => {
          draining = true
          return latch.open
        }),
        started: latch.await
      })
    })
  )
}
