import { Layer } from "effect"
import type { AccountAdmin } from "../../src/services/admin/AccountAdmin.ts"
import type { AccountExport } from "../../src/services/admin/AccountExport.ts"
import type { Audit } from "../../src/services/admin/Audit.ts"
import type { ConversationAdmin } from "../../src/services/admin/ConversationAdmin.ts"
import * as AdminSql from "../../src/services/admin/layer.ts"
import type { PasswordResets } from "../../src/services/admin/PasswordResets.ts"
import type { Principals } from "../../src/services/admin/Principals.ts"
import type { RegistrationAdmin } from "../../src/services/admin/RegistrationAdmin.ts"
import type { ServerConversations } from "../../src/services/admin/ServerConversations.ts"
import type { ServerUsers } from "../../src/services/admin/ServerUsers.ts"
import type { ServiceTokens } from "../../src/services/admin/ServiceTokens.ts"
import { AccountOpening, RegistrationChoice } from "../../src/services/conversations/AccountOpening.ts"
import type { Guests } from "../../src/services/conversations/Guests.ts"
import * as GuestsSql from "../../src/services/conversations/GuestsSql.ts"
import type { Drafts } from "../../src/services/messages/Drafts.ts"
import * as DraftsSql from "../../src/services/messages/DraftsSql.ts"
import type { ScheduledMessages } from "../../src/services/messages/ScheduledMessages.ts"
import * as ScheduledMessagesSql from "../../src/services/messages/ScheduledMessagesSql.ts"
import * as DraftsMemory from "../../src/testing/memory/Drafts.ts"
import * as GuestsMemory from "../../src/testing/memory/Guests.ts"
import { layerAdmin } from "../../src/testing/memory/layer.ts"
import { layerChoice } from "../../src/testing/memory/RegistrationAdmin.ts"
import * as ScheduledMessagesMemory from "../../src/testing/memory/ScheduledMessages.ts"
import { type Chat, chat } from "./Chat.ts"
import { Time } from "./Time.ts"

/** The services for operators and users, except for the database. */
export const operators = {
  fake: Layer.mergeAll(layerAdmin, AccountOpening.layer, GuestsMemory.layerMemory).pipe(
    Layer.provideMerge(layerChoice),
    Layer.provideMerge(Layer.mergeAll(DraftsMemory.layerMemory, ScheduledMessagesMemory.layerMemory, Time.layerMemory)),
    Layer.provideMerge(chat.fake)
  ),
  sql: Layer.mergeAll(AdminSql.layer, AccountOpening.layer, GuestsSql.layer).pipe(
    Layer.provideMerge(RegistrationChoice.layer),
    Layer.provideMerge(Layer.mergeAll(DraftsSql.layer, ScheduledMessagesSql.layer, Time.layer)),
    Layer.provideMerge(chat.sql)
  )
}

/** The services that `operators` provides. */
export type Operators =
  | AccountOpening
  | Guests
  | AccountExport
  | Drafts
  | AccountAdmin
  | Audit
  | ConversationAdmin
  | PasswordResets
  | Principals
  | ServerConversations
  | ServerUsers
  | RegistrationAdmin
  | ServiceTokens
  | ScheduledMessages
  | Time
  | Chat
