import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Fiber, Schema } from "effect"
import type { FaultClient } from "../support/FaultClient.ts"
import { violations } from "../support/History.ts"
import type { Cluster } from "./Cluster.ts"
import { startLoad } from "./Load.ts"
import { type Fault, type Struck, strike } from "./Nemesis.ts"
import { readConversations, readHeads } from "./Truth.ts"

/** The seed of the run to replay, or a new one. */
export const seedOf = (fallback: string) => process.env.FAULT_SEED ?? fallback

/** The summary of a run, for the people who read its output. */
interface Report {
  readonly seed: string
  readonly faults: ReadonlyArray<Struck>
  readonly violations: ReadonlyArray<string>
  readonly stored: number
  readonly acknowledged: number
  readonly retried: number
  readonly received: number
  readonly connections: number
  readonly resets: number
  /** The time since the end of the last fault, in milliseconds. */
  readonly healedAfter: { readonly ready: number; readonly acknowledged: number; readonly caughtUp: number }
  readonly text: string
}

const Ready = Schema.Struct({ status: Schema.String })

/** Whether the condition becomes true in time. */
const comesTrue = <E>(condition: Effect.Effect<boolean, E>, patience: number) =>
  condition.pipe(
    Effect.tap((reached) => (reached ? Effect.void : Effect.sleep(50))),
    Effect.repeat({ until: (reached) => reached }),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(false) })
  )

const isReady = (url: string) =>
  Effect.promise(() =>
    fetch(`${url}/ready`, { signal: AbortSignal.timeout(2000) })
      .then((response) => response.json())
      .then(
        (body) => Schema.decodeUnknownSync(Ready)(body).status === "ready",
        () => false
      )
  )

const behind = (cluster: Cluster, clients: ReadonlyArray<FaultClient>) =>
  Effect.map(readHeads(cluster), (heads) => {
    const byUser = new Map(clients.map((client) => [client.userId, client]))
    return heads.flatMap(({ head, id, userId }) => {
      const client = byUser.get(userId)
      const cursor = client?.cursors.get(id)
      return client === undefined || cursor === head
        ? []
        : [`${client.name} on ${client.at}${client.isOnline ? "" : " (offline)"}: ${id} ${cursor} of ${head}`]
    })
  })

const tally = (lines: ReadonlyArray<string>) => {
  const counts = new Map<string, number>()
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1)
  return [...counts].map(([line, count]) => `${count} × ${line}`)
}

const describe = (cluster: Cluster, report: Omit<Report, "text">) => {
  const { acknowledged, connections, faults, healedAfter, received, resets, retried, seed, stored } = report
  const logs = cluster.nodes.flatMap(({ name, server }) =>
    tally(
      server.log
        .filter(({ level }) => /warn|error|fatal/i.test(level))
        .map(({ level, message }) => `${name}: ${level} ${message}`)
    )
  )
  return [
    `seed ${seed}: ${stored} stored, ${acknowledged} acknowledged, ${retried} of them retried, ${received} events received over ${connections} connections, ${resets} resets`,
    `healed: ready after ${healedAfter.ready} ms, all sends acknowledged after ${healedAfter.acknowledged} ms, all clients caught up after ${healedAfter.caughtUp} ms`,
    ...faults.map(({ from, name, to }) => `  ${from.toFixed(1)}–${to.toFixed(1)} s ${name}`),
    ...logs.map((line) => `  ${line}`),
    `${report.violations.length} violations`,
    ...report.violations.slice(0, 50).map((line) => `  ${line}`)
  ].join("\n")
}

/**
 * Puts the load on the cluster, lets the faults happen, heals it, waits until every client has caught up, and checks
 * the whole history. What does not heal within `patience` (milliseconds) is a violation too.
 */
export const run = Effect.fn("run")(function* (
  cluster: Cluster,
  options: {
    readonly seed: string
    readonly users: number
    readonly pauseMs: number
    readonly sleepMs: number
    readonly gapMs: number
    /** How many faults happen at a time. */
    readonly lanes?: number
    readonly patience: number
    readonly faults: ReadonlyArray<Fault>
  }
) {
  const { faults, gapMs, lanes = 1, patience, seed } = options
  const load = yield* startLoad(cluster, options)
  const { clients } = load
  const found: Array<string> = []
  const allOnline = () => clients.every(({ connections, isOnline }) => isOnline || connections.length > 1)
  if (!(yield* comesTrue(Effect.sync(allOnline), patience))) found.push("not every client gets online")
  const struck = yield* strike(faults, { seed, gapMs, lanes })
  yield* cluster.heal
  const healed = performance.now()
  const since = () => Math.round(performance.now() - healed)
  const allReady = Effect.forEach(cluster.nodes, ({ server }) => isReady(server.url)).pipe(
    Effect.map((all) => all.every((ready) => ready))
  )
  const readiness = yield* comesTrue(allReady, patience).pipe(
    Effect.map((ready) => {
      if (!ready) found.push("a node does not get ready again")
      return since()
    }),
    Effect.forkScoped
  )
  yield* load.stop.pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.sync(() => found.push(...load.unfinished().map((what) => `not done: ${what}`)))
    })
  )
  const acknowledgedAfter = since()
  let late: ReadonlyArray<string> = []
  const allCaughtUp = Effect.map(behind(cluster, clients), (lines) => {
    late = lines
    return lines.length === 0
  })
  if (!(yield* comesTrue(allCaughtUp, patience))) found.push(...late.map((what) => `not caught up: ${what}`))
  const caughtUpAfter = since()
  const readyAfter = yield* Fiber.join(readiness)
  yield* Effect.forEach(clients, (client) => client.count(client.cursors.keys()), { concurrency: 4, discard: true })
  const stored = yield* readConversations(cluster)
  const sends = clients.flatMap((client) => client.sends)
  const received = clients.flatMap(({ connections }) => connections.map((connection) => connection.received.length))
  const report = {
    seed,
    faults: struck,
    violations: [...found, ...violations(clients, stored)],
    stored: stored.reduce((total, { messages }) => total + messages.length, 0),
    acknowledged: sends.filter(({ acks }) => acks.length > 0).length,
    retried: sends.filter(({ attempts }) => attempts > 1).length,
    received: received.reduce((total, count) => total + count, 0),
    connections: received.length,
    resets: clients.reduce((total, { resets }) => total + resets.events + resets.messages, 0),
    healedAfter: { ready: readyAfter, acknowledged: acknowledgedAfter, caughtUp: caughtUpAfter }
  }
  const whole: Report = { ...report, text: describe(cluster, report) }
  const directory = process.env.FAULT_LOGS
  if (directory !== undefined) {
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `${process.pid}-${seed}-${lanes}.txt`), whole.text)
  }
  return whole
})
