import { DateTime, Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { invalid, type Unavailable } from "../../domain/Problem.ts"
import { passwordsDisabled } from "../../domain/Refusals.ts"
import type { PasswordChange, Principal } from "../../domain/Session.ts"
import { Settings } from "../platform/Settings.ts"
import type { EndedSessions } from "./EndedSessions.ts"
import { type PasswordChecks, wrongPassword } from "./PasswordChecks.ts"
import { newPasswordIssue, Passwords } from "./Passwords.ts"
import { SessionStorage } from "./SessionStorage.ts"

/** Makes `Sessions.changePassword` and `Sessions.closeAccount`, which both need the current password. */
export const makeAccountSecurity = Effect.fnUntraced(function* (
  passwordChecks: PasswordChecks,
  endedSessions: EndedSessions
) {
  const { auth, limits } = yield* Settings
  const passwords = yield* Passwords
  const storage = yield* SessionStorage

  const changePassword = Effect.fn("Sessions.changePassword")(function* (
    { sessionId, userId }: Principal,
    change: PasswordChange
  ) {
    if (!auth.passwords) return yield* passwordsDisabled
    const issue = newPasswordIssue(change.newPassword, limits.passwordLength)
    if (issue !== undefined) return yield* invalid("newPassword", issue)
    const oldHash = yield* passwordChecks.confirm(userId, change.currentPassword)
    const newHash = yield* passwords.hash(change.newPassword, { account: userId, address: userId })
    const now = yield* DateTime.nowAsDate
    const replacement = { userId, keep: sessionId, oldHash, newHash }
    yield* endedSessions.publish(
      Effect.flatMap(storage.changePassword(replacement, now), (ended) =>
        ended === undefined ? Effect.fail(wrongPassword) : Effect.succeed(ended)
      )
    )
  })

  /** Closes the account. Undefined, and nothing is changed, while its user is a member of a group. */
  const close = (userId: UserId, passwordHash: string) =>
    Effect.gen(function* () {
      const closing = yield* storage.closeAccount(userId, passwordHash, yield* DateTime.nowAsDate)
      if (closing.outcome === "wrong-password") return yield* wrongPassword
      if (closing.outcome === "in-groups") return undefined
      return yield* endedSessions.publish(Effect.succeed(closing.ended), true)
    }).pipe(Effect.uninterruptible)

  /** Confirms that a user wants it. A guest has no password, only the session. */
  const confirm = Effect.fnUntraced(function* (userId: UserId, password: string | undefined) {
    const user = yield* storage.user(userId)
    if (user === undefined) return yield* wrongPassword
    if (user.kind === "guest") return user.passwordHash
    if (password === undefined) return yield* invalid("password", "is required")
    return yield* passwordChecks.confirm(userId, password)
  })

  const closeAccount = Effect.fn("Sessions.closeAccount")(
    function* ({ userId }: Principal, password: string | undefined, leaveGroups: Effect.Effect<void, Unavailable>) {
      const passwordHash = yield* confirm(userId, password)
      // Whoever goes on adding the user would otherwise keep this from ending.
      yield* storage.beginClosing(userId)
      yield* leaveGroups.pipe(
        Effect.andThen(close(userId, passwordHash)),
        Effect.repeat({ until: (closed) => closed !== undefined })
      )
    },
    // No password is that of an account that another request has closed meanwhile, which is what this one wants.
    (closing, { userId }) =>
      Effect.catchTag(closing, "Forbidden", (refusal) =>
        Effect.flatMap(storage.user(userId), (user) => (user === undefined ? Effect.void : Effect.fail(refusal)))
      )
  )

  return { changePassword, closeAccount }
})
