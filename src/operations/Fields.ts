import { ConversationId, MessageId } from "../domain/Ids.ts"

/** Names a conversation, in a path or in a payload. */
export const conversation = { conversationId: ConversationId }

/** Names a message of a conversation, in a path or in a payload. */
export const message = { ...conversation, messageId: MessageId }
