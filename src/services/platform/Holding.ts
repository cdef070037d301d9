import { Effect, Scope } from "effect"

/** It is a function of its own, so that the finalizer keeps these two and not what `open` was made of. */
const closing =
  <A>(close: (opened: A) => Effect.Effect<unknown>, opened: A) =>
  () =>
    close(opened)

/**
 * Opens something and closes it with the scope; nothing interrupts it in between. `Effect.acquireRelease` does the same,
 * but keeps the context of its fiber for `close`, with all spans and stack frames in it. This keeps nothing, for what each
 * socket holds as long as it is open.
 */
export const holding = <A, R>(
  open: Effect.Effect<A, never, R>,
  close: (opened: A) => Effect.Effect<unknown>
): Effect.Effect<A, never, R | Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) =>
    Effect.tap(open, (opened) => Scope.addFinalizerExit(scope, closing(close, opened)))
  ).pipe(Effect.uninterruptible)
