import { Cause, Clock, Effect, Exit, Predicate } from "effect"
import { type Count, type Definition, Metrics, type Observe, traceOf } from "./Metrics.ts"

/** `ok`, or the last part of the type of the problem. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  const failure = exit.cause.reasons.find(Cause.isFailReason)?.error
  if (!Predicate.hasProperty(failure, "type") || typeof failure.type !== "string") return "internal"
  return failure.type.slice("/problems/".length)
}

/**
 * Makes a wrapper that counts how operations end and how long they take. `op` must be the name of an operation, or
 * "unknown", and never text of a client. It is used inside the operation's span, so that its trace is found.
 */
export const makeOperationMetrics = Effect.fnUntraced(function* (
  counter: Definition<"counter", { readonly op: "open"; readonly outcome: "open" }>,
  histogram: Definition<"histogram", { readonly op: "open" }>
) {
  const metrics = yield* Metrics
  const operations = new Map<string, { readonly duration: Observe; readonly counts: Map<string, Count> }>()
  const operation = (op: string) => {
    const known = operations.get(op)
    if (known !== undefined) return known
    const made = { duration: metrics.histogram(histogram, { op }), counts: new Map<string, Count>() }
    operations.set(op, made)
    return made
  }
  const answered = (op: string, outcome: string, seconds: number, traceId: string | undefined) => {
    const { counts, duration } = operation(op)
    let count = counts.get(outcome)
    if (count === undefined) {
      count = metrics.counter(counter, { op, outcome })
      counts.set(outcome, count)
    }
    count()
    duration(seconds, traceId)
  }

  return <A, E, R>(op: string, run: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const since = clock.monotonicTimeNanosUnsafe()
      return Effect.onExit(run, (exit) => {
        answered(op, outcomeOf(exit), Number(clock.monotonicTimeNanosUnsafe() - since) / 1e9, traceOf(fiber))
        return Effect.void
      })
    })
})
