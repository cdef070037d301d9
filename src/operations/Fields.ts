import { Schema } from "effect"
import { ConversationId, MessageId } from "../domain/Ids.ts"

/** Names a conversation, in a path or in a payload. */
export const conversation = { conversationId: ConversationId }

/** Names a message of a conversation, in a path or in a payload. */
export const message = { ...conversation, messageId: MessageId }

/** Ids of users in a query, which has lists of texts: clients write a list in two ways. */
export const userIdsInQuery = Schema.Union([Schema.String, Schema.Array(Schema.String)]).annotate({
  description: "Ids of users, separated by commas or given one by one"
})
