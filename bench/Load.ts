import { randomUUID } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { clientIdOf, type Dialect, type Heard, type Member, type Pair } from "./Dialects.ts"
import { Socket } from "./Socket.ts"
import type { Target } from "./Targets.ts"

/** The mistakes of a target: all of them must be zero. */
export interface Faults {
  /** Acknowledgements, deliveries and the sender's own copies that never came. */
  lost: number
  doubled: number
  /** Events out of order or after a hole in `seq`, and answers that name another `seq` than the event. */
  disordered: number
}

interface Flight {
  readonly sentAt: number
  acked: boolean
  delivered: boolean
  seq: number | undefined
}

export const body = "All work and no play makes Jack a dull boy. ".repeat(5).slice(0, 200)
const drainMs = 10_000

/** The state that all conversations of a run share. */
interface Tally {
  /** Whether each released message is followed by the next one. */
  readonly closedLoop: boolean
  sending: boolean
  recording: boolean
  released: number
  readonly ack: Array<number>
  readonly delivery: Array<number>
  readonly faults: Faults
}

/** Opens and greets the socket of a member. From then on `take` is called with each message that it receives. */
export const join = async (
  url: string,
  dialect: Dialect,
  member: Member,
  onFailure: (error: Error) => void,
  take: (heard: Heard) => void
): Promise<Socket> => {
  const socket = await Socket.open(url, dialect.path(member), onFailure)
  const opening = dialect.opening(member)
  if (opening !== undefined) socket.send(opening)
  await new Promise<void>((resolve) => {
    socket.onText = (text) => {
      const { answer, ready } = dialect.greet(text, member)
      if (answer !== undefined) socket.send(answer)
      if (ready) resolve()
    }
  })
  socket.onText = (text) => {
    const heard = dialect.hear(text)
    if (typeof heard === "string") socket.send(heard)
    else if (heard !== undefined) take(heard)
  }
  return socket
}

/**
 * How messages are sent: as fast as the target takes them with so many in flight per pair, or so many a second over all
 * pairs.
 */
export type Pace = { readonly width: number } | { readonly rate: number }

/** One pair at work. A message is released when it was acknowledged and delivered. */
class Conversation {
  private readonly pair: Pair
  private readonly dialect: Dialect
  private readonly tally: Tally
  private readonly prefix = randomUUID().slice(0, 24)
  private readonly flights = new Map<number, Flight>()
  private readonly sockets: Array<Socket> = []
  private copySeq: number
  private copiesDue = 0

  constructor(pair: Pair, dialect: Dialect, tally: Tally) {
    this.pair = pair
    this.dialect = dialect
    this.tally = tally
    this.copySeq = pair.seq
  }

  async open(urls: Target["urls"], onFailure: (error: Error) => void): Promise<void> {
    const { dialect, pair, sockets } = this
    sockets.push(await join(urls.receiver, dialect, pair.receiver, onFailure, (heard) => this.onDelivery(heard)))
    sockets.push(
      await join(urls.sender, dialect, pair.sender, onFailure, (heard) =>
        heard.kind === "ack" ? this.onAck(heard) : this.onCopy(heard)
      )
    )
  }

  /** Sends a message; its latency counts from `at`, when it was to be sent. */
  send(at = performance.now()): void {
    const n = ++this.pair.sent
    this.copiesDue++
    this.flights.set(n, { sentAt: at, acked: false, delivered: false, seq: undefined })
    const { conversation } = this.pair
    this.sockets[1]?.send(this.dialect.send(n, { conversation, clientId: clientIdOf(this.prefix, n), body }))
  }

  get missing(): number {
    return this.flights.size + Math.max(0, this.copiesDue)
  }

  close(): void {
    for (const socket of this.sockets) socket.close()
  }

  private onAck({ n, seq }: Heard) {
    const flight = this.flights.get(n)
    if (flight === undefined || flight.acked) return this.count("doubled")
    if (this.tally.recording) this.tally.ack.push(performance.now() - flight.sentAt)
    flight.acked = true
    this.progress(n, seq, flight)
  }

  private onDelivery({ kind, n, seq }: Heard) {
    if (kind !== "event") return
    const flight = this.flights.get(n)
    if (flight === undefined || flight.delivered) return this.count("doubled")
    if (this.tally.recording) this.tally.delivery.push(performance.now() - flight.sentAt)
    if (seq !== undefined && seq !== this.pair.seq + 1) this.count("disordered")
    this.pair.seq = seq ?? this.pair.seq
    flight.delivered = true
    this.progress(n, seq, flight)
  }

  private onCopy({ seq }: Heard): void {
    if (--this.copiesDue < 0) this.count("doubled")
    if (seq !== undefined && seq !== this.copySeq + 1) this.count("disordered")
    this.copySeq = seq ?? this.copySeq
  }

  private progress(n: number, seq: number | undefined, flight: Flight): void {
    if (flight.seq !== undefined && flight.seq !== seq) this.count("disordered")
    flight.seq = seq
    if (!flight.acked || !flight.delivered) return
    this.flights.delete(n)
    this.tally.released++
    if (this.tally.closedLoop && this.tally.sending) this.send()
  }

  private count(fault: keyof Faults): void {
    this.tally.faults[fault]++
  }
}

/** Sends `rate` messages a second, in turn over the conversations, until `tally.sending` is false. */
const sendAtRate = async (conversations: ReadonlyArray<Conversation>, rate: number, tally: Tally) => {
  const began = performance.now()
  for (let n = 0; tally.sending; n++) {
    const due = began + (n * 1000) / rate
    const early = due - performance.now()
    if (early > 0) await sleep(early)
    if (tally.sending) conversations[n % conversations.length]?.send(due)
  }
}

/** Sends direct messages at that pace. Rejects when a socket fails. */
export const runLoad = async <A>(options: {
  readonly urls: Target["urls"]
  readonly dialect: Dialect
  readonly pairs: ReadonlyArray<Pair>
  readonly pace: Pace
  readonly warmMs: number
  readonly measureMs: number
  /** Called at the start and at the end of the measured time. */
  readonly sample: () => A
}) => {
  const { pace } = options
  const tally: Tally = {
    closedLoop: "width" in pace,
    sending: true,
    recording: false,
    released: 0,
    ack: [],
    delivery: [],
    faults: { lost: 0, doubled: 0, disordered: 0 }
  }
  const conversations = options.pairs.map((pair) => new Conversation(pair, options.dialect, tally))
  const missing = () => conversations.reduce((sum, conversation) => sum + conversation.missing, 0)
  const failed = Promise.withResolvers<never>()

  const run = async () => {
    for (let at = 0; at < conversations.length; at += 20) {
      await Promise.all(
        conversations.slice(at, at + 20).map((conversation) => conversation.open(options.urls, failed.reject))
      )
    }
    if ("rate" in pace) void sendAtRate(conversations, pace.rate, tally)
    else for (const conversation of conversations) for (let i = 0; i < pace.width; i++) conversation.send()
    await sleep(options.warmMs)
    const releasedBefore = tally.released
    const from = options.sample()
    tally.recording = true
    await sleep(options.measureMs)
    tally.recording = false
    const to = options.sample()
    const released = tally.released - releasedBefore
    tally.sending = false
    for (let waited = 0; missing() > 0 && waited < drainMs; waited += 20) await sleep(20)
    tally.faults.lost += missing()
    return { from, to, released, ack: tally.ack, delivery: tally.delivery, faults: tally.faults }
  }

  try {
    return await Promise.race([run(), failed.promise])
  } finally {
    tally.sending = false
    for (const conversation of conversations) conversation.close()
  }
}
