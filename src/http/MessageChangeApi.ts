import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Emoji } from "../domain/Emoji.ts"
import { Forward, Message, MessageEdit, Revision } from "../domain/Message.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { sentBefore, sentNow } from "./MessageSent.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { conversationParams, messageParams } from "./Params.ts"

const path = "/v1/conversations/:id/messages/:messageId"

export const edit = HttpApiEndpoint.patch("edit", path, {
  params: messageParams,
  payload: MessageEdit,
  success: Message,
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Edit a message",
      description:
        "Gives my message another body; what it said before stays readable as a revision, and whom it mentions is found anew. The same body again changes nothing. 403 for others' messages and after `limits.edit_window`, 409 `message-deleted` when it is gone."
    })
  )

export const remove = HttpApiEndpoint.delete("delete", path, {
  params: messageParams,
  query: { for: Schema.optionalKey(Schema.Literal("me")).annotate({ description: "Hide it for me alone" }) },
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, Forbidden, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Delete a message",
    description:
      "For everybody: it keeps its place without its body, revisions, excerpts, reactions and pin. My own; in a group an owner anybody's, an admin those of members; else 403. With `for=me` any message that I see, and it is only left out of my history, search, last message and unread count. Doing it again succeeds."
  })
)

export const revisions = HttpApiEndpoint.get("revisions", `${path}/revisions`, {
  params: messageParams,
  query: pageFields,
  success: Page(Revision),
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "What a message has said",
    description: "Every body that it had and from when on, the present one first. None when it is deleted."
  })
)

export const forward = HttpApiEndpoint.post("forward", `${path}/forward`, {
  params: messageParams,
  payload: Forward,
  success: [sentNow, sentBefore],
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Forward a message",
      description:
        "Sends a copy as my own to a conversation that I am a member of, as sending does: a retry with the same `clientMessageId` gives back the copy, whatever has become of the original. 409 `message-deleted` when it is gone."
    })
  )

export const pin = HttpApiEndpoint.put("pin", `${path}/pin`, {
  params: messageParams,
  success: HttpApiSchema.NoContent,
  error: [Forbidden, NotFound, Conflict, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Pin a message",
    description:
      "Both may in a direct conversation, owners and admins in a group; else 403. Again it changes nothing. 409 `message-deleted` when it is gone."
  })
)

export const unpin = HttpApiEndpoint.delete("unpin", `${path}/pin`, {
  params: messageParams,
  success: HttpApiSchema.NoContent,
  error: [Forbidden, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({ summary: "Unpin a message", description: "By those who may pin. Again it changes nothing." })
)

const pins = HttpApiEndpoint.get("list", "/v1/conversations/:id/pins", {
  params: conversationParams,
  query: pageFields,
  success: Page(Message),
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Pinned messages",
    description: "Those that I may see, the latest message first."
  })
)

export class PinGroup extends HttpApiGroup.make("pin")
  .add(pins)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Pinned messages of a conversation" })) {}

const reactionParams = { ...messageParams, emoji: Emoji }

const add = HttpApiEndpoint.put("add", `${path}/reactions/:emoji`, {
  params: reactionParams,
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "React to a message",
    description:
      "Any one emoji, percent-encoded. Again it changes nothing. 403 in a DM whose other one has blocked me; 409 `too-many-reactions` when the message has 20 different ones already, 409 `message-deleted` when it is gone."
  })
)

const take = HttpApiEndpoint.delete("remove", `${path}/reactions/:emoji`, {
  params: reactionParams,
  success: HttpApiSchema.NoContent,
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "Take back my reaction",
    description: "Succeeds also when I have not reacted with it."
  })
)

export class ReactionGroup extends HttpApiGroup.make("reaction")
  .add(add, take)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Reactions to messages" })) {}
