import { Effect } from "effect"
import { CloseCode } from "../domain/Protocol.ts"
import * as Definitions from "../services/platform/MetricDefinitions.ts"
import { Metrics } from "../services/platform/Metrics.ts"
import { makeOperationMetrics } from "../services/platform/OperationMetrics.ts"
import type { Connection } from "./Connection.ts"

/** Why sockets end: the names of our close codes, and of those of RFC 6455 that name a reason. */
const reasons = new Map<number, string>([
  ...Object.entries(CloseCode).map(
    ([name, code]) => [code, name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)] as const
  ),
  [1000, "normal"],
  [1001, "going-away"],
  [1005, "no-status"],
  [1006, "abnormal"]
])

/** What each socket counts by itself, with one addition for a frame. */
type Totals = Pick<Connection, "received" | "sent" | "dropped" | "stopped">

/** Publishes the sums over all sockets of this node, open and closed. */
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

  const timed = yield* makeOperationMetrics(Definitions.commands, Definitions.commandDuration)

  return {
    /** Counts how a command ends, and how long it took. */
    timed,
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
export type SocketMetrics = Effect.Success<ReturnType<typeof makeSocketMetrics>>
