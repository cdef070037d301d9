import { Context, Layer } from "effect"
import type { SessionId, UserId } from "../domain/Ids.ts"

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
}

/** A row of `sessions`; what the generations mean is told in RefreshTokens.ts. */
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

/** The tables that the fakes of the services share, in place of a database. */
export class Memory extends Context.Service<
  Memory,
  {
    readonly users: Map<UserId, UserRow>
    readonly sessions: Map<SessionId, SessionRow>
  }
>()("chat/services/Memory") {
  static readonly layer = Layer.sync(Memory, () => ({ users: new Map(), sessions: new Map() }))
}
