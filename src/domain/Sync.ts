import { Schema } from "effect"
import { Conversation, Membership } from "./Conversation.ts"
import { DraftChange } from "./Draft.ts"
import { ConversationId, Seq } from "./Ids.ts"

/** What a client has: the last `seq` of each conversation, and of its user's own state. */
export const SyncRequest = Schema.Struct({
  cursors: Schema.Record(Schema.String, Seq),
  userSeq: Schema.optionalKey(Seq)
}).annotate({ identifier: "SyncRequest" })
export type SyncRequest = typeof SyncRequest.Type

/**
 * What it lacks: conversations that are new to it, ids of those it is no longer in, those whose log has gone on (`seq`
 * is the head: fetch the events after the cursor), and my changed state in others. Without a `userSeq` in the request `settings` and `drafts` are empty.
 */
export const Synced = Schema.Struct({
  userSeq: Seq,
  added: Schema.Array(Conversation),
  removed: Schema.Array(Schema.String),
  behind: Schema.Array(Schema.Struct({ conversationId: ConversationId, seq: Seq })),
  drafts: Schema.Array(DraftChange),
  settings: Schema.Array(Schema.Struct({ conversationId: ConversationId, me: Membership }))
}).annotate({ identifier: "Synced" })
export type Synced = typeof Synced.Type
