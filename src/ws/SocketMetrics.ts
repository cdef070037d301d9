import { Cause, Clock, Effect, Exit } from "effect"
import type { Problem } from "../domain/Problem.ts"
import * as Definitions from "../services/MetricDefinitions.ts"
import { type Count, Metrics, type Observe, traceOf } from "../services/Metrics.ts"
import type { Connection } from "./Connection.ts"
import { CloseCode } from "./Protocol.ts"

/** Why sockets end: the names of our codes, and those of RFC 6455 that say anything. */
const reasons = new Map<number, string>([
  ...Object.entries(CloseCode).map(
    ([name, code]) => [code, name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)] as const
  ),
  [1000, "normal"],
  [1001, "going-away"],
  [1005, "no-status"],
  [1006, "abnormal"]
])

/** `ok`, or the last word of the type of the problem. */
const outcomeOf = (exit: Exit.Exit<unknown, Problem>) => {
  if (Exit.isSuccess(exit)) return "ok"
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  return failure === undefined ? "internal" : failure.error.type.slice("/problems/".length)
}

/** What a socket counts by itself, one addition a frame. */
type Totals = Pick<Connection, "received" | "sent" | "dropped" | "stopped">

/** What the sockets of a node add up to. */
export const makeSocketMetrics = Effect.fnUntraced(function* (connections: ReadonlySet<Connection>) {
  const metrics = yield* Metrics
  const gone: Totals = { received: 0, sent: 0, dropped: 0, stopped: 0 }

  const total = (of: keyof Totals) => () => {
    let sum = gone[of]
    for (const connection of connections) sum += connection[of]
    return sum
  }
  const inState = (open: boolean) => () => {
    let sum = 0
    for (const { principal } of connections) if ((principal !== undefined) === open) sum++
    return sum
  }
  metrics.read(Definitions.socketMessages, total("received"), { direction: "received" })
  metrics.read(Definitions.socketMessages, total("sent"), { direction: "sent" })
  metrics.read(Definitions.slowConsumers, total("dropped"), { step: "ephemeral-dropped" })
  metrics.read(Definitions.slowConsumers, total("stopped"), { step: "bodies-stopped" })
  metrics.read(Definitions.sockets, inState(true), { state: "open" })
  metrics.read(Definitions.sockets, inState(false), { state: "opening" })
  const slow = metrics.counter(Definitions.slowConsumers, { step: "closed" })
  const silent = metrics.counter(Definitions.heartbeatTimeouts)

  const operations = new Map<string, { readonly duration: Observe; readonly counts: Map<string, Count> }>()
  const operation = (op: string) => {
    const known = operations.get(op)
    if (known !== undefined) return known
    const made = { duration: metrics.histogram(Definitions.commandDuration, { op }), counts: new Map<string, Count>() }
    operations.set(op, made)
    return made
  }

  const answered = (op: string, outcome: string, seconds: number, traceId: string | undefined) => {
    const { counts, duration } = operation(op)
    let count = counts.get(outcome)
    if (count === undefined) {
      count = metrics.counter(Definitions.commands, { op, outcome })
      counts.set(outcome, count)
    }
    count()
    duration(seconds, traceId)
  }

  return {
    /**
     * Counts how a command ends, and how long it took. `op` must be the name of an operation, or "unknown": never what
     * a client made up. Inside the command's span, so that its trace is found.
     */
    timed: <A>(op: string, command: Effect.Effect<A, Problem>): Effect.Effect<A, Problem> =>
      Effect.withFiber((fiber) => {
        const since = fiber.getRef(Clock.Clock).currentTimeNanosUnsafe()
        return Effect.onExit(command, (exit) =>
          Effect.sync(() => {
            const nanos = fiber.getRef(Clock.Clock).currentTimeNanosUnsafe() - since
            answered(op, outcomeOf(exit), Number(nanos) / 1e9, traceOf(fiber))
          })
        )
      }),
    limited: (limit: "commands" | "sockets-per-user" | "sockets-per-address"): void =>
      metrics.counter(Definitions.limitHits, { limit })(),
    closed: (connection: Connection, code: number): void => {
      gone.received += connection.received
      gone.sent += connection.sent
      gone.dropped += connection.dropped
      gone.stopped += connection.stopped
      metrics.counter(Definitions.socketsClosed, { reason: reasons.get(code) ?? "other" })()
      if (code === CloseCode.slowConsumer) slow()
      if (code === CloseCode.heartbeatTimeout) silent()
    }
  }
})
