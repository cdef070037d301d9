import { Schema } from "effect"
import { Timestamp, UserId } from "./Ids.ts"
import { Password, Text, Url } from "./Text.ts"

/** What everybody may know of a user. */
export const User = Schema.Struct({
  id: UserId,
  username: Schema.String,
  displayName: Schema.String,
  avatarUrl: Schema.NullOr(Schema.String),
  createdAt: Timestamp
}).annotate({ identifier: "User" })
export type User = typeof User.Type

/** My own profile: also the e-mail address, which nobody else ever sees. */
export const Me = Schema.Struct({ ...User.fields, email: Schema.String }).annotate({ identifier: "Me" })
export type Me = typeof Me.Type

/** RFC 5321 allows more than anyone uses; one `@`, no white space and 254 characters are enough to be an address. */
export const Email = Text.check(
  Schema.isMaxLength(254),
  Schema.isPattern(/^[^\s@]+@[^\s@]+$/, { message: "must be an e-mail address" })
)

/** The limits on length are settings and checked by Users. */
export const Username = Schema.String.check(
  Schema.isMaxLength(1024),
  Schema.isPattern(/^[a-z0-9_.-]+$/, { message: "may have only the characters a-z 0-9 _ . -" })
)

export const DisplayName = Text.check(
  Schema.isMaxLength(100),
  Schema.isPattern(/\S/u, { message: "must not be empty" })
)

export const Registration = Schema.Struct({
  email: Email,
  username: Username,
  displayName: DisplayName,
  password: Password,
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url))
}).annotate({ identifier: "Registration" })
export type Registration = typeof Registration.Type

/** Asked for again, so that a lost device cannot do it. */
export const AccountDeletion = Schema.Struct({ password: Password }).annotate({ identifier: "AccountDeletion" })

export const ProfileChange = Schema.Struct({
  displayName: Schema.optionalKey(DisplayName),
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url))
}).annotate({ identifier: "ProfileChange" })
export type ProfileChange = typeof ProfileChange.Type

/** How a username or a display name begins, in any case. */
export const UserQuery = Text.check(Schema.isMinLength(1), Schema.isMaxLength(100))
