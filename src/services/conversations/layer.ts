import { Layer } from "effect"
import { AccountClosing } from "./AccountClosing.ts"
import { AccountOpening, RegistrationChoice } from "./AccountOpening.ts"
import { Blocks } from "./Blocks.ts"
import { ConversationChanges } from "./ConversationChanges.ts"
import * as Conversations from "./ConversationsSql.ts"
import * as Guests from "./GuestsSql.ts"
import * as Invites from "./InvitesSql.ts"
import * as Members from "./MembersSql.ts"
import * as ReadMarkers from "./ReadMarkersSql.ts"

/** The members of conversations and the changes that they can make, on PostgreSQL and on any `Conversations`. */
export const layerNoDeps = Layer.mergeAll(
  AccountClosing.layer,
  Layer.merge(AccountOpening.layer, Guests.layer).pipe(
    Layer.provideMerge(Layer.merge(Invites.layer, RegistrationChoice.layer))
  ),
  Blocks.layer,
  ConversationChanges.layer,
  ReadMarkers.layer
).pipe(Layer.provideMerge(Members.layer))

/** The job that ends expired guests and memberships. */
export const background = Guests.background

/** The conversations themselves, on PostgreSQL. */
export const layerConversations = Conversations.layer
