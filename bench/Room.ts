import { randomUUID } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { clientIdOf, type Dialect, type Heard, type Member } from "./Dialects.ts"
import { body, type Faults, join } from "./Load.ts"
import type { Socket } from "./Socket.ts"
import type { Target } from "./Targets.ts"

interface Flight {
  readonly sentAt: number
  readonly sender: number
  due: number
}

/**
 * Loads one room in which the first `senders` members write, and all members read. Each writer sends the next message
 * when all have read the last one, or `rate` messages a second. Counts deliveries, and measures the time until the last
 * delivery of a message.
 */
export const runRoom = async <A>(options: {
  readonly urls: Target["urls"]
  readonly dialect: Dialect
  readonly conversation: string
  readonly members: ReadonlyArray<Member>
  readonly senders: number
  readonly rate: number | undefined
  readonly warmMs: number
  readonly measureMs: number
  /** Called at the start and at the end of the measured time. */
  readonly sample: () => A
}) => {
  const { conversation, dialect, members, urls } = options
  const faults: Faults = { lost: 0, doubled: 0, disordered: 0 }
  const prefix = randomUUID().slice(0, 24)
  const flights = new Map<number, Flight>()
  const sockets: Array<Socket> = []
  const timers: Array<NodeJS.Timeout> = []
  const ack: Array<number> = []
  const delivery: Array<number> = []
  const failed = Promise.withResolvers<never>()
  let recording = false
  let deliveries = 0
  let sent = 0
  let sending = true

  const send = (sender: number) => {
    const n = ++sent
    flights.set(n, { sentAt: performance.now(), sender, due: members.length })
    sockets[sender]?.send(dialect.send(n, { conversation, clientId: clientIdOf(prefix, n), body }))
  }

  const hear = () => {
    let last: number | undefined
    return ({ kind, n, seq }: Heard) => {
      const flight = flights.get(n)
      if (kind === "ack") {
        if (recording && flight !== undefined) ack.push(performance.now() - flight.sentAt)
        return
      }
      deliveries++
      if (seq !== undefined && last !== undefined && seq !== last + 1) faults.disordered++
      last = seq
      if (flight === undefined) faults.doubled++
      else if (--flight.due === 0) {
        flights.delete(n)
        if (recording) delivery.push(performance.now() - flight.sentAt)
        if (sending && options.rate === undefined) send(flight.sender)
      }
    }
  }

  const run = async () => {
    for (const member of members) sockets.push(await join(urls.receiver, dialect, member, failed.reject, hear()))
    for (let sender = 0; sender < options.senders; sender++) {
      if (options.rate === undefined) {
        send(sender)
      } else {
        await sleep(1000 / options.rate / options.senders)
        timers.push(setInterval(() => send(sender), 1000 / options.rate))
      }
    }
    await sleep(options.warmMs)
    const before = deliveries
    const from = options.sample()
    recording = true
    await sleep(options.measureMs)
    recording = false
    const to = options.sample()
    const released = deliveries - before
    sending = false
    for (const timer of timers) clearInterval(timer)
    for (let waited = 0; flights.size > 0 && waited < 10_000; waited += 20) await sleep(20)
    for (const { due } of flights.values()) faults.lost += due
    return { from, to, released, ack, delivery, faults }
  }

  try {
    return await Promise.race([run(), failed.promise])
  } finally {
    for (const timer of timers) clearInterval(timer)
    for (const socket of sockets) socket.close()
  }
}
