import { Layer } from "effect"
import * as Auth from "./AuthHandlers.ts"
import * as Conversation from "./ConversationHandlers.ts"
import * as Draft from "./DraftHandlers.ts"
import * as Group from "./GroupHandlers.ts"
import * as MessageChange from "./MessageChangeHandlers.ts"
import * as Message from "./MessageHandlers.ts"
import * as Presence from "./PresenceHandlers.ts"
import * as Scheduled from "./ScheduledMessageHandlers.ts"
import * as Thread from "./ThreadHandlers.ts"
import * as User from "./UserHandlers.ts"

/** What each operation does. The stream of events needs what carries events to sockets, and is made beside that. */
export const layer = Layer.mergeAll(
  Auth.layer,
  User.layer,
  Conversation.layer,
  Group.layer,
  Message.layer,
  MessageChange.layer,
  Thread.layer,
  Draft.layer,
  Scheduled.layer,
  Presence.layer
)
