import { Option, Schema } from "effect"
import { Event } from "../domain/Event.ts"
import { type ConversationId, UserId } from "../domain/Ids.ts"
import { references, seenFrom } from "../domain/Visibility.ts"
import type { Published } from "../services/bus/Subjects.ts"
import { encodeFrame } from "./TextFrame.ts"

const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))
const decodeLeft = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ data: Schema.Struct({ userId: UserId }) }))
)

/** An event on this node, encoded as a WebSocket frame at most once, when the first socket needs it. */
export class Frame {
  readonly event: string
  readonly conversationId: ConversationId | null
  /** The position in the log; 0 for an ephemeral event. */
  readonly seq: number
  readonly json: string
  private readonly published: Published
  private encoded: Buffer | undefined
  private decoded: Option.Option<Event> | undefined
  private narrowed: Map<number, Frame> | undefined

  constructor(published: Published) {
    this.event = published.event
    this.conversationId = published.conversationId
    this.seq = published.seq ?? 0
    this.json = published.json
    this.published = published
  }

  /** The same bytes for every socket. */
  get bytes(): Buffer {
    this.encoded ??= encodeFrame(this.json)
    return this.encoded
  }

  /** The member who is gone after this event, if it is a `member.left`. */
  get leaver(): UserId | undefined {
    if (this.event !== "member.left") return undefined
    return Option.getOrUndefined(Option.map(decodeLeft(this.json), ({ data }) => data.userId))
  }

  /**
   * The frame for a member who may see events from `visibleFromSeq` on: this frame, unless it reveals something about
   * an earlier message. The reduced frame is shared, and encoded once, by all members from whom the same is hidden.
   */
  seenFrom(visibleFromSeq: number): Frame {
    if (this.published.refersTo === null || visibleFromSeq <= this.published.refersTo) return this
    this.decoded ??= decodeEvent(this.json)
    this.narrowed ??= new Map()
    const event = this.decoded
    const hidden = Option.isNone(event) ? 0 : references(event.value).filter((seq) => seq < visibleFromSeq).length
    const known = this.narrowed.get(hidden)
    if (known !== undefined) return known
    // This release does not know which parts of a later release's event may be shown, so it shows none.
    const { conversationId, event: name, seq } = this
    const json = JSON.stringify(
      Option.isNone(event) ? { event: name, conversationId, seq, data: {} } : seenFrom(event.value, visibleFromSeq)
    )
    const frame = new Frame({ ...this.published, refersTo: null, json })
    this.narrowed.set(hidden, frame)
    return frame
  }
}
