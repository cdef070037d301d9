import { Context, DateTime, Duration, Effect, Layer } from "effect"
import type { PasswordReset } from "../../domain/Account.ts"
import type { SessionId, UserId } from "../../domain/Ids.ts"
import {
  type InvalidRequest,
  invalid,
  type NotFound,
  type RateLimited,
  Unauthenticated,
  type Unavailable
} from "../../domain/Problem.ts"
import { noUser } from "../../domain/Refusals.ts"
import type { PasswordResetUse } from "../../domain/Session.ts"
import { newPasswordIssue, Passwords } from "../identity/Passwords.ts"
import { Sessions } from "../identity/Sessions.ts"
import { Settings } from "../platform/Settings.ts"
import { type Act, endedBy } from "./AccountAdmin.ts"
import type { AuditActor } from "./Audit.ts"
import { makeSecrets } from "./Secrets.ts"

/** A reset that can be used until `expiresAt`. Of its token only the hash is stored. */
export interface StoredReset {
  readonly userId: UserId
  readonly hash: Uint8Array
  readonly expiresAt: Date
}

/** Where resets of passwords are stored, at most one for each account; each change in one transaction. */
export class PasswordResetStorage extends Context.Service<
  PasswordResetStorage,
  {
    /** Sets the password, ends all sessions and drops the reset, with a line in the audit log. */
    readonly set: (
      userId: UserId,
      passwordHash: string,
      actor: AuditActor,
      now: Date
    ) => Effect.Effect<Act, Unavailable>
    /** Stores a reset in place of the last one of the account, with a line in the audit log. False without an account. */
    readonly insert: (reset: StoredReset, actor: AuditActor) => Effect.Effect<boolean, Unavailable>
    /** The user of the reset with this hash, unless it has expired. */
    readonly userOf: (hash: Uint8Array, now: Date) => Effect.Effect<UserId | undefined, Unavailable>
    /** Uses the reset up, sets the password and ends all sessions; undefined when it does not exist any more. */
    readonly use: (
      hash: Uint8Array,
      passwordHash: string,
      now: Date
    ) => Effect.Effect<{ readonly userId: UserId; readonly ended: ReadonlyArray<SessionId> } | undefined, Unavailable>
  }
>()("chat/services/PasswordResetStorage") {}

const secrets = makeSecrets("cpr_")

/** How long the token of a reset can be used. */
const lifetime = Duration.hours(1)

const noReset = new Unauthenticated({
  code: "token-invalid",
  detail: "The token is not valid: it was used, replaced or has expired"
})

/** New passwords for users who have lost theirs, by an operator or by a token that the operator hands over. */
export class PasswordResets extends Context.Service<
  PasswordResets,
  {
    /** Sets the password of a user and ends all sessions. */
    readonly set: (
      actor: AuditActor,
      userId: UserId,
      password: string
    ) => Effect.Effect<void, InvalidRequest | NotFound | RateLimited | Unavailable>
    /**
     * Makes a token with which the user can set a new password once, within an hour, and with `auth.resetUrl` the link that
     * has it. It replaces an earlier one.
     */
    readonly create: (actor: AuditActor, userId: UserId) => Effect.Effect<PasswordReset, NotFound | Unavailable>
    /**
     * Sets a new password with such a token, and ends all sessions of the user. A refused password does not use the token
     * up; after a success, repeating it is `Unauthenticated`.
     */
    readonly use: (
      request: PasswordResetUse
    ) => Effect.Effect<void, InvalidRequest | Unauthenticated | RateLimited | Unavailable>
  }
>()("chat/services/PasswordResets") {
  /** The rules, on any `PasswordResetStorage`. */
  static readonly layerNoDeps = Layer.effect(
    PasswordResets,
    Effect.gen(function* () {
      const { auth, limits } = yield* Settings
      const passwords = yield* Passwords
      const sessions = yield* Sessions
      const storage = yield* PasswordResetStorage

      const hashed = Effect.fnUntraced(function* (field: string, password: string, account: UserId, address: string) {
        const issue = newPasswordIssue(password, limits.passwordLength)
        return issue === undefined
          ? yield* passwords.hash(password, { account, address })
          : yield* invalid(field, issue)
      })

      return PasswordResets.of({
        set: Effect.fn("PasswordResets.set")(function* (actor, userId, password) {
          const passwordHash = yield* hashed("password", password, userId, actor)
          const done = storage.set(userId, passwordHash, actor, yield* DateTime.nowAsDate)
          yield* sessions.ending(Effect.flatMap(done, endedBy))
        }),
        create: Effect.fn("PasswordResets.create")(function* (actor, userId) {
          const { hash, secret } = secrets.make()
          const expiresAt = DateTime.toDateUtc(DateTime.addDuration(yield* DateTime.now, lifetime))
          if (!(yield* storage.insert({ userId, hash, expiresAt }, actor))) return yield* noUser
          const url = auth.resetUrl?.replaceAll("{token}", secret) ?? null
          return { token: secret, url, expiresAt: expiresAt.toISOString() }
        }),
        use: Effect.fn("PasswordResets.use")(function* ({ newPassword, token }) {
          const hash = secrets.hashOf(token)
          // Asked first, because hashing a password for anybody would cost too much.
          if (hash === undefined) return yield* noReset
          const userId = yield* storage.userOf(hash, yield* DateTime.nowAsDate)
          if (userId === undefined) return yield* noReset
          const passwordHash = yield* hashed("newPassword", newPassword, userId, userId)
          const used = storage.use(hash, passwordHash, yield* DateTime.nowAsDate)
          yield* sessions.ending(
            Effect.gen(function* () {
              const reset = yield* used
              if (reset === undefined) return yield* noReset
              yield* Effect.logInfo("a password was reset with a token", { userId: reset.userId })
              return reset.ended
            })
          )
        })
      })
    })
  )
}
