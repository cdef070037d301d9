import { AccountRpcs, SessionRpcs } from "./AuthRpcs.ts"
import { ConversationRpcs } from "./ConversationRpcs.ts"
import { DraftRpcs } from "./DraftRpcs.ts"
import { EventRpcs } from "./EventRpcs.ts"
import { GroupRpcs } from "./GroupRpcs.ts"
import { MessageChangeRpcs, ReactionRpcs } from "./MessageChangeRpcs.ts"
import { MessageRpcs } from "./MessageRpcs.ts"
import { PresenceRpcs } from "./PresenceRpcs.ts"
import { ScheduledMessageRpcs } from "./ScheduledMessageRpcs.ts"
import { PollRpcs, ThreadRpcs } from "./ThreadRpcs.ts"
import { UserRpcs } from "./UserRpcs.ts"

/**
 * What a signed-in user can ask for, each operation declared once: RPC serves them, and the commands of a WebSocket are
 * the same ones. Their names are the operation ids of the HTTP API, their data its bodies plus the ids of its paths.
 */
export const Operations = SessionRpcs.merge(
  UserRpcs,
  ConversationRpcs,
  GroupRpcs,
  MessageRpcs,
  MessageChangeRpcs,
  ReactionRpcs,
  ThreadRpcs,
  PollRpcs,
  DraftRpcs,
  ScheduledMessageRpcs,
  PresenceRpcs
)

/** Everything that RPC serves: also what starts a session, and the stream of events. */
export const AllOperations = AccountRpcs.merge(Operations, EventRpcs)
