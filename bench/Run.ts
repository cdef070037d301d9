import { Effect, Schema } from "effect"
import { cpuBetween, sampleCpu } from "./Cpu.ts"
import { type Faults, runLoad } from "./Load.ts"
import { BenchError, query } from "./Postgres.ts"
import type { Target } from "./Targets.ts"

/** One run against one target. CPU in microseconds per message, latencies in milliseconds, `others` in cores. */
export interface Run {
  readonly messages: number
  readonly perSecond: number
  readonly serverCpu: number
  readonly postgresCpu: number
  readonly stackCpu: number
  readonly generatorCpu: number
  readonly ackP50: number
  readonly ackP99: number
  readonly deliveryP50: number
  readonly deliveryP99: number
  readonly others: number
  readonly steal: number
  readonly faults: Faults
}

const quantile = (sorted: Float64Array, q: number) => sorted[Math.floor(q * (sorted.length - 1))] ?? Number.NaN

const decodeCounts = Schema.decodeUnknownEffect(
  Schema.Array(Schema.Struct({ conversation: Schema.String, rows: Schema.Int, ids: Schema.Int, span: Schema.Int }))
)

/** Compares what the database holds with what was sent, all of which was acknowledged and delivered. */
const countFaults = Effect.fnUntraced(function* (target: Target, seen: Faults) {
  const rows = yield* query(target.count, target.database)
  const counts = new Map((yield* Effect.orDie(decodeCounts(rows))).map((count) => [count.conversation, count]))
  const faults = { ...seen }
  for (const { conversation, sent } of target.pairs) {
    const { ids, rows, span } = counts.get(conversation) ?? { rows: 0, ids: 0, span: 0 }
    faults.lost += Math.max(0, sent - ids)
    faults.doubled += rows - ids + Math.max(0, ids - sent)
    faults.disordered += Math.abs(span - rows)
  }
  return faults
})

/** Loads a target for a while, and looks at what it cost and whether every message is where it belongs. */
export const measure = Effect.fnUntraced(function* (
  target: Target,
  postmaster: number,
  options: { readonly width: number; readonly warmMs: number; readonly measureMs: number }
) {
  // Every run begins behind a checkpoint, so that none pays for the pages of another.
  yield* query("CHECKPOINT")
  const result = yield* Effect.tryPromise({
    try: () => runLoad({ ...target, ...options, sample: () => sampleCpu(target.pid, postmaster, target.database) }),
    catch: (error) =>
      new BenchError({ message: `${target.name}: ${error instanceof Error ? error.message : "the load broke off"}` })
  })
  const cpu = cpuBetween(result.from, result.to)
  const ack = Float64Array.from(result.ack).sort()
  const delivery = Float64Array.from(result.delivery).sort()
  const messages = result.released
  const run: Run = {
    messages,
    perSecond: messages / (cpu.wall / 1_000_000),
    serverCpu: cpu.server / messages,
    postgresCpu: cpu.postgres / messages,
    stackCpu: (cpu.server + cpu.postgres) / messages,
    generatorCpu: cpu.generator / messages,
    ackP50: quantile(ack, 0.5),
    ackP99: quantile(ack, 0.99),
    deliveryP50: quantile(delivery, 0.5),
    deliveryP99: quantile(delivery, 0.99),
    others: cpu.others,
    steal: cpu.steal,
    faults: yield* countFaults(target, result.faults)
  }
  return run
})

/** Strangers took so much that the figures say little. */
export const isDisturbed = ({ others, steal }: Run) => others > 0.5 || steal > 0.1
