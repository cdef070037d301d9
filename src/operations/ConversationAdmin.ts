import { NotFound, Unavailable } from "../domain/Problem.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operation on the conversations of others. */
export const ConversationAdmin = feature(
  {},
  operation("admin.deleteConversation", {
    http: "DELETE /v1/server/admin/conversations/:conversationId",
    params: conversation,
    problems: [NotFound, Unavailable],
    scope: "admin",
    summary: "Delete a conversation",
    description:
      "This cannot be undone. From then on the conversation is a 404 for everybody: its members get `conversation.removed`, its invites and scheduled messages end, and two users can have a new direct conversation. What is stored of it is deleted in the background, from a minute later on. 404 when there is none."
  })
)
