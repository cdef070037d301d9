import { Effect, Layer } from "effect"
import { PrincipalStorage, Principals } from "../../services/admin/Principals.ts"
import { identityKey, Memory } from "./State.ts"

const makeStorage = Effect.map(Memory, ({ identities, serviceTokens, users }) =>
  PrincipalStorage.of({
    find: (wanted, issuer) =>
      Effect.sync(() => {
        const identity = "userId" in wanted ? undefined : identities.get(identityKey(issuer, wanted.externalId))
        const userId = "userId" in wanted ? wanted.userId : identity?.closed === false ? identity.userId : undefined
        const user = userId && users.get(userId)
        return user?.deletedAt === null ? { id: user.id, disabled: user.disabledAt !== null } : undefined
      }),
    states: (pairs, now) =>
      Effect.sync(() =>
        pairs.map(({ tokenId, userId }) => {
          const user = users.get(userId)
          const token = serviceTokens.get(tokenId)
          if (user?.deletedAt !== null || user.disabledAt !== null) return "closed"
          return token === undefined || (token.expiresAt !== null && token.expiresAt <= now) ? "revoked" : "valid"
        })
      )
  })
)

/** Principals in `Memory`. */
export const layerMemory = Principals.layerNoDeps.pipe(Layer.provide(Layer.effect(PrincipalStorage, makeStorage)))
