import { readFileSync } from "node:fs"
import { Effect, Fiber } from "effect"
import { type Account, api, type Client, connect } from "../support/Client.ts"

/** The memory of a process that is in RAM, in MB. */
export const residentOf = (pid: number) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024

/** The latencies of a time, in milliseconds, and the memory of the node. */
export interface Measured {
  readonly p50: number
  readonly p99: number
  readonly worst: number
  readonly samples: number
  readonly memory: number
  readonly failed: ReadonlyArray<string>
}

const percentile = (sorted: ReadonlyArray<number>, share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

/** Somebody who uses a node while others attack it: sends, reads a page and reconnects, and notes how long each takes. */
export const makeBystander = Effect.fnUntraced(function* (
  url: string,
  pid: number,
  me: Account,
  conversationId: string
) {
  const acknowledged = new Set<string>()
  let number = 0

  const socketOf = Effect.gen(function* () {
    const socket = yield* connect(url, { described: false })
    yield* socket.ready(me.token)
    return socket
  })

  const read = Effect.promise(async () => {
    const response = await fetch(`${url}/v1/conversations/${conversationId}/messages?limit=20`, {
      headers: { authorization: `Bearer ${me.token}` },
      signal: AbortSignal.timeout(30_000)
    })
    await response.text()
    if (response.status !== 200) throw new Error(`a read was answered with ${response.status}`)
  })

  const send = Effect.fnUntraced(function* (socket: Client) {
    const clientMessageId = `bystander-${++number}`
    const { error, ok } = yield* socket.command("message.send", {
      conversationId,
      clientMessageId,
      body: clientMessageId
    })
    if (ok === undefined) return yield* Effect.die(new Error(`a send was answered with ${error?.type}`))
    acknowledged.add(clientMessageId)
  })

  /** Uses the node for so many milliseconds. */
  const measure = Effect.fnUntraced(function* (duration: number) {
    const times: Array<number> = []
    const failed: Array<string> = []
    let memory = 0
    const timed = <A, E, R>(work: Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const before = performance.now()
        const result = yield* Effect.catchCause(work, (cause) =>
          Effect.sync(() => {
            failed.push(String(cause).slice(0, 200))
            return undefined
          })
        )
        times.push(performance.now() - before)
        return result
      })
    const watching = yield* Effect.forkChild(
      Effect.forever(
        Effect.andThen(
          Effect.sync(() => {
            memory = Math.max(memory, residentOf(pid))
          }),
          Effect.sleep(200)
        )
      )
    )
    const until = performance.now() + duration
    while (performance.now() < until)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const socket = yield* timed(socketOf)
          if (socket === undefined) return
          for (let i = 0; i < 10 && performance.now() < until; i++) {
            yield* timed(send(socket))
            yield* timed(read)
            // The bystander stays within the limits of its own session.
            yield* Effect.sleep(50)
          }
        })
      )
    yield* Fiber.interrupt(watching)
    const sorted = times.toSorted((a, b) => a - b)
    const measured: Measured = {
      p50: percentile(sorted, 0.5),
      p99: percentile(sorted, 0.99),
      worst: sorted.at(-1) ?? Number.NaN,
      samples: sorted.length,
      memory,
      failed
    }
    return measured
  })

  /** The acknowledged messages that are not in the history. */
  const lost = Effect.map(api(url).history(me, conversationId), (all) => {
    const there = new Set(all.map(({ clientMessageId }) => clientMessageId))
    return [...acknowledged].filter((id) => !there.has(id))
  })

  return { measure, lost }
})
