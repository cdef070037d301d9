import { t } from "@lingui/core/macro"
// The words are read once, so their language must be there before.
import "./language.ts"

/** The words for what did not work, as `text` has the others. */
export const failureText = {
  failed: t`That did not work. Try again.`,
  noConnection: t`There is no connection to the service.`,
  noRights: t`You may not do this.`,
  notThere: t`This no longer exists, or you may not see it.`,
  tooFast: t`That was too fast. Wait a moment and try again.`,
  emailTaken: t`There is an account with this e-mail already.`,
  usernameTaken: t`This username is taken.`,
  registrationClosed: t`New accounts cannot be created here.`,
  inviteRequired: t`A new account needs an invite code.`,
  accountDisabled: t`This account is disabled.`,
  passwordsDisabled: t`Passwords are not used here.`,
  groupFull: t`The group has as many members as it may have.`,
  lastOwner: t`A group needs an owner. Make somebody else one first.`,
  alreadySending: t`The message is being sent already.`,
  messageGone: t`The message was deleted.`,
  tooManyEdits: t`This message was edited as often as it may be.`,
  tooManyReactions: t`This message has as many different reactions as it may have.`,
  tooManyScheduled: t`You have as many scheduled messages as you may have.`,
  storageFull: t`There is no room for more files.`,
  contactsOnly: t`This person can only be added by people they have talked to.`,
  guestMayNot: t`Guests may not do this.`,
  guestsDisabled: t`There are no guests here. Create an account to join.`,
  hasAccount: t`You have an account already.`,
  notProvisioned: t`There is no account for you here yet.`,
  unavailable: t`The service cannot do this at the moment. Try again later.`,
  usernameInvalid: t`The username is too short or too long, or has characters that it may not have.`,
  emailInvalid: t`This is not an e-mail address.`,
  passwordInvalid: t`Choose a password that is longer or harder to guess.`,
  nameInvalid: t`A name has 1 to 100 characters.`,
  inviteInvalid: t`This is not an invite code.`,
  titleInvalid: t`The name of the group is empty or too long.`,
  tooManyPeople: t`These are too many people.`,
  bodyInvalid: t`The message is empty or too long.`,
  timeInvalid: t`Choose a time in the future, within a year.`,
  fileInvalid: t`The file is empty or damaged, or is not allowed here.`,
  queryInvalid: t`Enter a word to search for.`
}
