import { Schema } from "effect"
import { ConversationId, MessageId, Seq } from "./Ids.ts"
import { VisibleText } from "./Text.ts"
import { Timestamp } from "./Time.ts"

/** A draft to store. Its body may be as long as that of a message, which is a setting that Drafts checks. */
export const NewDraft = Schema.Struct({
  body: VisibleText,
  replyTo: Schema.optionalKey(Schema.NullOr(MessageId)),
  ifUserSeq: Schema.optionalKey(Seq).annotate({
    description: "Store it only if the stored draft has not changed after this user seq"
  })
}).annotate({ identifier: "NewDraft" })
export type NewDraft = typeof NewDraft.Type

/**
 * My draft in a conversation; each conversation has at most one. `replyTo` is stored as it was sent, unchecked. `userSeq`
 * is that of its last change.
 */
export const Draft = Schema.Struct({
  conversationId: ConversationId,
  body: Schema.String,
  replyTo: Schema.NullOr(MessageId),
  updatedAt: Timestamp,
  userSeq: Seq
}).annotate({ identifier: "Draft" })
export type Draft = typeof Draft.Type

/** The current draft of a conversation, null if it was cleared, and the user seq of that change. */
export const DraftChange = Schema.Struct({
  conversationId: ConversationId,
  draft: Schema.NullOr(Draft),
  userSeq: Seq
}).annotate({
  identifier: "DraftChange"
})
export type DraftChange = typeof DraftChange.Type
