import { Schema } from "effect"
import { InviteCode, UserId } from "./Ids.ts"
import { Name, Password, Text } from "./Text.ts"
import { Timestamp } from "./Time.ts"
import { Url } from "./Url.ts"

/** What a user is: a person with an account, a program, or somebody without an account who came by an invite. */
export const UserKind = Schema.Literals(["human", "bot", "guest"])
export type UserKind = typeof UserKind.Type

/** The public profile of a user. */
export const User = Schema.Struct({
  id: UserId,
  username: Schema.String,
  displayName: Schema.String,
  avatarUrl: Schema.NullOr(Schema.String),
  createdAt: Timestamp,
  kind: Schema.optionalKey(UserKind).annotate({ description: "Nodes of release 0.1.0 leave it out" })
}).annotate({ identifier: "User" })
export type User = typeof User.Type

/**
 * Who may add a user to groups and open a direct conversation: everybody, or contacts only. A contact is a user with whom
 * the user shares a conversation in which both have written.
 */
export const WhoMayAddMe = Schema.Literals(["everybody", "contacts"])
export type WhoMayAddMe = typeof WhoMayAddMe.Type

/** My own profile, with what nobody else sees: the e-mail address, and who may add me. */
export const Me = Schema.Struct({
  ...User.fields,
  email: Schema.String,
  whoMayAddMe: Schema.optionalKey(WhoMayAddMe)
}).annotate({ identifier: "Me" })
export type Me = typeof Me.Type

/**
 * An e-mail address: one `@`, no white space and at most 254 characters. RFC 5321 allows forms that nobody uses, so this
 * does not check more.
 */
export const Email = Text.check(
  Schema.isMaxLength(254),
  Schema.isPattern(/^[^\s@]+@[^\s@]+$/, { message: "must be an e-mail address" })
)

/** A username. The limits on its length are settings, which Users checks. */
export const Username = Schema.String.check(
  Schema.isMaxLength(1024),
  Schema.isPattern(/^[a-z0-9_.-]+$/, { message: "may have only the characters a-z 0-9 _ . -" })
)

/** The part of an application that a user belongs to: users of different teams do not find each other. It is opaque. */
export const Team = Text.check(Schema.isMinLength(1), Schema.isMaxLength(255))

/** The name of a user that is shown to others. */
export const DisplayName = Name.check(Schema.isMaxLength(100))

/** The users whose profiles I want. */
export const UserIds = Schema.Struct({ userIds: Schema.Array(UserId).check(Schema.isMaxLength(200)) })

/** The profiles that I may see of the requested users. */
export const UserList = Schema.Struct({ items: Schema.Array(User) }).annotate({ identifier: "UserList" })

/** A new account. */
export const Registration = Schema.Struct({
  email: Email,
  username: Username,
  displayName: DisplayName,
  password: Password,
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  inviteCode: Schema.optionalKey(InviteCode).annotate({
    description: "The code of an invite into a group, which the new user joins"
  })
}).annotate({ identifier: "Registration" })
export type Registration = typeof Registration.Type

/** Somebody who joins a group without an account. */
export const NewGuest = Schema.Struct({ displayName: DisplayName }).annotate({ identifier: "NewGuest" })
export type NewGuest = typeof NewGuest.Type

/** The account that a guest becomes. Without `displayName` the guest keeps the name. */
export const GuestClaim = Schema.Struct({
  email: Email,
  username: Username,
  password: Password,
  displayName: Schema.optionalKey(DisplayName)
}).annotate({ identifier: "GuestClaim" })
export type GuestClaim = typeof GuestClaim.Type

/** Deleting an account requires the password again, so that somebody with a lost device cannot do it. Guests have none. */
export const AccountDeletion = Schema.Struct({ password: Schema.optionalKey(Password) }).annotate({
  identifier: "AccountDeletion"
})

/** The fields of my profile to change. */
export const ProfileChange = Schema.Struct({
  displayName: Schema.optionalKey(DisplayName),
  avatarUrl: Schema.optionalKey(Schema.NullOr(Url)),
  whoMayAddMe: Schema.optionalKey(WhoMayAddMe)
}).annotate({ identifier: "ProfileChange" })
export type ProfileChange = typeof ProfileChange.Type

/** The beginning of a username or a display name, in upper or lower case. */
export const UserQuery = Text.check(Schema.isMinLength(1), Schema.isMaxLength(100))
