import { Effect, Layer } from "effect"
import { AccountExport, AccountExportStorage } from "../../services/admin/AccountExport.ts"
import { addAudit } from "./Audit.ts"
import { Memory } from "./State.ts"

const makeStorage = Effect.map(Memory, (memory) => {
  const { conversations, sessions, stars, users } = memory
  return AccountExportStorage.of({
    begin: Effect.fnUntraced(function* (userId, actor) {
      const user = users.get(userId)
      if (user?.deletedAt !== null) return undefined
      yield* addAudit(memory, { actor, act: "admin.exportAccount", targetKind: "user", targetId: userId, detail: {} })
      return user
    }),
    conversations: (userId, after, limit) =>
      Effect.sync(() =>
        [...conversations.values()]
          .sort((a, b) => (a.id < b.id ? -1 : 1))
          .flatMap(({ id, kind, log, members, title }) => {
            const me = members.get(userId)
            if (me === undefined || id <= after) return []
            const { archived, notify, pinned, readSeq, role } = me
            const own = { archived, notify, pinned, readSeq, role, mutedUntil: me.mutedUntil?.toISOString() ?? null }
            const joinedAt = me.joinedAt.toISOString()
            return [{ id, kind, title, joinedAt, left: me.leftSeq !== null, ...own, head: log.length }]
          })
          .slice(0, limit)
      ),
    messages: (userId, conversationId, from, through) =>
      Effect.sync(() =>
        (conversations.get(conversationId)?.log ?? []).slice(from, through).flatMap((entry) => {
          if (entry.event !== "message.created" || entry.senderId !== userId || entry.deletedAt !== null) return []
          const { body, createdAt, editedAt, id, payload, seq, type } = entry
          const attachments = entry.attachments ?? []
          const times = { createdAt: createdAt.toISOString(), editedAt: editedAt?.toISOString() ?? null }
          const revisions = entry.revisions.map((earlier) => ({
            body: earlier.body,
            createdAt: earlier.createdAt.toISOString()
          }))
          return [{ id, conversationId, seq, type, body, payload, attachments, revisions, ...times }]
        })
      ),
    marks: (userId, conversationId, from, through) =>
      Effect.sync(() =>
        (conversations.get(conversationId)?.log ?? []).slice(from, through).flatMap((entry) => {
          if (entry.event !== "message.created") return []
          const { ballots, hiddenFor, id, seq } = entry
          const reactions = entry.reactions.filter(({ userIds }) => userIds.includes(userId)).map(({ emoji }) => emoji)
          const starred = stars.get(userId)?.get(id)?.starred ?? false
          const [hidden, votes] = [hiddenFor.includes(userId), ballots.get(userId) ?? null]
          if (!starred && !hidden && votes === null && reactions.length === 0) return []
          return [{ conversationId, seq, starred, hidden, reactions: reactions.sort(), votes }]
        })
      ),
    sessions: (userId, after, limit) =>
      Effect.sync(() =>
        [...sessions.values()]
          .filter((session) => session.userId === userId && session.id > after)
          .sort((one, other) => (one.id < other.id ? -1 : 1))
          .slice(0, limit)
          .map(({ createdAt, endedAt, expiresAt, id, ip, lastUsedAt, userAgent }) => ({
            ...{ id, ip, userAgent, createdAt: createdAt.toISOString(), lastUsedAt: lastUsedAt.toISOString() },
            ...{ expiresAt: expiresAt.toISOString(), endedAt: endedAt?.toISOString() ?? null }
          }))
      )
  })
})

/** Exports from `Memory`. */
export const layerMemory = AccountExport.layerNoDeps.pipe(
  Layer.provide(Layer.effect(AccountExportStorage, makeStorage))
)
