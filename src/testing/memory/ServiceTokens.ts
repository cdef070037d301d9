import { Effect, Layer } from "effect"
import { ServiceTokenStorage, ServiceTokens } from "../../services/admin/ServiceTokens.ts"
import { addAudit } from "./Audit.ts"
import { Memory } from "./State.ts"

const makeStorage = Effect.map(Memory, (memory) => {
  const { serviceTokens } = memory
  return ServiceTokenStorage.of({
    insert: (row, actor) => {
      const { botId, expiresAt, id, name, scopes } = row
      const detail = { name, scopes, ...(botId !== null && { botId }), expiresAt: expiresAt?.toISOString() ?? null }
      return Effect.andThen(
        Effect.sync(() => serviceTokens.set(id, row)),
        addAudit(memory, { actor, act: "token.create", targetKind: "token", targetId: id, detail })
      )
    },
    list: (below, limit) =>
      Effect.sync(() =>
        [...serviceTokens.values()]
          .filter(({ id }) => below === undefined || id < below)
          .sort((a, b) => (a.id < b.id ? 1 : -1))
          .slice(0, limit)
      ),
    delete: Effect.fnUntraced(function* (id, actor) {
      const row = serviceTokens.get(id)
      if (row === undefined) return false
      serviceTokens.delete(id)
      const detail = { name: row.name }
      yield* addAudit(memory, { actor, act: "token.revoke", targetKind: "token", targetId: id, detail })
      return true
    }),
    find: (hash) => Effect.sync(() => [...serviceTokens.values()].find((row) => Buffer.compare(row.hash, hash) === 0)),
    use: (id, now, since) =>
      Effect.sync(() => {
        const row = serviceTokens.get(id)
        if (row === undefined || (row.lastUsedAt !== null && row.lastUsedAt >= since)) return
        serviceTokens.set(id, { ...row, lastUsedAt: now })
      })
  })
})

/** Service tokens in `Memory`. */
export const layerMemory = ServiceTokens.layerNoDeps.pipe(Layer.provide(Layer.effect(ServiceTokenStorage, makeStorage)))
