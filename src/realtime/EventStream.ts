import { type Cause, Effect, Queue } from "effect"
import { ConversationId, type UserId } from "../domain/Ids.ts"
import type { Cursor } from "./Cursor.ts"
import type { Frame } from "./Frame.ts"
import type { StreamPosition } from "./StreamPosition.ts"
import { loads, type ResumableSubscriber } from "./Subscriber.ts"

/** The part of a position that a stream uses. */
export type PositionTracker = Pick<StreamPosition, "set" | "deltaLength" | "id">

/** For readers that keep their own cursors (RPC). */
export const untracked: PositionTracker = { set: () => {}, deltaLength: 0, id: "" }

/** One event of the stream, as text/event-stream has it (HTML standard, 9.2). */
export interface ServerSentEvent {
  readonly event: string
  readonly data: string
  readonly id: string
}

/** At this length a delta is folded into a new base, and replays wait for that, so that an id stays below 4 kB. */
const foldAt = 1500
const longestDelta = 3800
/** The longest entry of a delta: a conversation id, a separator, a `seq` and a comma, with room to spare. */
const longestEntry = 100

/**
 * One stream of events: a subscriber like a socket, but its reader pulls. Its position records what it has been sent,
 * and goes with every event as the id to resume from. `work.catchUp` reads what a cursor missed from the log, and
 * `work.fold` folds the delta.
 */
export class EventStream implements ResumableSubscriber {
  readonly userId: UserId
  readonly cursors = new Map<ConversationId, Cursor>()
  readonly room = Effect.callback<void>((resume) => this.onceReady(loads.replay, () => resume(Effect.void)))
  isClosing = false
  /** How many events it was sent. */
  sent = 0
  private readonly queue: Queue.Queue<ServerSentEvent, Cause.Done>
  private readonly position: PositionTracker
  private readonly limits: { readonly outboxBytes: number; readonly outboxFrames: number }
  private readonly work: { readonly catchUp: (cursor: Cursor) => void; readonly fold: () => void }
  private queuedBytes = 0
  private folding = false
  private waiters: Array<{ readonly below: number; readonly resume: () => void }> = []

  constructor(
    userId: UserId,
    queue: Queue.Queue<ServerSentEvent, Cause.Done>,
    position: PositionTracker,
    limits: { readonly outboxBytes: number; readonly outboxFrames: number },
    work: { readonly catchUp: (cursor: Cursor) => void; readonly fold: () => void }
  ) {
    this.userId = userId
    this.queue = queue
    this.position = position
    this.limits = limits
    this.work = work
  }

  /** Queues an event that must not be dropped, and records in the position what the reader then knows. */
  send(...[event, heads = []]: Parameters<ResumableSubscriber["send"]>): void {
    const { conversationId, seq } = event
    if (conversationId !== undefined && event.event === "conversation.removed")
      this.position.set(ConversationId.make(conversationId), undefined)
    if (conversationId !== undefined && seq !== undefined) this.position.set(ConversationId.make(conversationId), seq)
    for (const [id, head] of heads) this.position.set(id, head)
    this.push(event.event, JSON.stringify(event))
  }

  /** Queues an ephemeral event. False, and dropped, when the reader is behind or the stream is closing. */
  offer(frame: Frame): boolean {
    if (this.isClosing || this.load >= loads.dropEphemeral) return false
    this.push(frame.event, frame.json)
    return true
  }

  /** Queues a durable event. False when the reader is behind: its cursor then catches up once there is room. */
  deliver(frame: Frame): boolean {
    const { conversationId, event, json, seq } = frame
    if (this.isClosing || conversationId === null) return false
    if (this.load < loads.stopBodies && this.position.deltaLength < longestDelta - longestEntry) {
      this.position.set(conversationId, seq)
      this.push(event, json)
      return true
    }
    const cursor = this.cursors.get(conversationId)
    if (cursor?.live) this.onceReady(loads.resumeBodies, () => this.work.catchUp(cursor))
    return false
  }

  /** Reads from the log what the cursor has not received. */
  reread(cursor: Cursor): void {
    this.work.catchUp(cursor)
  }

  /** Must be called for each event that the reader has taken. */
  taken({ data }: ServerSentEvent): void {
    this.queuedBytes -= data.length
    this.wake()
  }

  /** Must be called when `work.fold` is done. */
  folded(): void {
    this.folding = false
    this.wake()
  }

  /** Ends the stream after the queued events. Repeating it does nothing. */
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
