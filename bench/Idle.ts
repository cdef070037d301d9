import { readFileSync } from "node:fs"
import { Console, Effect } from "effect"
import type { Bench } from "./Compare.ts"
import { cpuBetween, sampleCpu } from "./Cpu.ts"
import { makeGroups, makeMessages, makePairs } from "./Data.ts"
import { type Member, serviceDialect } from "./Dialects.ts"
import type { Verdict } from "./Goals.ts"
import { join } from "./Load.ts"
import { BenchError } from "./Postgres.ts"
import { deployedFlags, makeStack, startNode } from "./Service.ts"
import type { Socket } from "./Socket.ts"

/** The resident memory of a process in kB. */
const residentOf = (pid: number) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1])

/** How many statements a node has sent. */
const statementsOf = async (url: string) => {
  const text = await fetch(`${url}/metrics`).then((answer) => answer.text())
  let sum = 0
  for (const [, count] of text.matchAll(/^chat_database_queries_total\{[^}]*\} (\d+)/gm)) sum += Number(count)
  return sum
}

/** Opens the sockets of all these members, which answer keep-alives, until the scope closes. */
const openAll = (url: string, members: ReadonlyArray<Member>) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const sockets: Array<Socket> = []
        const failed = Promise.withResolvers<never>()
        const open = async () => {
          for (let at = 0; at < members.length; at += 20) {
            const some = members.slice(at, at + 20)
            sockets.push(
              ...(await Promise.all(some.map((each) => join(url, serviceDialect, each, failed.reject, () => {}))))
            )
          }
          return sockets
        }
        return Promise.race([open(), failed.promise])
      },
      catch: (error) => new BenchError({ message: `idle: ${error instanceof Error ? error.message : "no socket"}` })
    }),
    (sockets) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.close()
      })
  )

/** Authenticated sockets that do nothing: their memory, and what the node does meanwhile. */
export const idle = Effect.fnUntraced(function* ({ nodeOptions, postmaster, quick }: Bench) {
  const [warm, busy, all] = quick ? [20, 60, 200] : [200, 1000, 4000]
  const stack = yield* makeStack("chat_bench_idle")
  // How much garbage V8 lets lie is a matter of these options, so they are those of operators.
  const { pid, url } = yield* startNode("service", stack, [...deployedFlags, ...nodeOptions])
  const members = yield* makePairs(stack.database, all / 2)
  // For half a minute V8 collects what the hellos have left. That is work of the hellos, and not of an idle node.
  const calm = Effect.sleep(quick ? "1 second" : "40 seconds")
  yield* openAll(url, members.slice(0, warm))
  yield* Effect.sleep(quick ? "1 second" : "10 seconds")
  yield* openAll(url, members.slice(warm, busy))
  yield* calm
  const sample = () => sampleCpu({ server: [pid], bus: [] }, postmaster, stack.database)
  const statements = Effect.promise(() => statementsOf(url))
  const sentBefore = yield* statements
  const from = sample()
  yield* Effect.sleep(quick ? "3 seconds" : "30 seconds")
  const cpu = cpuBetween(from, sample())
  const sent = (yield* statements) - sentBefore
  const before = residentOf(pid)
  yield* openAll(url, members.slice(busy))
  yield* calm
  const each = (residentOf(pid) - before) / (all - busy)
  const seconds = cpu.wall / 1_000_000
  yield* Console.log(`${busy} sockets: CPU ${cpu.server / 1000} ms, ${sent} statements in ${seconds.toFixed(1)} s`)
  yield* Console.log(`${all - busy} more sockets: ${each.toFixed(1)} kB of the server's memory each`)
  const verdicts: ReadonlyArray<Verdict> = [
    {
      what: "idle authenticated socket: memory of the server",
      unit: "kB",
      values: [each],
      goal: { side: "at most", must: 18.5, aim: 13 }
    },
    {
      what: `idle node with ${busy} sockets: CPU`,
      unit: "%",
      values: [(cpu.server / cpu.wall) * 100],
      goal: { side: "at most", must: 1 }
    },
    {
      what: `idle node with ${busy} sockets: statements a second`,
      unit: "",
      values: [sent / seconds],
      goal: { side: "at most", must: 4 }
    }
  ]
  return verdicts
})

/** Resolves with the time until the node is ready. */
const untilReady = async (url: string, began: number) => {
  while ((await fetch(`${url}/ready`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 5))
  return performance.now() - began
}

/** The start of a node on data that exists. */
export const start = Effect.fnUntraced(function* ({ nodeOptions, quick, rounds }: Bench) {
  const stack = yield* makeStack("chat_bench_start")
  yield* Effect.scoped(startNode("first start", stack))
  yield* makePairs(stack.database, 1)
  yield* makeGroups(stack.database, { from: 2, to: 300, members: "VALUES (1), (2)" })
  yield* makeMessages(stack.database, { from: 1, to: 300, each: quick ? 10 : 1000 })
  const values: Array<number> = []
  for (let round = 1; round <= (quick ? 1 : rounds); round++) {
    const seconds = yield* Effect.scoped(
      Effect.gen(function* () {
        const began = performance.now()
        const { url } = yield* startNode("service", stack, nodeOptions)
        return yield* Effect.promise(() => untilReady(url, began))
      })
    )
    yield* Console.log(`round ${round}: ready after ${seconds.toFixed(0)} ms`)
    values.push(seconds / 1000)
  }
  const verdict: Verdict = {
    what: "start to ready on existing data",
    unit: "s",
    values,
    goal: { side: "at most", must: 1.5 }
  }
  return [verdict]
})
