import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Frame } from "./Frame.ts"

/** Who follows conversations: one socket, or one stream of another transport. */
export interface Follower {
  readonly userId: UserId
  /** Takes a durable event in its turn; false when it cannot: then it must catch up from the log. */
  readonly deliver: (frame: Frame) => boolean
  /** Takes an ephemeral event, or drops it: then it is false. */
  readonly offer: (frame: Frame) => boolean
}

/** At most this many events are held back for one follower or before one hole. */
export const maxHeld = 256

/**
 * A follower's place in one conversation: it is handed `s` only when `s` is the next one. While it catches up from the
 * log, live events are held; too many of them are dropped, since the log has them.
 */
export class Cursor {
  readonly conversationId: ConversationId
  readonly follower: Follower
  nextSeq = 0
  /** Up to here events were handed on before there was this cursor: it goes live only beyond. */
  after = 0
  /** False from the end of the follower's membership on: nothing more comes. */
  attached = true
  /** It was live once, so that its follower is known to be a member. */
  admitted = false
  /** From where on the follower may see; nothing earlier is handed on, not even as a part of a later event. */
  visibleFromSeq = Number.MAX_SAFE_INTEGER
  private held: Array<Frame> | undefined = []
  private overflowed = false
  private readonly onLeft: (conversationId: ConversationId) => void

  constructor(
    conversationId: ConversationId,
    follower: Follower,
    onLeft: (conversationId: ConversationId) => void = () => {}
  ) {
    this.conversationId = conversationId
    this.follower = follower
    this.onLeft = onLeft
  }

  /** Live: what is published is handed on at once. */
  get live(): boolean {
    return this.held === undefined
  }

  /** Holds live events back until `release`. */
  hold(): void {
    this.held ??= []
    this.overflowed = false
  }

  receive(frame: Frame): void {
    if (this.held !== undefined) {
      if (this.held.length < maxHeld) this.held.push(frame)
      else this.overflowed = true
    } else if (frame.seq === this.nextSeq) {
      if (this.deliver(frame)) this.nextSeq++
      else this.hold()
    }
  }

  /** Hands on what was held and goes live; false when some of it is missing and must be read from the log first. */
  release(): boolean {
    if (this.nextSeq <= this.after) return this.restart()
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

  /** Its follower is no member any more, or another one than he was. */
  detach(): void {
    this.attached = false
    this.onLeft(this.conversationId)
  }

  private deliver(frame: Frame): boolean {
    return this.follower.deliver(frame.seenFrom(this.visibleFromSeq))
  }

  private restart(): false {
    this.held = []
    this.overflowed = false
    return false
  }
}
