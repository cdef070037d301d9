import { Schema } from "effect"
import { HttpApiSchema } from "effect/http-api"
import {
  Conversation,
  ConversationChange,
  IdempotencyKey,
  Membership,
  NewConversation,
  NewDirect,
  NewGroup,
  SettingsChange
} from "../domain/Conversation.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on conversations themselves. */
export const Conversations = feature(
  { conversation: "Direct and group conversations" },
  operation("conversation.create", {
    http: "POST /v1/conversations",
    payload: Schema.Union([
      NewDirect,
      Schema.Struct({ ...NewGroup.fields, idempotencyKey: Schema.optionalKey(IdempotencyKey) })
    ]),
    success: Conversation,
    // Only the creation of a group takes a key. Only the status says whether the conversation is new.
    overHttp: {
      headers: {
        "idempotency-key": Schema.optionalKey(IdempotencyKey).annotate({
          description: "Makes the creation of a group safe to retry for 24 hours"
        })
      },
      payload: NewConversation,
      success: [Conversation.pipe(HttpApiSchema.status(201)), Conversation.pipe(HttpApiSchema.status(200))]
    },
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, RateLimited, Unavailable],
    summary: "Start a conversation",
    description:
      "Two users have exactly one direct conversation: 200 with it when it exists, 201 when it is new; the one with myself holds my notes. A group is new each time (201), but only once per `Idempotency-Key`. 403 when one of the group's members has blocked me, or the other user of a direct conversation that I do not see yet. A direct conversation shows only to who has opened it until its first message: the other user can get it by its id, but it is in no list of that user. New conversations are limited per minute, and first contacts per day: users with whom I share no conversation yet (429)."
  }),
  operation("conversation.list", {
    http: "GET /v1/conversations",
    query: pageFields,
    success: Page(Conversation),
    problems: [InvalidRequest, RateLimited, Unavailable],
    summary: "List my conversations",
    description: "Lists the conversations with the latest activity first."
  }),
  operation("conversation.get", {
    http: "GET /v1/conversations/:conversationId",
    params: conversation,
    success: Conversation,
    problems: [NotFound, Unavailable],
    summary: "Get a conversation",
    description: "404 also for a conversation that I am not a member of."
  }),
  operation("conversation.update", {
    http: "PATCH /v1/conversations/:conversationId",
    params: conversation,
    payload: ConversationChange,
    success: Conversation,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Change a group",
    description:
      "Changes the fields that are given; `avatarUrl: null` removes the picture. Owners and admins may do this (403 for others), but only owners may change `historyForNewMembers` and `messageLifetimeSeconds`. `historyForNewMembers` changes nothing for present members. All members get `conversation.updated` with what has changed. With `messageLifetimeSeconds` (5 seconds to a year, null for no limit) every message that is sent from then on is deleted after that time, as if its sender had deleted it. In a direct conversation both users may set the lifetime, except one whom the other has blocked (403), and 409 `not-a-group` is the answer to every other field."
  }),
  operation("conversation.removeAvatar", {
    http: "DELETE /v1/conversations/:conversationId/avatar",
    params: conversation,
    problems: [InvalidRequest, Forbidden, NotFound, Conflict, Unavailable],
    summary: "Remove the picture of a group",
    description:
      "The same as `avatarUrl: null` in a change of the group. An uploaded picture is deleted within minutes. Owners and admins may do this."
  }),
  operation("conversation.settings", {
    http: "PATCH /v1/conversations/:conversationId/settings",
    params: conversation,
    payload: SettingsChange,
    success: Membership,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Change my settings of a conversation",
    description:
      "The settings are mine alone and hold on all my devices, which get `conversation.settings`. `mutedUntil: null` ends the muting. Returns my whole side of the conversation."
  })
)
