import { Option, Schema } from "effect"
import { Event } from "../domain/Event.ts"
import { type ConversationId, UserId } from "../domain/Ids.ts"
import { references, seenFrom } from "../domain/Visibility.ts"
import type { Published } from "../services/PubSub.ts"
import { encodeFrame } from "./Protocol.ts"

const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(Event))
const decodeLeft = Schema.decodeUnknownOption(
  Schema.fromJsonString(Schema.Struct({ data: Schema.Struct({ userId: UserId }) }))
)

/** An event on this node: encoded as a WebSocket frame once, and only when a socket needs it. */
export class Frame {
  readonly event: string
  readonly conversationId: ConversationId | null
  /** 0 for an ephemeral one. */
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

  /** Whose membership ends with it, if anybody's. */
  get leaver(): UserId | undefined {
    if (this.event !== "member.left") return undefined
    return Option.getOrUndefined(Option.map(decodeLeft(this.json), ({ data }) => data.userId))
  }

  /**
   * What a member is handed who sees from `visibleFromSeq` on: this frame, unless it tells something of an earlier
   * message. What is left of it then is the same, and so encoded once, for all from whom the same is hidden.
   */
  seenFrom(visibleFromSeq: number): Frame {
    if (this.published.refers === null || visibleFromSeq <= this.published.refers) return this
    this.decoded ??= decodeEvent(this.json)
    this.narrowed ??= new Map()
    const event = this.decoded
    const hidden = Option.isNone(event) ? 0 : references(event.value).filter((seq) => seq < visibleFromSeq).length
    const known = this.narrowed.get(hidden)
    if (known !== undefined) return known
    // Of an event of a later release nobody here knows which part may be shown.
    const { conversationId, event: name, seq } = this
    const json = JSON.stringify(
      Option.isNone(event) ? { event: name, conversationId, seq, data: {} } : seenFrom(event.value, visibleFromSeq)
    )
    const frame = new Frame({ ...this.published, refers: null, json })
    this.narrowed.set(hidden, frame)
    return frame
  }
}
