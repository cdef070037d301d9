import { Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { PasswordResetStorage, PasswordResets } from "../../services/admin/PasswordResets.ts"
import { addAudit } from "./Audit.ts"
import { makeLiving } from "./Sessions.ts"
import { Memory } from "./State.ts"

const makeStorage = Effect.map(Memory, (memory) => {
  const { passwordResets, users } = memory
  const { endEvery, userOf } = makeLiving(memory)

  const find = (hash: Uint8Array, now: Date) =>
    [...passwordResets.values()].find(
      (reset) => Buffer.compare(reset.hash, hash) === 0 && reset.expiresAt > now && userOf(reset.userId) !== undefined
    )

  /** Sets the password and drops the reset; undefined without such an account, else the sessions that ended. */
  const set = (userId: UserId, passwordHash: string, now: Date) => {
    const user = userOf(userId)
    if (user === undefined) return undefined
    users.set(userId, { ...user, passwordHash })
    passwordResets.delete(userId)
    return endEvery(userId, now)
  }

  return PasswordResetStorage.of({
    set: Effect.fnUntraced(function* (userId, passwordHash, actor, now) {
      const ended = set(userId, passwordHash, now)
      if (ended === undefined) return { outcome: "no-user" } as const
      const detail = { endedSessions: ended.length }
      yield* addAudit(memory, { actor, act: "admin.setPassword", targetKind: "user", targetId: userId, detail })
      return { outcome: "changed", ended } as const
    }),
    insert: Effect.fnUntraced(function* (reset, actor) {
      const { expiresAt, userId } = reset
      if (userOf(userId) === undefined) return false
      passwordResets.set(userId, reset)
      const detail = { expiresAt: expiresAt.toISOString() }
      yield* addAudit(memory, { actor, act: "admin.resetPassword", targetKind: "user", targetId: userId, detail })
      return true
    }),
    userOf: (hash, now) => Effect.sync(() => find(hash, now)?.userId),
    use: (hash, passwordHash, now) =>
      Effect.sync(() => {
        const userId = find(hash, now)?.userId
        const ended = userId === undefined ? undefined : set(userId, passwordHash, now)
        return userId === undefined || ended === undefined ? undefined : { userId, ended }
      })
  })
})

/** Resets of passwords in `Memory`. */
export const layerMemory = PasswordResets.layerNoDeps.pipe(
  Layer.provide(Layer.effect(PasswordResetStorage, makeStorage))
)
