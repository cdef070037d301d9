import { failureText } from "./failureText.ts"
import { text } from "./text.ts"

const field = (error: unknown, name: string): unknown =>
  typeof error === "object" && error !== null ? Reflect.get(error, name) : undefined

/** Whether an error is a problem of this kind. */
export const isTagged = (error: unknown, tag: string): boolean => field(error, "_tag") === tag

const byCode: Readonly<Record<string, string>> = {
  "email-taken": failureText.emailTaken,
  "username-taken": failureText.usernameTaken,
  "registration-closed": failureText.registrationClosed,
  "invite-required": failureText.inviteRequired,
  "account-disabled": failureText.accountDisabled,
  "passwords-disabled": failureText.passwordsDisabled,
  "group-full": failureText.groupFull,
  "last-owner": failureText.lastOwner,
  "already-sending": failureText.alreadySending,
  "message-deleted": failureText.messageGone,
  "poll-closed": text.pollClosed,
  "too-many-edits": failureText.tooManyEdits,
  "too-many-reactions": failureText.tooManyReactions,
  "too-many-scheduled": failureText.tooManyScheduled,
  "storage-full": failureText.storageFull,
  "contacts-only": failureText.contactsOnly,
  guest: failureText.guestMayNot,
  "guests-disabled": failureText.guestsDisabled,
  "not-a-guest": failureText.hasAccount,
  "not-provisioned": failureText.notProvisioned
}

const byTag: Readonly<Record<string, string>> = {
  ConnectionLost: failureText.noConnection,
  Forbidden: failureText.noRights,
  NotFound: failureText.notThere,
  RateLimited: failureText.tooFast,
  TooLarge: text.fileTooLarge,
  Internal: failureText.unavailable,
  Unavailable: failureText.unavailable
}

/** What may be wrong with the fields that people fill in, where the service gives no code for the reason. */
const byField: Readonly<Record<string, string>> = {
  username: failureText.usernameInvalid,
  email: failureText.emailInvalid,
  password: failureText.passwordInvalid,
  newPassword: failureText.passwordInvalid,
  displayName: failureText.nameInvalid,
  inviteCode: failureText.inviteInvalid,
  code: failureText.inviteInvalid,
  title: failureText.titleInvalid,
  memberIds: failureText.tooManyPeople,
  userIds: failureText.tooManyPeople,
  body: failureText.bodyInvalid,
  sendAt: failureText.timeInvalid,
  file: failureText.fileInvalid,
  query: failureText.queryInvalid
}

/** Whether a request failed because what it is about is not there, or no longer. */
export const isNotFound = (error: unknown): boolean => field(error, "_tag") === "NotFound"

/** The reasons for which the service has codes. */
const byReason: Readonly<Record<string, (issue: unknown) => string>> = {
  length: (issue) => failureText.wrongLength(Number(field(issue, "min")), Number(field(issue, "max"))),
  reserved: () => failureText.reserved,
  repetition: () => failureText.repetition,
  sequence: () => failureText.sequence,
  common: () => failureText.common
}

const explainIssue = (path: string, issue: unknown) =>
  byReason[String(field(issue, "code"))]?.(issue) ?? byField[path] ?? `${path}: ${String(field(issue, "message"))}`

/** The invalid fields that a problem names, each with what is wrong with it. */
export const issuesOf = (error: unknown): Readonly<Record<string, string>> => {
  const errors = field(error, "errors")
  if (!Array.isArray(errors)) return {}
  return Object.fromEntries(
    errors.map((issue) => {
      const path = String(field(issue, "path"))
      return [path, explainIssue(path, issue)]
    })
  )
}

/** What a failed request means, for the person who made it. */
export const explain = (error: unknown): string => {
  const known = byCode[String(field(error, "code"))] ?? byTag[String(field(error, "_tag"))]
  if (known !== undefined) return known
  const [issue] = Object.values(issuesOf(error))
  if (issue !== undefined) return issue
  const detail = field(error, "detail")
  return typeof detail === "string" ? detail : failureText.failed
}
