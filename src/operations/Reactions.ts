import { Emoji } from "../domain/Emoji.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { message } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

const reaction = { ...message, emoji: Emoji }

/** The operations on reactions. */
export const Reactions = feature(
  { reaction: "Reactions to messages" },
  operation("reaction.add", {
    http: "PUT /v1/conversations/:conversationId/messages/:messageId/reactions/:emoji",
    params: reaction,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "React to a message",
    description:
      "`emoji` is any single emoji, percent-encoded in the path. Repeating it changes nothing. 403 when the other user of a direct conversation has blocked me; 409 `too-many-reactions` when the message has 20 different reactions already or the member has given it 10, 409 `message-deleted` when it is deleted."
  }),
  operation("reaction.remove", {
    http: "DELETE /v1/conversations/:conversationId/messages/:messageId/reactions/:emoji",
    params: reaction,
    problems: [InvalidRequest, Forbidden, NotFound, Unavailable],
    summary: "Remove my reaction",
    description:
      "Succeeds also when I have not reacted with that emoji. 403 when the other user of a direct conversation has blocked me."
  })
)
