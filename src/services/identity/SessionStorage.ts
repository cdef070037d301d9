import { Context, type Effect, Schema } from "effect"
import { SessionId, type UserId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import { cursorOf, Millis } from "../platform/Paging.ts"
import type { ExternalToken } from "./issuers/ExternalTokens.ts"
import type { Rotation } from "./RefreshTokens.ts"
import type { Device, SessionRow, UserRow } from "./Rows.ts"

/** The columns of a session that a refresh writes. */
type Renewal = Rotation & Pick<SessionRow, "userAgent" | "ip" | "lastUsedAt" | "expiresAt">

/** The place of a session in the list of its user, which has the newest first. */
const SessionPlace = Schema.Struct({ at: Millis, id: SessionId })
export type SessionPlace = typeof SessionPlace.Type

/** The cursor of the list of sessions. */
export const sessionCursor = cursorOf(SessionPlace)

/** A session that has ended; `closed` says that the account of its user was deleted or disabled. */
export interface EndedSession {
  readonly id: SessionId
  readonly endedSeq: number
  readonly closed: boolean
}

/** The outcome of closing an account: its user must be in no group, and the password must not have changed. */
export type Closing =
  | { readonly outcome: "closed"; readonly ended: ReadonlyArray<SessionId> }
  | { readonly outcome: "in-groups" }
  | { readonly outcome: "wrong-password" }

/** The use of an external token by a device. `newUserId` is the id of its user if that is to be made. */
export interface ExternalUse extends ExternalToken, Device {
  readonly newUserId: UserId
  readonly begins: boolean
}

/** What became of the use of an external token. */
export type UsedExternal =
  | { readonly outcome: "known" | "begun"; readonly userId: UserId; readonly created: boolean }
  | { readonly outcome: "unknown" | "disabled" | "ended"; readonly userId: null }

/** Where sessions are stored. A session lives until it ends, expires, or its user is deleted. */
export class SessionStorage extends Context.Service<
  SessionStorage,
  {
    /** The account with this folded login, unless it is deleted. A login with an `@` is an e-mail address. */
    readonly account: (login: string) => Effect.Effect<UserRow | undefined, Unavailable>
    /** The user with this id, unless the account is deleted. */
    readonly user: (id: UserId) => Effect.Effect<UserRow | undefined, Unavailable>
    /** The addresses of the user's sessions, also of ended ones until the purge: those of the last 1,000 sign-ins. */
    readonly addresses: (userId: UserId) => Effect.Effect<ReadonlyArray<string>, Unavailable>
    /**
     * Stores a new session. False, and nothing is stored, when the password of the user no longer has this hash, or the
     * account was disabled.
     */
    readonly insert: (session: SessionRow, passwordHash: string) => Effect.Effect<boolean, Unavailable>
    /** Ends the living sessions of the user except for the `keep` last used ones, and answers with their ids. */
    readonly endIdle: (userId: UserId, keep: number, now: Date) => Effect.Effect<ReadonlyArray<SessionId>, Unavailable>
    /** The session, if it lives. */
    readonly find: (id: SessionId, now: Date) => Effect.Effect<SessionRow | undefined, Unavailable>
    /**
     * Writes a refresh and gives the user of the session; undefined, and nothing is written, when the session has
     * changed since `seen` was read.
     */
    readonly renew: (seen: SessionRow, renewal: Renewal) => Effect.Effect<UserRow | undefined, Unavailable>
    /**
     * Notes that an access token of this generation is in use; false when it is not valid or the session does not live.
     */
    readonly use: (
      token: { readonly sessionId: SessionId; readonly userId: UserId; readonly generation: number },
      now: Date
    ) => Effect.Effect<boolean, Unavailable>
    /**
     * Finds the user of an external token, or makes one if the token may. With `begins`, the session of the token is
     * stored if it is new, and lasts as long as the token. A known token writes nothing, but once a day that the session is
     * in use. Refused are tokens whose session has ended, and those from before all sessions of the user were ended.
     */
    readonly useExternal: (use: ExternalUse, now: Date) => Effect.Effect<UsedExternal, Unavailable>
    /** The living sessions of the user, newest first, at most `limit`, and only those after the place in the list. */
    readonly list: (
      userId: UserId,
      now: Date,
      limit: number,
      after?: SessionPlace
    ) => Effect.Effect<ReadonlyArray<SessionRow>, Unavailable>
    /** Ends the session and answers with its id; with none when it had ended before. */
    readonly end: (userId: UserId, id: SessionId, now: Date) => Effect.Effect<ReadonlyArray<SessionId>, Unavailable>
    /**
     * The sessions that ended after the number `seq`, in the order of their numbers; without a number, the last that
     * ended.
     */
    readonly endedAfter: (seq: number | undefined) => Effect.Effect<ReadonlyArray<EndedSession>, Unavailable>
    /** Changes the password and ends all sessions but `keep`. Undefined when the password is no longer `oldHash`. */
    readonly changePassword: (
      change: { readonly userId: UserId; readonly keep: SessionId; readonly oldHash: string; readonly newHash: string },
      now: Date
    ) => Effect.Effect<ReadonlyArray<SessionId> | undefined, Unavailable>
    /**
     * Lets nobody add the user to anything for 15 minutes, while the account is being closed; false when there is no such
     * account.
     */
    readonly beginClosing: (userId: UserId) => Effect.Effect<boolean, Unavailable>
    /** Ends the account and all its sessions, and deletes everything that identifies the person. */
    readonly closeAccount: (userId: UserId, passwordHash: string, now: Date) => Effect.Effect<Closing, Unavailable>
  }
>()("chat/services/SessionStorage") {}
