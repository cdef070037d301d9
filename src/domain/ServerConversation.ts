import { Schema } from "effect"
import { Title } from "./Conversation.ts"
import { ExternalKey, UserReferenceText } from "./ExternalId.ts"
import { ConversationId, Seq, UserId } from "./Ids.ts"
import { Timestamp } from "./Time.ts"
import { Url } from "./Url.ts"

/** A group as the application knows it. `seq` is the head of its log. */
export const ServerConversation = Schema.Struct({
  id: ConversationId,
  externalKey: ExternalKey,
  title: Schema.String,
  avatarUrl: Schema.NullOr(Schema.String),
  createdBy: UserId,
  createdAt: Timestamp,
  seq: Seq,
  memberCount: Schema.Int
}).annotate({ identifier: "ServerConversation" })
export type ServerConversation = typeof ServerConversation.Type

/** A group to make or update. What is left out stays as it is; `memberIds` are all its members from then on. */
export const ServerGroup = Schema.Struct({
  title: Title,
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  memberIds: Schema.optionalKey(Schema.Array(UserReferenceText).check(Schema.isMinLength(1))).annotate({
    description: "A new group needs them; the first one becomes its owner"
  })
}).annotate({ identifier: "ServerGroup" })
export type ServerGroup = typeof ServerGroup.Type
