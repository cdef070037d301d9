import type { SessionId } from "../../domain/Ids.ts"
import type { Principal } from "../../domain/Session.ts"

/**
 * How many tokens of one session are remembered: a session that refreshes again and again does not push out the tokens
 * of others.
 */
const perSession = 4

/**
 * Makes a memory of verified access tokens, so that the next request with the same token costs one look into a map. The
 * oldest tokens are dropped when there are more than `capacity`.
 */
export const makeRememberedTokens = (capacity: number) => {
  const known = new Map<string, { readonly principal: Principal; readonly until: number }>()
  const tokensOf = new Map<SessionId, Set<string>>()
  let ends = 0

  const drop = (token: string, principal: Principal) => {
    known.delete(token)
    const tokens = tokensOf.get(principal.sessionId)
    tokens?.delete(token)
    if (tokens?.size === 0) tokensOf.delete(principal.sessionId)
  }

  return {
    /** The holder of the token; undefined when it has expired or is not remembered. */
    get: (token: string, now: number): Principal | undefined => {
      const found = known.get(token)
      if (found === undefined) return undefined
      if (found.until > now) return found.principal
      drop(token, found.principal)
      return undefined
    },
    /**
     * How often sessions have ended. A caller reads it before it asks the database about a session, and gives it to
     * `add`.
     */
    ends: () => ends,
    /**
     * Remembers a token until a time, by default until it expires, unless a session has ended since `endsBefore`, which may
     * have been the session of this token.
     */
    add: (token: string, principal: Principal, endsBefore: number, until = principal.expiresAt) => {
      if (ends !== endsBefore) return
      known.set(token, { principal, until: Math.min(until, principal.expiresAt) })
      const tokens = tokensOf.get(principal.sessionId) ?? new Set()
      tokensOf.set(principal.sessionId, tokens.add(token))
      const [first] = tokens
      if (tokens.size > perSession && first !== undefined) drop(first, principal)
      for (const [oldest, holder] of known) {
        if (known.size <= capacity) break
        drop(oldest, holder.principal)
      }
    },
    /** Forgets all tokens of these sessions. */
    forget: (sessionIds: ReadonlyArray<SessionId>) => {
      if (sessionIds.length > 0) ends++
      for (const sessionId of sessionIds) {
        for (const token of tokensOf.get(sessionId) ?? []) known.delete(token)
        tokensOf.delete(sessionId)
      }
    }
  }
}

/** The result of `makeRememberedTokens`. */
export type RememberedTokens = ReturnType<typeof makeRememberedTokens>
