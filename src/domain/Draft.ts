import { Schema } from "effect"
import { ConversationId, MessageId, Timestamp } from "./Ids.ts"
import { Text } from "./Text.ts"

/** What I have begun to write. The limit on the body's length is that of a message and checked by Drafts. */
export const NewDraft = Schema.Struct({
  body: Text.check(Schema.isPattern(/\S/u, { message: "must not be empty: clear the draft instead" })),
  replyTo: Schema.optionalKey(Schema.NullOr(MessageId))
}).annotate({ identifier: "NewDraft" })
export type NewDraft = typeof NewDraft.Type

/** My draft in a conversation, there is one in each. `replyTo` is as it was given. */
export const Draft = Schema.Struct({
  conversationId: ConversationId,
  body: Schema.String,
  replyTo: Schema.NullOr(MessageId),
  updatedAt: Timestamp
}).annotate({ identifier: "Draft" })
export type Draft = typeof Draft.Type

/** A draft as it is now; null when it was cleared. */
export const DraftChange = Schema.Struct({ conversationId: ConversationId, draft: Schema.NullOr(Draft) }).annotate({
  identifier: "DraftChange"
})
export type DraftChange = typeof DraftChange.Type
