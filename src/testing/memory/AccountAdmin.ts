import { Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { AccountAdmin, AccountAdminStorage, type Act, scheduledFailure } from "../../services/admin/AccountAdmin.ts"
import type { AuditActor } from "../../services/admin/Audit.ts"
import type { UserRow } from "../../services/identity/Rows.ts"
import { addAudit } from "./Audit.ts"
import { closeAccount, makeLiving } from "./Sessions.ts"
import { Memory, revokeBotTokens } from "./State.ts"

/** Makes the deletion of an account: `delete_account` in SQL. */
const makeDelete = (memory: Memory["Service"]): AccountAdminStorage["Service"]["delete"] =>
  Effect.fnUntraced(function* (userId, actor, now, messages) {
    const user = memory.users.get(userId)
    if (user?.deletedAt !== null) return { outcome: "no-user" } as const
    const closing = closeAccount(memory, makeLiving(memory), userId, user.passwordHash, now)
    if (closing.outcome !== "closed") return { outcome: "in-groups" } as const
    const { ended } = closing
    if (messages === "erase") memory.erasures.add(userId)
    const detail = { endedSessions: ended.length, ...(messages === "erase" && { messages }) }
    yield* addAudit(memory, { actor, act: "admin.deleteAccount", targetKind: "user", targetId: userId, detail })
    return { outcome: "changed", ended } as const
  })

const makeStorage = Effect.map(Memory, (memory) => {
  const { scheduledMessages, serviceTokens, users } = memory
  const { beginClosing, endEvery, userOf } = makeLiving(memory)
  const unchanged: Act = { outcome: "unchanged", ended: [] }

  /** Does an act to an account, with its line in the audit log when it changes something. */
  const act = (
    userId: UserId,
    actor: AuditActor,
    name: string,
    change: (user: UserRow) => Act & { readonly detail?: Record<string, unknown> }
  ) =>
    Effect.gen(function* () {
      const user = userOf(userId)
      if (user === undefined) return { outcome: "no-user" } as const
      const { detail = {}, ...done } = change(user)
      if (done.outcome !== "changed") return done
      yield* addAudit(memory, { actor, act: name, targetKind: "user", targetId: userId, detail })
      return done
    })

  const endAll = (userId: UserId, now: Date) => {
    const ended = endEvery(userId, now)
    return { outcome: "changed", ended, detail: { endedSessions: ended.length } } as const
  }

  return AccountAdminStorage.of({
    list: ({ email, prefix, status }, after, limit) =>
      Effect.sync(() =>
        [...users.values()]
          .filter(({ deletedAt, username }) => deletedAt === null && username > after)
          .filter(({ emailKey, username }) => (email === undefined ? username.startsWith(prefix) : emailKey === email))
          .filter(({ disabledAt }) => status === undefined || (status === "disabled") === (disabledAt !== null))
          .sort((a, b) => (a.username < b.username ? -1 : 1))
          .slice(0, limit)
      ),
    find: (userId) => Effect.sync(() => userOf(userId)),
    disable: (userId, actor, now) =>
      act(userId, actor, "admin.disable", (user) => {
        if (user.disabledAt !== null) return unchanged
        users.set(userId, { ...user, disabledAt: now })
        for (const row of scheduledMessages.values()) {
          if (row.userId !== userId || row.failure !== null || row.claimedUntil !== null) continue
          scheduledMessages.set(row.id, { ...row, failure: scheduledFailure })
        }
        return endAll(userId, now)
      }),
    enable: (userId, actor) =>
      act(userId, actor, "admin.enable", (user) => {
        if (user.disabledAt === null) return unchanged
        users.set(userId, { ...user, disabledAt: null })
        return { outcome: "changed", ended: [] }
      }),
    endSessions: (userId, actor, now) =>
      act(userId, actor, "admin.endSessions", () => {
        const { detail, ...done } = endAll(userId, now)
        const revokedTokens = revokeBotTokens(serviceTokens, userId)
        if (done.ended.length + revokedTokens === 0) return unchanged
        return { ...done, detail: { ...detail, ...(revokedTokens > 0 && { revokedTokens }) } }
      }),
    beginClosing,
    delete: makeDelete(memory)
  })
})

/** The administration of accounts in `Memory`. */
export const layerMemory = AccountAdmin.layerNoDeps.pipe(Layer.provide(Layer.effect(AccountAdminStorage, makeStorage)))
