import { randomUUIDv7 } from "node:crypto"
import { Context, DateTime, Duration, Effect, Layer } from "effect"
import type { MessagesOfDeleted } from "../../domain/Account.ts"
import type { ExternalId } from "../../domain/ExternalId.ts"
import { type ServiceTokenId, UserId } from "../../domain/Ids.ts"
import {
  type Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  type NotFound,
  Unavailable,
  wrongLength
} from "../../domain/Problem.ts"
import { notABot, noUser } from "../../domain/Refusals.ts"
import type { NewServerUser, NewUserToken, ServerUser, UserToken } from "../../domain/ServerUser.ts"
import type { CreatedServiceToken, NewBotToken } from "../../domain/ServiceToken.ts"
import { makeProfileNotices } from "../bus/ProfileNotices.ts"
import { usernamesFor } from "../identity/issuers/Profiles.ts"
import type { StoredUserKind, UserRow } from "../identity/Rows.ts"
import { Sessions } from "../identity/Sessions.ts"
import { folded, toUser } from "../identity/Users.ts"
import { usersRegistered } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { Settings } from "../platform/Settings.ts"
import { serverIssuerOf } from "../platform/settings/IssuerSettings.ts"
import { AccountAdmin, toAccount } from "./AccountAdmin.ts"
import { Audit, type AuditActor } from "./Audit.ts"
import { ServiceTokens } from "./ServiceTokens.ts"

/** A user to make, or to change in what is given. */
export interface Upsert {
  readonly subject: ExternalId
  /** The id of a new user. */
  readonly id: UserId
  /** The usernames for a new user, the best one first. The last one is never taken by somebody else. */
  readonly usernames: ReadonlyArray<string>
  /** The kind of a new user. */
  readonly kind: StoredUserKind
  readonly displayName?: string
  readonly searchName?: string
  readonly avatarUrl?: string | null
  readonly email?: string
  readonly team?: string | null
}

/** A user that was made or found. `ended` says that the clock of this node is behind that of another one. */
export type Upserted =
  | { readonly outcome: "created" | "updated" | "unchanged"; readonly user: UserRow }
  | { readonly outcome: "ended" }

/** Where the users of the application are stored. `issuer` is the namespace of their external ids. */
export class ServerUserStorage extends Context.Service<
  ServerUserStorage,
  {
    /**
     * Makes or changes users in one transaction, with a line in the audit log for each who is made or changed. Answers in
     * their order.
     */
    readonly upsert: (
      issuer: string,
      users: ReadonlyArray<Upsert>,
      actor: AuditActor,
      now: Date
    ) => Effect.Effect<ReadonlyArray<Upserted>, Unavailable>
    /** The user with an external id, unless the account is deleted. */
    readonly find: (issuer: string, subject: ExternalId) => Effect.Effect<UserRow | undefined, Unavailable>
  }
>()("chat/services/ServerUserStorage") {}

/** How long a token lives for which the program asks no lifetime, in seconds. */
const usualLifetime = 3600

const clockBehind = new Unavailable({ detail: "The sessions of this user have just ended; ask again" })

/**
 * The users of the application that the service belongs to, by the ids that they have there. Deleted accounts count as
 * ones that do not exist. Each act is a line of the audit log.
 */
export class ServerUsers extends Context.Service<
  ServerUsers,
  {
    /**
     * Makes the users who do not exist and changes the others in what is given, all or none. Repeating it changes nothing,
     * and of several that make the same user at the same time one does. `InvalidRequest` for a username that is too
     * short or too long, and when two users have the same id.
     */
    readonly upsert: (
      actor: AuditActor,
      users: ReadonlyArray<NewServerUser>
    ) => Effect.Effect<ReadonlyArray<ServerUser>, InvalidRequest | Unavailable>
    /** Reads a user; `NotFound` when there is none, as in everything below. */
    readonly get: (externalId: ExternalId) => Effect.Effect<ServerUser, NotFound | Unavailable>
    /** Deletes the account: see `AccountAdmin.delete`. */
    readonly delete: (
      program: ServiceTokenId,
      externalId: ExternalId,
      messages?: MessagesOfDeleted
    ) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * Makes an access token for a user, in a session that expires with it. Every call starts another session. `Forbidden`
     * ("account-disabled") for a disabled account.
     */
    readonly createToken: (
      program: ServiceTokenId,
      externalId: ExternalId,
      token: NewUserToken
    ) => Effect.Effect<UserToken, NotFound | Forbidden | Unavailable>
    /** Makes a token of its own for a bot. Every call makes another one. `Conflict` ("not-a-bot") for a person. */
    readonly createBotToken: (
      actor: AuditActor,
      externalId: ExternalId,
      token: NewBotToken
    ) => Effect.Effect<CreatedServiceToken, NotFound | Conflict | Unavailable>
    /** Ends all sessions of a user, and the tokens of a bot: see `AccountAdmin.endSessions`. */
    readonly revoke: (program: ServiceTokenId, externalId: ExternalId) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/ServerUsers") {
  /** The rules, on any `ServerUserStorage`. */
  static readonly layerNoDeps = Layer.effect(
    ServerUsers,
    Effect.gen(function* () {
      const { auth, limits } = yield* Settings
      const accounts = yield* AccountAdmin
      const audit = yield* Audit
      const sessions = yield* Sessions
      const storage = yield* ServerUserStorage
      const tokens = yield* ServiceTokens
      const registered = (yield* Metrics).counter(usersRegistered)
      const issuer = serverIssuerOf(auth)
      const tellProfile = yield* makeProfileNotices
      const { max, min } = limits.usernameLength

      const find = Effect.fnUntraced(function* (externalId: ExternalId) {
        return (yield* storage.find(issuer, externalId)) ?? (yield* noUser)
      })
      const toServerUser = (externalId: ExternalId, row: UserRow): ServerUser => ({ externalId, ...toAccount(row) })

      const toUpsert = (user: NewServerUser): Upsert => {
        const { avatarUrl, displayName, email, externalId, kind, team, username } = user
        return {
          subject: externalId,
          id: UserId.make(randomUUIDv7()),
          usernames: usernamesFor(username ?? "", [issuer, externalId], limits.usernameLength),
          kind: kind === "bot" ? kind : "person",
          ...(displayName !== undefined && { displayName, searchName: folded(displayName) }),
          ...(avatarUrl !== undefined && { avatarUrl }),
          ...(email !== undefined && { email }),
          ...(team !== undefined && { team })
        }
      }

      return ServerUsers.of({
        upsert: Effect.fn("ServerUsers.upsert")(function* (actor, users) {
          if (new Set(users.map(({ externalId }) => externalId)).size < users.length)
            return yield* invalid("users", "must not name a user twice")
          if (users.some(({ username }) => username !== undefined && (username.length < min || username.length > max)))
            return yield* invalid("username", wrongLength({ min, max }))
          const now = yield* DateTime.nowAsDate
          const rows = yield* storage.upsert(issuer, users.map(toUpsert), actor, now)
          const made: Array<ServerUser> = []
          for (const [place, row] of rows.entries()) {
            const externalId = users[place]?.externalId
            if (externalId === undefined || row.outcome === "ended") return yield* clockBehind
            if (row.outcome === "created") registered()
            if (row.outcome === "updated") yield* tellProfile(undefined, toUser(row.user))
            made.push(toServerUser(externalId, row.user))
          }
          return made
        }),
        get: Effect.fn("ServerUsers.get")(function* (externalId) {
          return toServerUser(externalId, yield* find(externalId))
        }),
        delete: Effect.fn("ServerUsers.delete")(function* (program, externalId, messages) {
          const { id } = yield* find(externalId)
          yield* accounts.delete(`token:${program}`, id, messages)
        }),
        createToken: Effect.fn("ServerUsers.createToken")(function* (program, externalId, token) {
          const row = yield* find(externalId)
          const expiresIn = token.expiresInSeconds ?? usualLifetime
          yield* audit.acting(program, row.id, "server.createToken", {})
          const started = yield* sessions.start(row.id, Duration.seconds(expiresIn))
          return { ...started, expiresIn, user: toServerUser(externalId, row) }
        }),
        createBotToken: Effect.fn("ServerUsers.createBotToken")(function* (actor, externalId, token) {
          const { id, kind } = yield* find(externalId)
          return kind === "bot" ? yield* tokens.createForBot(actor, id, token) : yield* notABot
        }),
        revoke: Effect.fn("ServerUsers.revoke")(function* (program, externalId) {
          const { id } = yield* find(externalId)
          yield* accounts.endSessions(`token:${program}`, id)
        })
      })
    })
  )
}
