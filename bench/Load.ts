import { randomUUID } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { clientIdOf, type Dialect, type Heard, type Member } from "./Dialects.ts"
import { Socket } from "./Socket.ts"
import type { Target } from "./Targets.ts"

/** Two people: the first writes, the second reads. The message goes to both, and the first gets an answer too. */
export interface Pair {
  readonly conversation: string
  readonly sender: Member
  readonly receiver: Member
  /** How many messages were sent, and the last `seq` of the conversation. Both go on from run to run. */
  sent: number
  seq: number
}

/** What a target did wrong: all of them must be zero. */
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

/** What all conversations of a run share. */
interface Tally {
  sending: boolean
  recording: boolean
  released: number
  readonly ack: Array<number>
  readonly delivery: Array<number>
  readonly faults: Faults
}

/** A socket of that member, greeted; from then on `take` is told what it hears. */
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

/** One pair at work: `width` messages in flight, each released when it was acknowledged and delivered. */
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

  send(): void {
    const n = ++this.pair.sent
    this.copiesDue++
    this.flights.set(n, { sentAt: performance.now(), acked: false, delivered: false, seq: undefined })
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
    if (this.tally.sending) this.send()
  }

  private count(fault: keyof Faults): void {
    this.tally.faults[fault]++
  }
}

/** Direct messages as fast as the target takes them, `width` in flight per pair. Rejects when a socket fails. */
export const runLoad = async <A>(options: {
  readonly urls: Target["urls"]
  readonly dialect: Dialect
  readonly pairs: ReadonlyArray<Pair>
  readonly width: number
  readonly warmMs: number
  readonly measureMs: number
  /** Called at the start and at the end of what is measured. */
  readonly sample: () => A
}) => {
  const tally: Tally = {
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
    for (const conversation of conversations) for (let i = 0; i < options.width; i++) conversation.send()
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
    for (const conversation of conversations) conversation.close()
  }
}
