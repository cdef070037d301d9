import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Frame } from "./Frame.ts"

/** Receives the events of the conversations that it follows: one socket, or one stream of another transport. */
export interface Subscriber {
  readonly userId: UserId
  /** Takes a durable event in its turn. When it returns false, the subscriber must catch up from the log. */
  readonly deliver: (frame: Frame) => boolean
  /** Takes an ephemeral event; false when it drops the event. */
  readonly offer: (frame: Frame) => boolean
  /** Starts to catch up from the log. The cursor holds its events until then. */
  readonly reread: (cursor: Cursor) => void
}

/** At most this many events are held back for one subscriber, or behind one gap. */
export const maxHeld = 256

/**
 * A subscriber's position in one conversation: the event `s` is delivered only when `s` is the next one. While the
 * subscriber catches up from the log, live events are held. When there are too many of them they are dropped, because
 * the log has them.
 */
export class Cursor {
  readonly conversationId: ConversationId
  readonly subscriber: Subscriber
  /** The `seq` that is delivered next. */
  nextSeq = 0
  /** Events up to here were delivered before this cursor was attached, so it goes live only beyond them. */
  after = 0
  /** Whether the log was replaced by another one, so that what was delivered may no longer be in it. */
  stale = false
  /** False once the subscriber's membership has ended: nothing more is delivered. */
  attached = true
  /** Whether it was ever live, so that the subscriber is known to be a member. */
  admitted = false
  /** The first `seq` that the subscriber may see. Nothing earlier is delivered, not even as a part of a later event. */
  visibleFromSeq = Number.MAX_SAFE_INTEGER
  private held: Array<Frame> | undefined = []
  private overflowed = false
  private readonly onLeft: (conversationId: ConversationId) => void

  constructor(
    conversationId: ConversationId,
    subscriber: Subscriber,
    onLeft: (conversationId: ConversationId) => void = () => {}
  ) {
    this.conversationId = conversationId
    this.subscriber = subscriber
    this.onLeft = onLeft
  }

  /** Whether published events are delivered at once. */
  get live(): boolean {
    return this.held === undefined
  }

  /** Holds live events back until `release`. */
  hold(): void {
    this.held ??= []
    this.overflowed = false
  }

  /** The log was replaced by another one that ends at `head`: the subscriber is to be reset. */
  rewind(head: number): void {
    this.stale = true
    this.after = Math.min(this.after, head)
    if (!this.live) return
    this.hold()
    this.subscriber.reread(this)
  }

  /** Takes the next event of the feed: delivers it, holds it, or ignores one that was delivered before. */
  receive(frame: Frame): void {
    if (this.held !== undefined) {
      if (this.held.length < maxHeld) this.held.push(frame)
      else this.overflowed = true
    } else if (frame.seq === this.nextSeq) {
      if (this.deliver(frame)) this.nextSeq++
      else this.hold()
    }
  }

  /** Delivers the held events and goes live; false when some are missing and must be read from the log first. */
  release(): boolean {
    if (this.stale || this.nextSeq <= this.after) return this.restart()
    for (const frame of this.held ?? []) {
      if (frame.seq < this.nextSeq) continue
      if (frame.seq > this.nextSeq || !this.deliver(frame)) return this.restart()
      this.nextSeq++
    }
    if (this.overflowed) return this.restart()
    this.held = undefined
    this.admitted = true
    return true
  }

  /** Ends the cursor: the user has left the conversation, or has left and joined again. */
  detach(): void {
    this.attached = false
    this.onLeft(this.conversationId)
  }

  private deliver(frame: Frame): boolean {
    return this.subscriber.deliver(frame.seenFrom(this.visibleFromSeq))
  }

  private restart(): false {
    this.held = []
    this.overflowed = false
    return false
  }
}
