import { type Cause, Effect, Queue } from "effect"
import { ConversationId, type UserId } from "../domain/Ids.ts"
import type { Receiver } from "../ws/CatchUp.ts"
import type { Cursor } from "../ws/Cursor.ts"
import type { Frame } from "../ws/Frame.ts"
import type { Position } from "./StreamPosition.ts"

/** What its reader has been sent, as the id of the last event. */
export type Place = Pick<Position, "set" | "deltaLength" | "id">

/** Of a reader that knows by itself. */
export const nowhere: Place = { set: () => {}, deltaLength: 0, id: "" }

/** One event of the stream, as text/event-stream has it (HTML standard, 9.2). */
export interface ServerSentEvent {
  readonly event: string
  readonly data: string
  readonly id: string
}

/** From this share of the limits on: replays pause, ephemeral events are dropped, bodies are left to a replay. */
const loads = { replay: 0.5, dropEphemeral: 0.5, stopBodies: 0.8, resumeBodies: 0.25 }

/** From this length on a delta is folded into a new base, and replays wait for it: an id stays below 4 kB. */
const foldAt = 1500
const longestDelta = 3800

/**
 * One stream of events: a receiver as a socket is, but one whose reader pulls. What it has been sent is in its
 * position, which goes with every event as the id to resume from. `work` is asked to read what a cursor missed from
 * the log, and to fold the delta.
 */
export class EventStream implements Receiver {
  readonly userId: UserId
  readonly cursors = new Map<ConversationId, Cursor>()
  readonly room = Effect.callback<void>((resume) => this.onceReady(loads.replay, () => resume(Effect.void)))
  isClosing = false
  /** How many events were put into it. */
  sent = 0
  private readonly queue: Queue.Queue<ServerSentEvent, Cause.Done>
  private readonly position: Place
  private readonly limits: { readonly outboxBytes: number; readonly outboxFrames: number }
  private readonly work: { readonly catchUp: (cursor: Cursor) => void; readonly fold: () => void }
  private queuedBytes = 0
  private folding = false
  private waiters: Array<{ readonly below: number; readonly resume: () => void }> = []

  constructor(
    userId: UserId,
    queue: Queue.Queue<ServerSentEvent, Cause.Done>,
    position: Place,
    limits: { readonly outboxBytes: number; readonly outboxFrames: number },
    work: { readonly catchUp: (cursor: Cursor) => void; readonly fold: () => void }
  ) {
    this.userId = userId
    this.queue = queue
    this.position = position
    this.limits = limits
    this.work = work
  }

  send(...[event, heads = []]: Parameters<Receiver["send"]>): void {
    const { conversationId, seq } = event
    if (conversationId !== undefined && event.event === "conversation.removed")
      this.position.set(ConversationId.make(conversationId), undefined)
    if (conversationId !== undefined && seq !== undefined) this.position.set(ConversationId.make(conversationId), seq)
    for (const [id, head] of heads) this.position.set(id, head)
    this.push(event.event, JSON.stringify(event))
  }

  offer(frame: Frame): boolean {
    if (this.isClosing || this.load >= loads.dropEphemeral) return false
    this.push(frame.event, frame.json)
    return true
  }

  deliver(frame: Frame): boolean {
    const { conversationId, event, json, seq } = frame
    if (this.isClosing || conversationId === null) return false
    if (this.load < loads.stopBodies && this.position.deltaLength < longestDelta - 100) {
      this.position.set(conversationId, seq)
      this.push(event, json)
      return true
    }
    const cursor = this.cursors.get(conversationId)
    if (cursor?.live) this.onceReady(loads.resumeBodies, () => this.work.catchUp(cursor))
    return false
  }

  /** To be called for each event that its reader has taken. */
  taken({ data }: ServerSentEvent): void {
    this.queuedBytes -= data.length
    this.wake()
  }

  /** To be called when `fold` is done. */
  folded(): void {
    this.folding = false
    this.wake()
  }

  /** Ends the stream after what is queued. */
  end(): void {
    this.isClosing = true
    Queue.endUnsafe(this.queue)
  }

  private get load(): number {
    return Math.max(this.queuedBytes / this.limits.outboxBytes, Queue.sizeUnsafe(this.queue) / this.limits.outboxFrames)
  }

  private push(event: string, data: string): void {
    if (this.isClosing) return
    this.queuedBytes += data.length
    this.sent++
    Queue.offerUnsafe(this.queue, { event, data, id: this.position.id })
    if (this.position.deltaLength < foldAt || this.folding) return
    this.folding = true
    this.work.fold()
  }

  private onceReady(below: number, resume: () => void): void {
    if (this.load < below && this.position.deltaLength < foldAt) resume()
    else this.waiters.push({ below, resume })
  }

  private wake(): void {
    const waiters = this.waiters
    this.waiters = []
    for (const { below, resume } of waiters) this.onceReady(below, resume)
  }
}
