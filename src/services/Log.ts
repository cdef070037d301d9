import { Context, Effect, Layer } from "effect"
import type { Event, EventPage } from "../domain/Event.ts"
import type { ClientMessageId, ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { namesIn } from "../domain/Mentions.ts"
import type { Ack, Message, MessagePage, MessageType } from "../domain/Message.ts"
import type { Payload } from "../domain/Payload.ts"
import type { Conflict, Forbidden, NotFound, Unavailable } from "../domain/Problem.ts"
import { makeMemoryLog } from "./LogMemory.ts"
import { makeLogReader } from "./LogReader.ts"
import { type LogOptions, makeLogWriter } from "./LogWriter.ts"

/** A message on its way into the log. `requestHash` tells a retry from another message under the same id. */
export interface NewEntry {
  readonly id: MessageId
  readonly conversationId: ConversationId
  readonly senderId: UserId
  readonly clientMessageId: ClientMessageId
  readonly requestHash: Uint8Array
  readonly type: MessageType
  readonly body: string
  readonly replyTo: MessageId | null
  /** Null for a plain message. */
  readonly extra: Extra | null
}

/** What a message may have beyond its text. `names`: those in it that may be of members, as `namesIn` gives them. */
export interface Extra {
  readonly threadRoot?: MessageId
  readonly names?: ReturnType<typeof namesIn>
  readonly payload?: Payload
}

/** `message` is null for a duplicate: the original may have changed since, so it must be read. */
export interface Appended {
  readonly ack: Ack
  readonly message: Message | null
}

/** Where in the history: the newest page when none is given. `around` has the message of that seq in its middle. */
export type Place =
  | { readonly before: number }
  | { readonly after: number }
  | { readonly around: number }
  | { readonly newest: true }

/**
 * The append-only log of each conversation: `seq` 1, 2, 3, … gapless. What it acknowledges is committed; what it
 * commits it publishes on the conversation's subject, in order.
 */
export class Log extends Context.Service<
  Log,
  {
    /**
     * Appends a message under the next `seq`, once for ever per (conversation, sender, clientMessageId): the same again
     * answers with the original, another request under that id is a `Conflict` ("message-id-reused"). `NotFound` when
     * the sender is not a member, or the reply target or thread root is not a message that he may see, `Forbidden` when
     * the other one of a DM has blocked him.
     */
    readonly append: (entry: NewEntry) => Effect.Effect<Appended, NotFound | Forbidden | Conflict | Unavailable>
    /** What `append` would answer for an id that is known already; null for one that is not. */
    readonly known: (
      entry: Pick<NewEntry, "conversationId" | "senderId" | "clientMessageId" | "requestHash">
    ) => Effect.Effect<Appended | null, NotFound | Conflict | Unavailable>
    /** The member's view of the log after a cursor, oldest first, and from where on he may see it at all. */
    readonly events: (query: {
      readonly conversationId: ConversationId
      readonly userId: UserId
      readonly after: number
      readonly limit: number
    }) => Effect.Effect<EventPage & { readonly visibleFromSeq: number }, NotFound | Unavailable>
    /** The log itself from `after + 1` to `through`, for a node that repairs a hole; no member's view. */
    readonly range: (
      conversationId: ConversationId,
      after: number,
      through: number
    ) => Effect.Effect<ReadonlyArray<Event>, Unavailable>
    /** The last `seq` of each conversation that exists. */
    readonly heads: (
      conversationIds: ReadonlyArray<ConversationId>
    ) => Effect.Effect<ReadonlyMap<ConversationId, number>, Unavailable>
    /** A page of the history that the member may see, in ascending `seq`; without replies, with all, or of one thread. */
    readonly messages: (query: {
      readonly conversationId: ConversationId
      readonly userId: UserId
      readonly place: Place
      readonly limit: number
      readonly replies?: "all" | { readonly to: number } | undefined
    }) => Effect.Effect<MessagePage, NotFound | Unavailable>
    readonly message: (
      conversationId: ConversationId,
      userId: UserId,
      messageId: MessageId
    ) => Effect.Effect<Message, NotFound | Unavailable>
  }
>()("chat/services/Log") {
  static readonly layerWith = (options: LogOptions) =>
    Layer.effect(
      Log,
      Effect.gen(function* () {
        const reader = yield* makeLogReader
        const writer = yield* makeLogWriter(reader, options)
        return Log.of({ ...reader, ...writer })
      })
    )

  /** On PostgreSQL. */
  static readonly layer = Log.layerWith({})

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(Log, Effect.map(makeMemoryLog, Log.of))
}
