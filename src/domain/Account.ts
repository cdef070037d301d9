import { Schema } from "effect"
import { Password } from "./Text.ts"
import { Timestamp } from "./Time.ts"
import { Me } from "./User.ts"

/** An account as operators see it. `disabledAt` is null unless it is disabled, and `team` for a user of no team. */
export const Account = Schema.Struct({
  ...Me.fields,
  disabledAt: Schema.NullOr(Timestamp),
  team: Schema.NullOr(Schema.String)
}).annotate({
  identifier: "Account"
})
export type Account = typeof Account.Type

/** The filter of a list of accounts. */
export const AccountFilter = Schema.Struct({
  query: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(254))).annotate({
    description: "How the username begins, in any case, or the whole e-mail address"
  }),
  status: Schema.optionalKey(Schema.Literals(["active", "disabled"]))
})
export type AccountFilter = typeof AccountFilter.Type

/** What becomes of the messages of a user who is deleted. They stay when it is left out. */
export const MessagesOfDeleted = Schema.Literals(["keep", "erase"]).annotate({
  description: "Whether what the user has written stays, under a deleted user, or is erased in the background"
})
export type MessagesOfDeleted = typeof MessagesOfDeleted.Type

/** Who may make an account: everybody, whoever has an invite into a group, or nobody. */
export const RegistrationMode = Schema.Literals(["open", "invite", "closed"])
export type RegistrationMode = typeof RegistrationMode.Type

/** Who may make an account now, and whether an operator has chosen that in place of the setting `auth.registration`. */
export const RegistrationState = Schema.Struct({ mode: RegistrationMode, chosen: Schema.Boolean }).annotate({
  identifier: "RegistrationState"
})
export type RegistrationState = typeof RegistrationState.Type

/** Who may make an account from now on; null for what the setting says. */
export const RegistrationChange = Schema.Struct({ mode: Schema.NullOr(RegistrationMode) }).annotate({
  identifier: "RegistrationChange"
})

/** The password that an operator gives an account. */
export const NewPassword = Schema.Struct({ password: Password }).annotate({ identifier: "NewPassword" })

/** The token with which a user can set a new password, once. `url` is null without the setting `auth.reset_url`. */
export const PasswordReset = Schema.Struct({
  token: Schema.String,
  url: Schema.NullOr(Schema.String),
  expiresAt: Timestamp
}).annotate({ identifier: "PasswordReset" })
export type PasswordReset = typeof PasswordReset.Type
