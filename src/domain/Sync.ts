import { Schema } from "effect"
import { Conversation, Membership } from "./Conversation.ts"
import { DraftChange } from "./Draft.ts"
import { ConversationId, Cursors, MessageId, Seq } from "./Ids.ts"

/**
 * What a client already has: the last `seq` of each conversation by its id, and the last `userSeq` of its user's own
 * state. `cursor` is the `nextCursor` of the answer before, if that had `more`.
 */
export const SyncRequest = Schema.Struct({
  cursors: Cursors,
  userSeq: Schema.optionalKey(Seq),
  cursor: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "SyncRequest" })
export type SyncRequest = typeof SyncRequest.Type

/** Whether the user has saved a message, after a change of that. */
export const StarChange = Schema.Struct({
  conversationId: ConversationId,
  messageId: MessageId,
  messageSeq: Seq,
  starred: Schema.Boolean
}).annotate({ identifier: "StarChange" })
export type StarChange = typeof StarChange.Type

/** A message that the user has hidden for themselves. */
export const HiddenChange = Schema.Struct({
  conversationId: ConversationId,
  messageId: MessageId,
  messageSeq: Seq
}).annotate({ identifier: "HiddenChange" })
export type HiddenChange = typeof HiddenChange.Type

/**
 * What a client is missing. `added` are conversations that it does not have, and `removed` are the ids of conversations
 * that the user is no longer a member of. `behind` are those with newer events: `seq` is the head of the log, and the
 * client fetches the events after its cursor. `settings`, `drafts`, `stars` and `hidden` are the user's own changed state;
 * they are empty if the request has no `userSeq`. With `more`, these are not all: the client asks again, with the cursors
 * of what it was told (as many as a request can have), this `userSeq` and `nextCursor`, and gets `behind` with the last
 * part.
 */
export const Synced = Schema.Struct({
  userSeq: Seq,
  added: Schema.Array(Conversation),
  removed: Schema.Array(Schema.String),
  behind: Schema.Array(Schema.Struct({ conversationId: ConversationId, seq: Seq })),
  drafts: Schema.Array(DraftChange),
  stars: Schema.Array(StarChange),
  hidden: Schema.Array(HiddenChange),
  settings: Schema.Array(Schema.Struct({ conversationId: ConversationId, me: Membership })),
  more: Schema.optionalKey(Schema.Boolean),
  nextCursor: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Synced" })
export type Synced = typeof Synced.Type
