import { ConversationId, MessageId } from "../domain/Ids.ts"

/** The ids in the paths of a conversation and of a message in it. */
export const conversationParams = { id: ConversationId }
export const messageParams = { ...conversationParams, messageId: MessageId }
