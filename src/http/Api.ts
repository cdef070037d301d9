import { HttpApi, OpenApi } from "effect/http-api"
import { AuthGroup } from "./AuthApi.ts"
import { BlockGroup } from "./BlockApi.ts"
import { ConversationGroup, ReadGroup, TypingGroup } from "./ConversationApi.ts"
import { DraftGroup } from "./DraftApi.ts"
import { InviteGroup } from "./InviteApi.ts"
import { MemberGroup } from "./MemberApi.ts"
import { EventGroup, MessageGroup } from "./MessageApi.ts"
import { PinGroup, ReactionGroup } from "./MessageChangeApi.ts"
import { Problems } from "./Middleware.ts"
import { toOpenApiDocument } from "./OpenApiDocument.ts"
import { PresenceGroup } from "./PresenceApi.ts"
import { ScheduledMessageGroup } from "./ScheduledMessageApi.ts"
import { SessionGroup } from "./SessionApi.ts"
import { SystemGroup } from "./SystemApi.ts"
import { ThreadGroup } from "./ThreadApi.ts"
import { UserGroup } from "./UserApi.ts"

const description = `A chat backend: users, direct and group conversations, messages.

Errors are problems (RFC 9457, \`application/problem+json\`) with a stable \`type\`; \`requestId\` finds the request in the
service's log and is also in the header \`x-request-id\` of every answer. Lists answer \`{items, nextCursor?}\`. Limits answer
429 with \`Retry-After\`, \`RateLimit\` and \`RateLimit-Policy\`. What does not exist and what is not yours are the same 404.
A path that does not exist answers 404, a method that a path does not have 405 with \`Allow\`, as problems too.
Live events come over the WebSocket at \`/v1/ws\` (see [/docs/events](/docs/events)).`

/** Everything that is served over HTTP as a contract: no handlers, so that clients can import it. */
export class Api extends HttpApi.make("chat")
  .add(
    AuthGroup,
    SessionGroup,
    UserGroup,
    BlockGroup,
    ConversationGroup,
    MemberGroup,
    InviteGroup,
    MessageGroup,
    ReactionGroup,
    PinGroup,
    ThreadGroup,
    ReadGroup,
    TypingGroup,
    EventGroup,
    DraftGroup,
    ScheduledMessageGroup,
    PresenceGroup,
    SystemGroup
  )
  .middleware(Problems)
  .annotate(HttpApi.PayloadParseOptions, { errors: "all" })
  .annotate(HttpApi.QueryParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "chat-service",
      version: "1",
      description,
      transform: toOpenApiDocument,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" }
    })
  ) {}
