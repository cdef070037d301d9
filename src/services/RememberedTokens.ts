import type { SessionId } from "../domain/Ids.ts"
import type { Principal } from "../domain/Session.ts"

/**
 * Access tokens that were verified, so that the next request with one costs a look into a map. The oldest make way
 * when there are more than `capacity`.
 */
export const makeRememberedTokens = (capacity: number) => {
  const principals = new Map<string, Principal>()
  const tokensOf = new Map<SessionId, Set<string>>()
  let ends = 0

  const drop = (token: string, principal: Principal) => {
    principals.delete(token)
    const tokens = tokensOf.get(principal.sessionId)
    tokens?.delete(token)
    if (tokens?.size === 0) tokensOf.delete(principal.sessionId)
  }

  return {
    /** Who holds the token, unless it has expired or is not remembered. */
    get: (token: string, now: number): Principal | undefined => {
      const principal = principals.get(token)
      if (principal === undefined || principal.expiresAt > now) return principal
      drop(token, principal)
      return undefined
    },
    /** To be taken before the database is asked about a session, and given to `add`. */
    ends: () => ends,
    /** Does nothing when a session has ended since `endsBefore`: it may have been this one. */
    add: (token: string, principal: Principal, endsBefore: number) => {
      if (ends !== endsBefore) return
      principals.set(token, principal)
      const tokens = tokensOf.get(principal.sessionId) ?? new Set()
      tokensOf.set(principal.sessionId, tokens.add(token))
      for (const [oldest, holder] of principals) {
        if (principals.size <= capacity) break
        drop(oldest, holder)
      }
    },
    /** No token of these sessions is remembered from now on. */
    forget: (sessionIds: ReadonlyArray<SessionId>) => {
      if (sessionIds.length > 0) ends++
      for (const sessionId of sessionIds) {
        for (const token of tokensOf.get(sessionId) ?? []) principals.delete(token)
        tokensOf.delete(sessionId)
      }
    }
  }
}
