import { setTimeout as sleep } from "node:timers/promises"
import { Console, Effect } from "effect"
import type { Bench } from "./Compare.ts"
import { cpuBetween, sampleCpu } from "./Cpu.ts"
import type { Verdict } from "./Goals.ts"
import { runLoad } from "./Load.ts"
import { BenchError } from "./Postgres.ts"
import { Socket } from "./Socket.ts"
import { type Target, targets } from "./Targets.ts"

/** How many messages each socket has missed. */
const missed = 20

/** Resolves with the time that it took when the socket has received exactly the missed events, in order. */
const comeBack = async (
  { dialect, urls }: Target,
  { token }: { readonly token: string },
  cursor: { readonly conversation: string; readonly seq: number },
  onFailure: (error: Error) => void
) => {
  const began = performance.now()
  const socket = await Socket.open(urls.receiver, dialect.path({ token, user: "", conversation: "" }), onFailure)
  let next = cursor.seq + 1
  const done = new Promise<boolean>((resolve) => {
    socket.onText = (text) => {
      const frame = JSON.parse(text)
      if (frame.event === "message.created" && frame.seq === next) next++
      else if (frame.event === "ready") resolve(next === cursor.seq + missed + 1)
      else if (frame.ok === undefined) resolve(false)
    }
  })
  const cursors = { [cursor.conversation]: cursor.seq }
  socket.send(JSON.stringify({ id: 0, op: "hello", data: { token, cursors } }))
  const whole = await done
  return { socket, whole, took: performance.now() - began }
}

/** Connects all sockets of all users at once; each has missed the last messages of one conversation. */
const measureComeback = Effect.fnUntraced(function* (target: Target, postmaster: number, sockets: number) {
  const failed = Promise.withResolvers<never>()
  const sample = () => sampleCpu(target.processes, postmaster, target.database)
  const run = async () => {
    // Long enough that each conversation has more messages than are missed.
    await runLoad({ ...target, pace: { width: 1 }, warmMs: 500, measureMs: 2000, sample })
    await sleep(500)
    const people = target.pairs.flatMap(({ conversation, receiver, sender, seq }) => {
      const cursor = { conversation, seq: seq - missed }
      return [
        { member: sender, cursor },
        { member: receiver, cursor }
      ]
    })
    const from = sample()
    const back = await Promise.all(
      Array.from({ length: sockets }, (_, index) => people[index % people.length]).flatMap((person) =>
        person === undefined ? [] : [comeBack(target, person.member, person.cursor, failed.reject)]
      )
    )
    const to = sample()
    for (const { socket } of back) socket.close()
    return { back, cpu: cpuBetween(from, to) }
  }
  const { back, cpu } = yield* Effect.tryPromise({
    try: () => Promise.race([run(), failed.promise]),
    catch: (error) => new BenchError({ message: error instanceof Error ? error.message : "the load broke off" })
  })
  const took = Float64Array.from(back, (each) => each.took).sort()
  const at = (q: number) => took[Math.floor(q * (took.length - 1))] ?? Number.NaN
  return {
    whole: back.filter((each) => each.whole).length,
    p50: at(0.5),
    p99: at(0.99),
    seconds: cpu.wall / 1_000_000,
    serverMs: cpu.server / 1000 / sockets,
    postgresMs: cpu.postgres / 1000 / sockets
  }
})

/** The scene: users of as many pairs as usual, some of whom have several sockets. */
export const comeback = Effect.fnUntraced(function* ({ pairs, postmaster, quick, rounds }: Bench) {
  const sockets = quick ? 200 : 1000
  const target = yield* targets.service(pairs)
  const p99: Array<number> = []
  const lost: Array<number> = []
  for (let round = 1; round <= (quick ? 1 : rounds); round++) {
    const back = yield* measureComeback(target, postmaster, sockets)
    yield* Console.log(
      `round ${round}: ${back.whole} caught up in order; p50 ${back.p50.toFixed(0)} ms, p99 ${back.p99.toFixed(0)} ms, ` +
        `all in ${back.seconds.toFixed(1)} s; CPU per socket ${back.serverMs.toFixed(2)} + ${back.postgresMs.toFixed(2)} ms`
    )
    p99.push(back.p99)
    lost.push(sockets - back.whole)
  }
  const verdicts: ReadonlyArray<Verdict> = [
    { what: `comeback of ${sockets} sockets: p99`, unit: "ms", values: p99 },
    {
      what: "comeback: sockets that did not catch up in order",
      unit: "",
      values: lost,
      goal: { side: "at most", must: 0 }
    }
  ]
  return verdicts
})
