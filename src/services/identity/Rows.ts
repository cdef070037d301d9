import type { SessionId, UserId } from "../../domain/Ids.ts"
import type { WhoMayAddMe } from "../../domain/User.ts"

/** What a user is, as the column `kind` has it: a `person` is a `human` in answers. */
export type StoredUserKind = "person" | "bot" | "guest"

/** A row of `users`. `emailKey` and `searchName` are the case-folded forms that are compared. */
export interface UserRow {
  readonly id: UserId
  readonly email: string
  readonly emailKey: string
  readonly username: string
  readonly displayName: string
  readonly searchName: string
  readonly avatarUrl: string | null
  readonly passwordHash: string
  readonly createdAt: Date
  readonly deletedAt: Date | null
  readonly disabledAt: Date | null
  readonly whoMayAddMe: WhoMayAddMe
  /** Since when the account is being closed. */
  readonly closingAt: Date | null
  readonly kind: StoredUserKind
  readonly team: string | null
}

/** Whether two users are of different teams. They may know each other from a conversation that they share. */
export const areApart = (one: Pick<UserRow, "team"> | undefined, other: Pick<UserRow, "team">): boolean =>
  one !== undefined && one.team !== null && other.team !== null && one.team !== other.team

/**
 * Whether nobody signs in as this user with a password: no bot does, nor a person who came with an external token and has
 * been given none (see provision_user in SQL).
 */
export const isWithoutPassword = ({ emailKey, id, kind, passwordHash }: UserRow): boolean =>
  kind !== "person" || (passwordHash === "" && emailKey === `external-${id}`)

/** A row of `sessions`; RefreshTokens.ts explains its generations. */
export interface SessionRow {
  readonly id: SessionId
  readonly userId: UserId
  readonly userAgent: string
  readonly ip: string
  readonly generation: number
  readonly previousGeneration: number
  readonly droppedGeneration: number
  readonly usedGeneration: number
  readonly rotatedAt: Date
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly expiresAt: Date
  readonly endedAt: Date | null
}

/** The device that a request comes from, as its user sees it in the list of sessions. */
export type Device = Pick<SessionRow, "userAgent" | "ip">
