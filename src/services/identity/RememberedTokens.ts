import { hash } from "node:crypto"
import type { SessionId } from "../../domain/Ids.ts"
import type { Principal } from "../../domain/Session.ts"

/**
 * How many tokens of one session are remembered: a session that refreshes again and again does not push out the tokens
 * of others.
 */
const perSession = 4

/** By what a token is remembered: it is a tenth as long, and no secret. */
const keyOf = (token: string) => hash("sha256", token, "base64")

/**
 * Makes a memory of verified access tokens, so that the next request with the same token costs one look into a map. The
 * oldest tokens are dropped when there are more than `capacity`.
 */
export const makeRememberedTokens = (capacity: number) => {
  const known = new Map<string, { readonly principal: Principal; readonly until: number }>()
  const keysOf = new Map<SessionId, Array<string>>()
  let ends = 0

  const drop = (key: string, { sessionId }: Principal) => {
    known.delete(key)
    const left = keysOf.get(sessionId)?.filter((other) => other !== key) ?? []
    if (left.length === 0) keysOf.delete(sessionId)
    else keysOf.set(sessionId, left)
  }

  return {
    /** The holder of the token; undefined when it has expired or is not remembered. */
    get: (token: string, now: number): Principal | undefined => {
      const key = keyOf(token)
      const found = known.get(key)
      if (found === undefined) return undefined
      if (found.until > now) return found.principal
      drop(key, found.principal)
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
      const key = keyOf(token)
      known.set(key, { principal, until: Math.min(until, principal.expiresAt) })
      const others = keysOf.get(principal.sessionId)?.filter((other) => other !== key) ?? []
      keysOf.set(principal.sessionId, others.concat(key))
      const [first] = others
      if (others.length >= perSession && first !== undefined) drop(first, principal)
      for (const [oldest, holder] of known) {
        if (known.size <= capacity) break
        drop(oldest, holder.principal)
      }
    },
    /** Forgets all tokens of these sessions. */
    forget: (sessionIds: ReadonlyArray<SessionId>) => {
      if (sessionIds.length > 0) ends++
      for (const sessionId of sessionIds) {
        for (const key of keysOf.get(sessionId) ?? []) known.delete(key)
        keysOf.delete(sessionId)
      }
    }
  }
}

/** The result of `makeRememberedTokens`. */
export type RememberedTokens = ReturnType<typeof makeRememberedTokens>
