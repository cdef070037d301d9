import { Console, Effect, Schema } from "effect"
import { type CpuSample, cpuBetween, sampleCpu } from "./Cpu.ts"
import { type Faults, type Pace, runLoad } from "./Load.ts"
import { BenchError, query } from "./Postgres.ts"
import { runRoom } from "./Room.ts"
import type { RoomTarget, Target } from "./Targets.ts"

/** One run against one target. CPU in microseconds per message, latencies in milliseconds, `others` in cores. */
export interface Run {
  readonly messages: number
  readonly perSecond: number
  readonly serverCpu: number
  readonly postgresCpu: number
  /** NATS and Redis. */
  readonly busCpu: number
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

/** Compares the rows in the database with the messages that were sent, acknowledged and delivered. */
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

/** The result of a load between two samples of the CPU. */
interface Loaded {
  readonly from: CpuSample
  readonly to: CpuSample
  readonly released: number
  readonly ack: ReadonlyArray<number>
  readonly delivery: ReadonlyArray<number>
  readonly faults: Faults
}

const toRun = ({ ack, delivery, faults, from, released, to }: Loaded): Run => {
  const cpu = cpuBetween(from, to)
  const acks = Float64Array.from(ack).sort()
  const deliveries = Float64Array.from(delivery).sort()
  return {
    messages: released,
    perSecond: released / (cpu.wall / 1_000_000),
    serverCpu: cpu.server / released,
    postgresCpu: cpu.postgres / released,
    busCpu: cpu.bus / released,
    stackCpu: (cpu.server + cpu.postgres + cpu.bus) / released,
    generatorCpu: cpu.generator / released,
    ackP50: quantile(acks, 0.5),
    ackP99: quantile(acks, 0.99),
    deliveryP50: quantile(deliveries, 0.5),
    deliveryP99: quantile(deliveries, 0.99),
    others: cpu.others,
    steal: cpu.steal,
    faults
  }
}

export interface LoadOptions {
  readonly warmMs: number
  readonly measureMs: number
}

/** Runs a load after a checkpoint, so that no run pays for the pages of another. */
const load = <A>(
  target: Pick<RoomTarget, "name" | "processes" | "database">,
  postmaster: number,
  run: (sample: () => CpuSample) => Promise<A>
) =>
  Effect.andThen(
    query("CHECKPOINT"),
    Effect.tryPromise({
      try: () => run(() => sampleCpu(target.processes, postmaster, target.database)),
      catch: (error) =>
        new BenchError({ message: `${target.name}: ${error instanceof Error ? error.message : "the load broke off"}` })
    })
  )

/** How long the service may take to index what a load has left, in milliseconds. */
const indexMs = 180_000

/**
 * Waits until the service has indexed all messages. A scene at a low rate begins after that, so that it does not pay for what
 * its saturated beginning has left.
 */
export const indexed = ({ database, name }: Pick<Target, "database" | "name">) =>
  query(
    `SELECT FROM conversation_heads h LEFT JOIN search_heads s USING (conversation_id)
      WHERE h.seq > COALESCE(s.seq, 0) LIMIT 1`,
    database
  ).pipe(
    Effect.tap((rows) => (rows.length === 0 ? Effect.void : Effect.sleep(1000))),
    Effect.repeat({ until: (rows) => rows.length === 0 }),
    Effect.timeoutOrElse({
      duration: indexMs,
      orElse: () => Effect.fail(new BenchError({ message: `${name} does not index its messages` }))
    })
  )

/** Loads a target for a while, measures its cost, and checks that every message was stored and delivered once. */
export const measure = Effect.fnUntraced(function* (
  target: Target,
  postmaster: number,
  options: LoadOptions & { readonly pace: Pace }
) {
  const result = yield* load(target, postmaster, (sample) => runLoad({ ...target, ...options, sample }))
  return toRun({ ...result, faults: yield* countFaults(target, result.faults) })
})

/** Does the same for a room, where each delivery counts as a message. */
export const measureRoom = Effect.fnUntraced(function* (
  target: RoomTarget,
  postmaster: number,
  options: LoadOptions & { readonly senders: number; readonly rate: number | undefined }
) {
  return toRun(yield* load(target, postmaster, (sample) => runRoom({ ...target, ...options, sample })))
})

/**
 * Does one run per target and round, until `wanted` rounds were undisturbed. After `most` rounds the figures of all
 * rounds count, since a noisy neighbour may never be quiet.
 */
export const takeRounds = Effect.fnUntraced(function* <T extends { readonly name: string }>(
  running: ReadonlyArray<T>,
  wanted: number,
  most: number,
  run: (target: T) => Effect.Effect<Run, BenchError>
) {
  const calm: Array<ReadonlyMap<string, Run>> = []
  const all: Array<ReadonlyMap<string, Run>> = []
  while (calm.length < wanted && all.length < most) {
    yield* Console.log(`round ${all.length + 1}`)
    const round = new Map<string, Run>()
    for (const target of running) {
      const taken = yield* run(target)
      round.set(target.name, taken)
      yield* Console.log(`  ${describe(target.name, taken)}`)
    }
    all.push(round)
    if (![...round.values()].some(isDisturbed)) calm.push(round)
  }
  return { all, counted: calm.length >= wanted ? calm : all, calm: calm.length }
})

const describe = (name: string, run: Run) =>
  `${name.padEnd(10)} ${run.perSecond.toFixed(0).padStart(6)}/s  CPU ${run.serverCpu.toFixed(1)} + ${run.postgresCpu.toFixed(1)} + ${run.busCpu.toFixed(1)} µs  ` +
  `delivery ${run.deliveryP50.toFixed(1)} / ${run.deliveryP99.toFixed(1)} ms  ` +
  `others ${run.others.toFixed(2)}  steal ${(run.steal * 100).toFixed(0)} %${isDisturbed(run) ? "  disturbed" : ""}`

/** Whether other processes took so much that the figures say little. */
const isDisturbed = ({ others, steal }: Run) => others > 0.5 || steal > 0.1
