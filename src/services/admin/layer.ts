import { Layer } from "effect"
import * as AccountAdmin from "./AccountAdminSql.ts"
import * as AccountExport from "./AccountExportSql.ts"
import { Audit } from "./Audit.ts"
import { ConversationAdmin } from "./ConversationAdmin.ts"
import * as PasswordResets from "./PasswordResetsSql.ts"
import * as Principals from "./PrincipalsSql.ts"
import { RegistrationAdmin } from "./RegistrationAdmin.ts"
import * as ServerConversations from "./ServerConversationsSql.ts"
import * as ServerUsers from "./ServerUsersSql.ts"
import * as ServiceTokens from "./ServiceTokensSql.ts"

/** The services for operators and their programs, on PostgreSQL. */
export const layer = Layer.mergeAll(
  AccountExport.layer,
  ConversationAdmin.layer,
  PasswordResets.layer,
  ServerConversations.layer,
  Layer.merge(Principals.layer, ServerUsers.layer).pipe(
    Layer.provideMerge(Layer.mergeAll(ServiceTokens.layer, AccountAdmin.layer, Audit.layer))
  ),
  RegistrationAdmin.layer
)
