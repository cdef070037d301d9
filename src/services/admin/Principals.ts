import { hash } from "node:crypto"
import { Context, DateTime, Effect, Layer, Semaphore } from "effect"
import { parseUserReference, type UserReference } from "../../domain/ExternalId.ts"
import { type ServiceTokenId, SessionId, type UserId } from "../../domain/Ids.ts"
import {
  Forbidden,
  type InvalidRequest,
  invalid,
  type Unauthenticated,
  type Unavailable
} from "../../domain/Problem.ts"
import { accountDisabled, sessionEnded } from "../../domain/Refusals.ts"
import type { Principal } from "../../domain/Session.ts"
import { PubSub } from "../bus/PubSub.ts"
import { sessionsSubject } from "../bus/Subjects.ts"
import type { Device } from "../identity/Rows.ts"
import { Sessions } from "../identity/Sessions.ts"
import { every, makeWake } from "../platform/Background.ts"
import { Settings } from "../platform/Settings.ts"
import { serverIssuerOf } from "../platform/settings/IssuerSettings.ts"
import { isBotToken, ServiceTokens } from "./ServiceTokens.ts"

/** Whom a service token acts as, and with which token. */
interface Pair {
  readonly tokenId: ServiceTokenId
  readonly userId: UserId
}

/** The state of a pair: both are there, the account is closed (deleted or disabled), or the token is gone or has expired. */
export type Acting = "valid" | "closed" | "revoked"

/** Where accounts are found for those who act as their users. */
export class PrincipalStorage extends Context.Service<
  PrincipalStorage,
  {
    /** The user, unless the account is deleted. External ids are the subjects at `issuer`. */
    readonly find: (
      user: UserReference,
      issuer: string
    ) => Effect.Effect<{ readonly id: UserId; readonly disabled: boolean } | undefined, Unavailable>
    /** The states of pairs, in their order. A token with an expiry at or before `now` has expired. */
    readonly states: (pairs: ReadonlyArray<Pair>, now: Date) => Effect.Effect<ReadonlyArray<Acting>, Unavailable>
  }
>()("chat/services/PrincipalStorage") {}

/** Something that is open on behalf of a user: a socket or a stream. */
interface Open {
  readonly isClosing: boolean
}

const look = "the look at the tokens that act as users"

const malformed = invalid("Chat-Act-As", "must be the id of a user, or ext: and an external id")
const noSuchUser = new Forbidden({ detail: "There is no such user to act as" })
const notPermitted = new Forbidden({ detail: "This needs a service token with the scope act-as" })

/** The last millisecond that a timestamp can name: when a token expires that never does. */
const never = Date.UTC(9999, 11, 31, 23, 59, 59, 999)

/** The id that stands for a token and a user in place of a session: a UUID of version 8 (RFC 9562). */
const sessionIdOf = ({ tokenId, userId }: Pair): SessionId => {
  const digits = hash("sha256", `${tokenId} ${userId}`)
  const [a, b, c, d, e] = [
    [0, 8],
    [8, 12],
    [13, 16],
    [17, 20],
    [20, 32]
  ].map(([from, to]) => digits.slice(from, to))
  return SessionId.make(`${a}-${b}-8${c}-8${d}-${e}`)
}

const pairOf = ({ serviceTokenId, userId }: Principal): Pair | undefined =>
  serviceTokenId === undefined ? undefined : { tokenId: serviceTokenId, userId }

/**
 * Who makes a call in the name of a user: the user with an access token, a bot with its own token, or a program that acts as
 * the user with a service token.
 */
export class Principals extends Context.Service<
  Principals,
  {
    /**
     * The principal of a token. `actAs` is the content of `Chat-Act-As`: with it the token must be a service token with the
     * scope `act-as`, and without it an access token or the token of a bot. The service token, that of a bot, and the account
     * are read from the database each time, so that what is revoked or disabled ends at once. `Forbidden` without the scope, for
     * an unknown user and for a disabled account; `InvalidRequest` when `actAs` names nobody.
     */
    readonly authenticate: (
      token: string,
      actAs: string | undefined,
      device?: Device
    ) => Effect.Effect<Principal, InvalidRequest | Unauthenticated | Forbidden | Unavailable>
    /** Fails when the session, or the right to act as the user, has ended by now, as the database has it. */
    readonly check: (principal: Principal) => Effect.Effect<void, Unauthenticated | Unavailable>
    /**
     * Has the listeners of `Sessions.onEnded` called within `timers.sessionRecheck` of the end of the right to act as the
     * user, for as long as `open` is open. Repeating it changes nothing, and for a session it does nothing: that is
     * watched anyway.
     */
    readonly watch: (principal: Principal, open: Open) => Effect.Effect<void>
  }
>()("chat/services/Principals") {
  /** The rules, on any `PrincipalStorage`. */
  static readonly layerNoDeps = Layer.effect(
    Principals,
    Effect.gen(function* () {
      const { timers } = yield* Settings
      const pubSub = yield* PubSub
      const sessions = yield* Sessions
      const storage = yield* PrincipalStorage
      const { act, bot } = yield* makeHolders
      const watched = new Map<SessionId, Pair & { readonly opens: Set<Open> }>()

      const recheck = Effect.gen(function* () {
        for (const [id, { opens }] of watched) {
          for (const open of opens) if (open.isClosing) opens.delete(open)
          if (opens.size === 0) watched.delete(id)
        }
        if (watched.size === 0) return
        const entries = [...watched]
        const states = yield* storage.states(
          entries.map(([, pair]) => pair),
          yield* DateTime.nowAsDate
        )
        for (const state of ["closed", "revoked"] as const) {
          const ended = entries.flatMap(([id], index) => (states[index] === state ? [id] : []))
          for (const id of ended) watched.delete(id)
          yield* sessions.ending(Effect.succeed(ended), state === "closed")
        }
      }).pipe(Semaphore.makeUnsafe(1).withPermits(1))
      yield* pubSub.subscribe(sessionsSubject, yield* makeWake(look, recheck))
      yield* every(timers.sessionRecheck, look, recheck)

      return Principals.of({
        authenticate: (token, actAs, device) => {
          if (actAs !== undefined) return act(token, actAs)
          return isBotToken(token) ? bot(token) : sessions.authenticate(token, device)
        },
        check: Effect.fn("Principals.check")(function* (principal) {
          const pair = pairOf(principal)
          if (pair === undefined) return yield* sessions.check(principal)
          const [state] = yield* storage.states([pair], yield* DateTime.nowAsDate)
          if (state !== "valid") return yield* sessionEnded
        }),
        watch: (principal, open) =>
          Effect.sync(() => {
            const pair = pairOf(principal)
            if (pair === undefined) return
            const known = watched.get(principal.sessionId)
            if (known === undefined) watched.set(principal.sessionId, { ...pair, opens: new Set([open]) })
            else known.opens.add(open)
          })
      })
    })
  )
}

/** Makes the functions that find out for whom a service token acts, and which bot a token belongs to. */
const makeHolders = Effect.gen(function* () {
  const { auth } = yield* Settings
  const storage = yield* PrincipalStorage
  const tokens = yield* ServiceTokens
  const issuer = serverIssuerOf(auth)

  const act = Effect.fn("Principals.act")(function* (token: string, actAs: string) {
    const service = yield* tokens.authenticate(token)
    if (!service.scopes.includes("act-as")) return yield* notPermitted
    const wanted = parseUserReference(actAs)
    if (wanted === undefined) return yield* malformed
    const user = yield* storage.find(wanted, issuer)
    if (user === undefined) return yield* noSuchUser
    if (user.disabled) return yield* accountDisabled
    const pair = { tokenId: service.tokenId, userId: user.id }
    const principal: Principal = {
      userId: user.id,
      sessionId: sessionIdOf(pair),
      expiresAt: service.expiresAt ?? never,
      serviceTokenId: service.tokenId
    }
    return principal
  })

  const bot = Effect.fn("Principals.bot")(function* (token: string) {
    const { botId: userId, expiresAt, tokenId } = yield* tokens.authenticateBot(token)
    const user = yield* storage.find({ userId }, issuer)
    if (user === undefined) return yield* sessionEnded
    if (user.disabled) return yield* accountDisabled
    const principal: Principal = {
      userId,
      sessionId: sessionIdOf({ tokenId, userId }),
      expiresAt: expiresAt ?? never,
      serviceTokenId: tokenId,
      isBot: true
    }
    return principal
  })

  return { act, bot }
})
