import { Deferred, Exit, Scope } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import type { Published } from "../services/bus/Subjects.ts"
import { type Cursor, maxHeld } from "./Cursor.ts"
import { Frame } from "./Frame.ts"

/**
 * One followed conversation on this node: delivers its events in `seq` order, whatever the bus loses or reorders.
 * `onDelivery` is called with the number of cursors that received an event.
 */
export class Feed {
  readonly cursors = new Set<Cursor>()
  /** Durable events that arrived before their predecessors, by `seq`. */
  readonly early = new Map<number, Frame>()
  readonly ready = Deferred.makeUnsafe<void, Unavailable>()
  readonly scope = Scope.makeUnsafe()
  /** The last `seq` that was delivered; undefined until the head is known. */
  last: number | undefined
  /** Whether a repair of this conversation is under way. */
  repairing = false
  /** Ephemeral events whose publisher had seen more of the log than has arrived here. */
  private waiting: Array<Published & { readonly refersTo: number }> = []
  private readonly onDelivery: (cursors: number) => void

  constructor(onDelivery: (cursors: number) => void) {
    this.onDelivery = onDelivery
  }

  /** Adds a cursor, which receives every event from now on. */
  attach(cursor: Cursor): void {
    cursor.after = this.last ?? 0
    this.cursors.add(cursor)
  }

  /** Starts the feed at the head of the log. A later call does nothing but report that the feed is ready. */
  start(head: number): void {
    if (this.last === undefined) {
      this.last = head
      for (const cursor of this.cursors) cursor.after = head
      this.advance()
      this.offerWaiting()
    }
    Deferred.doneUnsafe(this.ready, Exit.void)
  }

  /** Continues after `head` of a log that has replaced the one before. */
  rewind(head: number): void {
    this.forget()
    this.last = head
    for (const cursor of this.cursors) cursor.rewind(head)
  }

  /** The highest `seq` that is known to exist but has not arrived; undefined when nothing is known to be missing. */
  get missingUpTo(): number | undefined {
    const { last } = this
    if (last === undefined || (this.early.size === 0 && this.waiting.length === 0)) return undefined
    const known = Math.max(...this.early.keys(), ...this.waiting.map(({ refersTo }) => refersTo))
    return known > last ? known : undefined
  }

  /** Drops the events whose predecessors the log does not have. */
  forget(): void {
    this.early.clear()
    this.waiting = []
  }

  /**
   * Offers an ephemeral event to all members. An ephemeral event that was published after a durable event which has not
   * arrived yet waits for it, because the durable event may end somebody's membership.
   */
  offer(event: Published): void {
    const { except, refersTo } = event
    if (refersTo !== null && refersTo > (this.last ?? 0)) {
      if (this.waiting.length < maxHeld) this.waiting.push({ ...event, refersTo })
      return
    }
    const frame = new Frame(event)
    for (const { admitted, subscriber } of this.cursors)
      if (admitted && subscriber.userId !== except) subscriber.offer(frame)
  }

  private offerWaiting(): void {
    const { waiting } = this
    this.waiting = []
    for (const event of waiting) this.offer(event)
  }

  /** Delivers a durable event in its turn; keeps it when predecessors are missing, ignores it when it is known. */
  take(frame: Frame): void {
    if (this.last === undefined || frame.seq > this.last + 1) {
      this.keep(frame)
    } else if (frame.seq === this.last + 1) {
      this.deliver(frame)
      if (this.early.size > 0) this.advance()
      if (this.waiting.length > 0) this.offerWaiting()
    }
  }

  /** Holds an early event. When there are too many, the latest one is kept, because it marks the end of the gap. */
  private keep(frame: Frame): void {
    if (this.early.size >= maxHeld) {
      const latest = Math.max(...this.early.keys())
      if (frame.seq <= latest) return
      this.early.delete(latest)
    }
    this.early.set(frame.seq, frame)
  }

  private deliver(frame: Frame): void {
    this.last = frame.seq
    const { leaver } = frame
    if (leaver !== undefined) this.detach(leaver, frame.seq)
    this.onDelivery(this.cursors.size)
    for (const cursor of this.cursors) cursor.receive(frame)
  }

  /**
   * Ends the leaver's cursors before delivery: the event that ends a membership is not delivered to it. A cursor of a
   * newer membership stays.
   */
  private detach(userId: UserId, seq: number): void {
    for (const cursor of this.cursors) {
      if (cursor.subscriber.userId !== userId || cursor.nextSeq > seq) continue
      this.cursors.delete(cursor)
      cursor.detach()
    }
  }

  private advance(): void {
    for (const seq of this.early.keys()) if (this.last !== undefined && seq <= this.last) this.early.delete(seq)
    for (;;) {
      const next = this.last === undefined ? undefined : this.early.get(this.last + 1)
      if (next === undefined) return
      this.early.delete(next.seq)
      this.deliver(next)
    }
  }
}
