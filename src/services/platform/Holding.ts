import { Effect, Scope } from "effect"

/**
 * Opens something and closes it with the scope; nothing interrupts it in between. `Effect.acquireRelease` does the same,
 * but keeps the context of its fiber for `close`, with all spans and stack frames in it. This keeps nothing, for what each
 * socket holds as long as it is open.
 */
export const holding = <A, R>(
  open: Effect.Effect<A, never, R>,
  close: (opened: A) => Effect.Effect<unknown>
): Effect.Effect<A, never, R | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => Effect.tap(open, (opened) => Scope.addFinalizer(scope, close(opened)))).pipe(
    Effect.uninterruptible
  )
