import { Layer } from "effect"
import * as AccountAdmin from "./AccountAdminHandlers.ts"
import * as AccountExport from "./AccountExportHandlers.ts"
import * as Account from "./AccountHandlers.ts"
import * as Attachments from "./AttachmentsHandlers.ts"
import * as Audit from "./AuditHandlers.ts"
import * as Blocks from "./BlocksHandlers.ts"
import * as ConversationAdmin from "./ConversationAdminHandlers.ts"
import * as Conversations from "./ConversationsHandlers.ts"
import * as Drafts from "./DraftsHandlers.ts"
import * as Events from "./EventsHandlers.ts"
import * as Guests from "./GuestsHandlers.ts"
import * as Invites from "./InvitesHandlers.ts"
import * as Members from "./MembersHandlers.ts"
import * as Messages from "./MessagesHandlers.ts"
import * as PasswordResets from "./PasswordResetsHandlers.ts"
import * as Pins from "./PinsHandlers.ts"
import * as Polls from "./PollsHandlers.ts"
import * as Presence from "./PresenceHandlers.ts"
import * as Reactions from "./ReactionsHandlers.ts"
import * as ReadMarkers from "./ReadMarkersHandlers.ts"
import * as RegistrationAdmin from "./RegistrationAdminHandlers.ts"
import * as ScheduledMessages from "./ScheduledMessagesHandlers.ts"
import * as Search from "./SearchHandlers.ts"
import * as ServerConversations from "./ServerConversationsHandlers.ts"
import * as ServerUsers from "./ServerUsersHandlers.ts"
import * as ServiceTokens from "./ServiceTokensHandlers.ts"
import * as Sessions from "./SessionsHandlers.ts"
import * as Stars from "./StarsHandlers.ts"
import * as Threads from "./ThreadsHandlers.ts"
import * as Typing from "./TypingHandlers.ts"
import * as Users from "./UsersHandlers.ts"

/**
 * Serves every operation with one answer, for all transports. The stream of events is made in `rpc` and `http`, because
 * it needs what carries events to connections.
 */
export const layer = Layer.mergeAll(
  Account.layer,
  Sessions.layer,
  Users.layer,
  Blocks.layer,
  Conversations.layer,
  Members.layer,
  Guests.layer,
  Invites.layer,
  Messages.layer,
  Attachments.layer,
  Search.layer,
  Pins.layer,
  Polls.layer,
  Reactions.layer,
  Threads.layer,
  ReadMarkers.layer,
  Typing.layer,
  Events.layer,
  Drafts.layer,
  Stars.layer,
  ScheduledMessages.layer,
  Presence.layer,
  ServiceTokens.layer,
  Audit.layer,
  AccountAdmin.layer,
  AccountExport.layer,
  PasswordResets.layer,
  ConversationAdmin.layer,
  ServerUsers.layer,
  RegistrationAdmin.layer,
  ServerConversations.layer
)
