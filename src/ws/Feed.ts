import { Deferred, Exit, Scope } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import type { Published } from "../services/PubSub.ts"
import { type Cursor, maxHeld } from "./Cursor.ts"
import { Frame } from "./Frame.ts"

/**
 * One followed conversation on this node: its events in `seq` order, whatever the bus loses or swaps. `onHand` is told
 * to how many an event was handed.
 */
export class Feed {
  readonly cursors = new Set<Cursor>()
  readonly early = new Map<number, Frame>()
  readonly ready = Deferred.makeUnsafe<void, Unavailable>()
  readonly scope = Scope.makeUnsafe()
  /** The last seq handed on; undefined until the head is known. */
  last: number | undefined
  repairing = false
  /** Ephemeral events that were made by who knew more of the log than has come here. */
  private waiting: Array<Published & { readonly refers: number }> = []
  private readonly onHand: (cursors: number) => void

  constructor(onHand: (cursors: number) => void) {
    this.onHand = onHand
  }

  attach(cursor: Cursor): void {
    cursor.after = this.last ?? 0
    this.cursors.add(cursor)
  }

  start(head: number): void {
    if (this.last === undefined) {
      this.last = head
      for (const cursor of this.cursors) cursor.after = head
      this.advance()
      this.offerWaiting()
    }
    Deferred.doneUnsafe(this.ready, Exit.void)
  }

  /** Up to where the log is known to go on beyond what came; undefined when nothing is known to be missing. */
  get missingUpTo(): number | undefined {
    const { last } = this
    if (last === undefined || (this.early.size === 0 && this.waiting.length === 0)) return undefined
    const known = Math.max(...this.early.keys(), ...this.waiting.map(({ refers }) => refers))
    return known > last ? known : undefined
  }

  /** Gives up on what the log does not have. */
  forget(): void {
    this.early.clear()
    this.waiting = []
  }

  /**
   * Hands on an ephemeral event, to members only: one that was made after an event which has not come yet waits for that,
   * since it may be the end of somebody's membership.
   */
  offer(event: Published): void {
    const { except, refers } = event
    if (refers !== null && refers > (this.last ?? 0)) {
      if (this.waiting.length < maxHeld) this.waiting.push({ ...event, refers })
      return
    }
    const frame = new Frame(event)
    for (const { admitted, follower } of this.cursors) if (admitted && follower.userId !== except) follower.offer(frame)
  }

  private offerWaiting(): void {
    const { waiting } = this
    this.waiting = []
    for (const event of waiting) this.offer(event)
  }

  take(frame: Frame): void {
    if (this.last === undefined || frame.seq > this.last + 1) {
      this.keep(frame)
    } else if (frame.seq === this.last + 1) {
      this.hand(frame)
      if (this.early.size > 0) this.advance()
      if (this.waiting.length > 0) this.offerWaiting()
    }
  }

  /** Of more than can be held the latest stays, since it tells up to where to read. */
  private keep(frame: Frame): void {
    if (this.early.size >= maxHeld) {
      const latest = Math.max(...this.early.keys())
      if (frame.seq <= latest) return
      this.early.delete(latest)
    }
    this.early.set(frame.seq, frame)
  }

  private hand(frame: Frame): void {
    this.last = frame.seq
    const { leaver } = frame
    if (leaver !== undefined) this.detach(leaver, frame.seq)
    this.onHand(this.cursors.size)
    for (const cursor of this.cursors) cursor.receive(frame)
  }

  /** Before the event is handed on, which is none of his any more. Who knows of a later membership keeps that. */
  private detach(userId: UserId, seq: number): void {
    for (const cursor of this.cursors) {
      if (cursor.follower.userId !== userId || cursor.nextSeq > seq) continue
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
      this.hand(next)
    }
  }
}
