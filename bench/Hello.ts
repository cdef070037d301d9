import { Console, Effect } from "effect"
import type { Bench } from "./Compare.ts"
import { cpuBetween, sampleCpu } from "./Cpu.ts"
import { makeGroups, makePairs } from "./Data.ts"
import type { Verdict } from "./Goals.ts"
import { BenchError } from "./Postgres.ts"
import { makeStack, startNode } from "./Service.ts"
import { Socket } from "./Socket.ts"

const conversations = 2000

/** Says hello, and returns how long it took to the last `ready`, and the bytes and conversations that came. */
export const greet = (url: string, token: string) =>
  new Promise<{ readonly ms: number; readonly bytes: number; readonly listed: number }>((resolve, reject) => {
    Socket.open(url, "/v1/ws", reject).then((socket) => {
      const began = performance.now()
      let bytes = 0
      let listed = 0
      socket.onText = (text) => {
        bytes += Buffer.byteLength(text)
        const { data, error, event } = JSON.parse(text)
        if (error !== undefined) reject(new Error(text))
        if (event !== "ready") return
        listed += data.conversations.length
        if (!data.done) return
        socket.close()
        resolve({ ms: performance.now() - began, bytes, listed })
      }
      socket.send(JSON.stringify({ id: 0, op: "hello", data: { token } }))
    }, reject)
  })

/** The first hello of a user in many conversations. */
export const hello = Effect.fnUntraced(function* ({ nodeOptions, postmaster, quick, rounds }: Bench) {
  const stack = yield* makeStack("chat_bench_hello")
  const { pid, url } = yield* startNode("service", stack, nodeOptions)
  const [me] = yield* makePairs(stack.database, 1)
  yield* makeGroups(stack.database, { from: 2, to: conversations, members: "VALUES (1), (2)" })
  const say = Effect.tryPromise({
    try: () => greet(url, me?.token ?? ""),
    catch: (error) => new BenchError({ message: `hello: ${error instanceof Error ? error.message : "no answer"}` })
  })
  const sample = () => sampleCpu({ server: [pid], bus: stack.bus }, postmaster, stack.database)
  for (let warm = 0; warm < (quick ? 1 : 5); warm++) yield* say
  const ms: Array<number> = []
  const missing: Array<number> = []
  for (let round = 1; round <= (quick ? 1 : rounds); round++) {
    const from = sample()
    const answer = yield* say
    const cpu = cpuBetween(from, sample())
    yield* Console.log(
      `round ${round}: ${answer.ms.toFixed(0)} ms, ${(answer.bytes / 1024).toFixed(0)} kB, ` +
        `CPU ${(cpu.server / 1000).toFixed(0)} + ${(cpu.postgres / 1000).toFixed(0)} + ${(cpu.bus / 1000).toFixed(0)} ms`
    )
    ms.push(answer.ms)
    missing.push(conversations - answer.listed)
  }
  const verdicts: ReadonlyArray<Verdict> = [
    { what: `hello with ${conversations.toLocaleString("en-US")} conversations`, unit: "ms", values: ms },
    { what: "hello: conversations that were missing", unit: "", values: missing, goal: { side: "at most", must: 0 } }
  ]
  return verdicts
})
