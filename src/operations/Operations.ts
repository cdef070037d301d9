import { RpcGroup } from "effect/rpc"
import { Account } from "./Account.ts"
import { AccountAdmin } from "./AccountAdmin.ts"
import { AccountExport } from "./AccountExport.ts"
import { Attachments } from "./Attachments.ts"
import { Audit } from "./Audit.ts"
import { Blocks } from "./Blocks.ts"
import { ConversationAdmin } from "./ConversationAdmin.ts"
import { Conversations } from "./Conversations.ts"
import { Drafts } from "./Drafts.ts"
import { EventStream } from "./EventStream.ts"
import { Events } from "./Events.ts"
import { Guests } from "./Guests.ts"
import { Invites } from "./Invites.ts"
import { Members } from "./Members.ts"
import { Messages } from "./Messages.ts"
import { PasswordResets } from "./PasswordResets.ts"
import { Pins } from "./Pins.ts"
import { Polls } from "./Polls.ts"
import { Presence } from "./Presence.ts"
import { Reactions } from "./Reactions.ts"
import { ReadMarkers } from "./ReadMarkers.ts"
import { RegistrationAdmin } from "./RegistrationAdmin.ts"
import { ScheduledMessages } from "./ScheduledMessages.ts"
import { Search } from "./Search.ts"
import { ServerConversations } from "./ServerConversations.ts"
import { ServerUsers } from "./ServerUsers.ts"
import { ServiceTokens } from "./ServiceTokens.ts"
import { Sessions } from "./Sessions.ts"
import { Stars } from "./Stars.ts"
import { Threads } from "./Threads.ts"
import { Typing } from "./Typing.ts"
import { Users } from "./Users.ts"

/** The features of users, each listed here once. RPC, sockets, HTTP and the documents follow from this list. */
const forUsers = [
  Account,
  Sessions,
  Users,
  Blocks,
  Conversations,
  Members,
  Invites,
  Guests,
  Messages,
  Attachments,
  Search,
  Pins,
  Polls,
  Reactions,
  Threads,
  ReadMarkers,
  Typing,
  Events,
  EventStream,
  Drafts,
  Stars,
  ScheduledMessages,
  Presence
] as const

/** The features of operators and their programs, which HTTP and RPC have. Sockets belong to users. */
const forOperators = [
  ServiceTokens,
  Audit,
  AccountAdmin,
  AccountExport,
  PasswordResets,
  ConversationAdmin,
  ServerUsers,
  RegistrationAdmin,
  ServerConversations
] as const

/** All features. */
export const features = [...forUsers, ...forOperators] as const

/** Everything that RPC serves. */
export const AllOperations = RpcGroup.make().merge(...features.map(({ rpcs }) => rpcs))

/**
 * The operations of a signed-in user that have one answer. They are the commands of a WebSocket: their names are the
 * operation ids of the HTTP API, and their data are its bodies plus the parameters of its paths and queries.
 */
export const Operations = RpcGroup.make()
  .merge(...forUsers.map(({ rpcs }) => rpcs))
  .omit("auth.register", "auth.login", "auth.exchange", "auth.refresh", "invite.guest", "events.stream")

/** The operations that only read, and the commands of sockets that do. */
export const reads: ReadonlySet<string> = new Set([
  ...features.flatMap(({ operations }) => operations.flatMap(({ name, reads }) => (reads ? [name] : []))),
  "events.sync",
  "ping",
  "presence.subscribe",
  "presence.unsubscribe"
])
