import { Effect, Random, type Scope } from "effect"

const targets = {
  /** The network is back. */
  online: () => globalThis,
  /** The user looks at the page again, or no longer. */
  visibilitychange: () => Reflect.get(globalThis, "document")
}

/** Runs `effect` whenever a browser says so, until the scope closes. Elsewhere it does nothing. */
export const whenBrowser = (
  event: keyof typeof targets,
  effect: Effect.Effect<void>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const target: unknown = targets[event]()
    if (typeof EventTarget === "undefined" || !(target instanceof EventTarget)) return
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const listener = () => void run(effect)
    yield* Effect.acquireRelease(
      Effect.sync(() => target.addEventListener(event, listener)),
      () => Effect.sync(() => target.removeEventListener(event, listener))
    )
  })

/** Whether the user does not see the page. */
export const isHidden = (): boolean => Reflect.get(globalThis, "document")?.visibilityState === "hidden"

/** A random pause in milliseconds that grows with each attempt: exponential back-off with full jitter, at most 30 s. */
export const jitter = (attempt: number) =>
  Effect.map(Random.next, (part) => Math.round(part * Math.min(30_000, 1000 * 2 ** attempt)))

/** 128 random bits. `crypto.randomUUID` would work on pages over https only. */
export const randomId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")
