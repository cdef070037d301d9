import { text } from "./text.ts"

const field = (error: unknown, name: string): unknown =>
  typeof error === "object" && error !== null ? Reflect.get(error, name) : undefined

const byCode: Readonly<Record<string, string>> = {
  "email-taken": text.emailTaken,
  "username-taken": text.usernameTaken,
  "registration-closed": text.registrationClosed,
  "invite-required": text.inviteRequired,
  "account-disabled": text.accountDisabled,
  "passwords-disabled": text.passwordsDisabled,
  "group-full": text.groupFull,
  "last-owner": text.lastOwner,
  "already-sending": text.alreadySending,
  "message-deleted": text.messageGone,
  "poll-closed": text.pollClosed,
  "too-many-edits": text.tooManyEdits,
  "too-many-reactions": text.tooManyReactions,
  "too-many-scheduled": text.tooManyScheduled,
  "storage-full": text.storageFull,
  "contacts-only": text.contactsOnly
}

const byTag: Readonly<Record<string, string>> = {
  ConnectionLost: text.noConnection,
  Forbidden: text.noRights,
  NotFound: text.notThere,
  RateLimited: text.tooFast,
  TooLarge: text.fileTooLarge
}

/** The invalid fields that a problem names, each with what is wrong with it. */
export const issuesOf = (error: unknown): Readonly<Record<string, string>> => {
  const errors = field(error, "errors")
  if (!Array.isArray(errors)) return {}
  return Object.fromEntries(errors.map((issue) => [String(field(issue, "path")), String(field(issue, "message"))]))
}

/** What a failed request means, for the person who made it. */
export const explain = (error: unknown): string => {
  const known = byCode[String(field(error, "code"))] ?? byTag[String(field(error, "_tag"))]
  if (known !== undefined) return known
  const [issue] = Object.entries(issuesOf(error))
  if (issue !== undefined) return `${issue[0]}: ${issue[1]}`
  const detail = field(error, "detail")
  return typeof detail === "string" ? detail : text.failed
}
