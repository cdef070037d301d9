import { hash } from "node:crypto"
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import { decodeJwt, decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose"
import { SessionId } from "../../../domain/Ids.ts"
import { Unauthenticated, Unavailable } from "../../../domain/Problem.ts"
import { Text } from "../../../domain/Text.ts"
import { Team } from "../../../domain/User.ts"
import { Settings } from "../../platform/Settings.ts"
import type { Issuer } from "../../platform/settings/IssuerSettings.ts"
import { KeyDocuments } from "./KeyDocuments.ts"
import { makeKeySet, skew } from "./KeySets.ts"
import { type ExternalProfile, makeProfileOf } from "./Profiles.ts"

/** What a verified token of an issuer says. Times are in milliseconds since 1970. */
export interface ExternalToken {
  readonly issuer: string
  readonly subject: string
  /** The session that all tokens with the same `sid` share, or the same `jti`; else the token has one of its own. */
  readonly sessionId: SessionId
  readonly issuedAt: number
  readonly expiresAt: number
  readonly profile: ExternalProfile
  /** Whether an unknown subject becomes a new user. */
  readonly creates: boolean
  /** Whether the profile follows the claims. */
  readonly updates: boolean
}

/** A token does not choose its own key, so these parameters of its header (RFC 7515) are refused. */
const keyParameters = ["jku", "jwk", "x5u"]

/** Other kinds of JWTs, such as logout tokens, must not pass for access tokens (RFC 8725, section 3.11). */
const types = ["jwt", "at+jwt", "application/at+jwt"]

const sharedAlgorithms = ["HS256"]
const publicKeyAlgorithms = ["ES256", "EdDSA", "RS256"]

const Times = Schema.Struct({ exp: Schema.Finite, iat: Schema.Finite, sub: Schema.String })
const readTimes = Schema.decodeUnknownOption(Times)
const readSubject = Schema.decodeUnknownOption(Text.check(Schema.isMinLength(1), Schema.isMaxLength(255)))

const readTeam = Schema.decodeUnknownOption(Schema.NullOr(Team))

/**
 * The team in the claims of a token: null when they name none, undefined when the token must be refused. A team keeps users
 * apart, so one that cannot be read does not count as none where the settings name the claim.
 */
const teamOf = (payload: JWTPayload, configured: string | undefined) =>
  Option.getOrElse(readTeam(payload[configured ?? "team"] ?? null), () => (configured === undefined ? null : undefined))

const invalid = (reason: string) =>
  new Unauthenticated({ code: "token-invalid", detail: `The token is not valid: ${reason}` })
const expired = new Unauthenticated({ code: "token-expired", detail: "The token has expired" })

const isMissingKey = (cause: unknown) => cause instanceof errors.JWKSNoMatchingKey

/** The refusal for a failure of jose. Its words name a claim or an algorithm, and never the value of a claim. */
const refusalOf = (cause: unknown) => {
  if (cause instanceof errors.JWTExpired) return expired
  if (cause instanceof errors.JWTClaimValidationFailed)
    return invalid(`${cause.claim} is ${cause.reason === "missing" ? "missing" : "not what it must be"}`)
  if (cause instanceof errors.JWKSNoMatchingKey) return invalid("its issuer has no such key")
  if (cause instanceof errors.JWKSMultipleMatchingKeys) return invalid("several keys fit, and it names none (kid)")
  if (cause instanceof errors.JWSSignatureVerificationFailed) return invalid("the signature is wrong")
  if (cause instanceof errors.JOSEAlgNotAllowed) return invalid("its algorithm is not one of the issuer's")
  return invalid(cause instanceof errors.JOSEError ? "it is malformed" : "the key of its issuer is unusable")
}

/** The claims of what may be a token, which nobody has verified yet. */
const claimsOf = (token: string): JWTPayload => {
  try {
    return decodeJwt(token)
  } catch {
    return {}
  }
}

const headerOf = (token: string) => {
  try {
    return decodeProtectedHeader(token)
  } catch {
    return undefined
  }
}

/** What is wrong with the header of a token. */
const problemOfHeader = (token: string): string | undefined => {
  const header = headerOf(token)
  if (header === undefined) return "it is malformed"
  const own = keyParameters.find((name) => name in header)
  if (own !== undefined) return `its header has ${own}`
  const typ: unknown = header.typ
  const isJwt = typ === undefined || (typeof typ === "string" && types.includes(typ.toLowerCase()))
  return isJwt ? undefined : "its typ is not JWT"
}

/**
 * The id of the session of a token, as a UUID of version 8 (RFC 9562) made of a hash. Without `sid` and `jti` it is that of
 * what the signature covers: the signature itself can be changed by its holder.
 */
const sessionIdOf = (issuer: string, subject: string, { jti, sid }: JWTPayload, token: string) => {
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : undefined)
  const signed = token.slice(0, token.lastIndexOf("."))
  const [kind, id] = text(sid) !== undefined ? ["sid", sid] : text(jti) !== undefined ? ["jti", jti] : ["token", signed]
  const hex = hash("sha256", JSON.stringify([issuer, subject, kind, id]), "hex")
  const variant = "89ab"[Number.parseInt(hex.charAt(16), 16) % 4]
  return SessionId.make(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
  )
}

const makeVerify = Effect.fnUntraced(function* (issuer: Issuer) {
  const { limits } = yield* Settings
  const keySet = yield* makeKeySet(issuer)
  const profileOf = makeProfileOf(issuer, limits)
  const { audience, claims, issuer: name, maxLifetime } = issuer
  const algorithms = [...(issuer.algorithms ?? (issuer.secret === undefined ? publicKeyAlgorithms : sharedAlgorithms))]

  const open = (token: string, now: number) => (keys: JWTVerifyGetKey) =>
    Effect.tryPromise({
      try: () =>
        jwtVerify(token, keys, {
          issuer: name,
          audience,
          algorithms,
          clockTolerance: skew / 1000,
          currentDate: new Date(now),
          requiredClaims: ["exp", "iat", "sub", "aud"]
        }),
      catch: (cause) => cause
    })

  return Effect.fn("ExternalTokens.verify")(function* (token: string, issuedAt: number) {
    const problem = problemOfHeader(token)
    if (problem !== undefined) return yield* invalid(problem)
    const now = yield* Clock.currentTimeMillis
    const { payload } = yield* keySet
      .use(open(token, now), isMissingKey, issuedAt)
      .pipe(Effect.mapError((cause) => (cause instanceof Unavailable ? cause : refusalOf(cause))))
    const times = readTimes(payload)
    const subject = readSubject(payload[claims.subject])
    if (Option.isNone(times)) return yield* invalid("exp, iat and sub must be two numbers and a text")
    if (Option.isNone(subject)) return yield* invalid(`${claims.subject} must be a text of 1 to 255 characters`)
    const team = teamOf(payload, claims.team)
    if (team === undefined) return yield* invalid(`${claims.team} must be a text of 1 to 255 characters`)
    const { exp, iat } = times.value
    if (iat * 1000 > now + skew) return yield* invalid("iat is in the future")
    if ((exp - iat) * 1000 > maxLifetime) return yield* invalid("it lives longer than max_lifetime")
    const verified: ExternalToken = {
      issuer: name,
      subject: subject.value,
      sessionId: sessionIdOf(name, subject.value, payload, token),
      issuedAt: Math.floor(iat * 1000),
      expiresAt: Math.floor(exp * 1000 + skew),
      profile: profileOf(subject.value, team, payload),
      creates: issuer.provision === "create",
      updates: issuer.updateProfile === "always"
    }
    return verified
  })
})

/**
 * Tokens that issuers of the settings have signed for their own users. `iss` decides for the keys, the algorithms and the
 * audience (RFC 8725).
 */
export class ExternalTokens extends Context.Service<
  ExternalTokens,
  {
    /**
     * What a token says whose issuer the service trusts. The `detail` of a refusal says what is wrong with it. Undefined for
     * any other text, which may be a token of our own. `Unavailable` while the keys of the issuer cannot be had, or may be
     * older than the key of the token.
     */
    readonly verify: (token: string) => Effect.Effect<ExternalToken | undefined, Unauthenticated | Unavailable>
  }
>()("chat/services/ExternalTokens") {
  static readonly layerNoDeps = Layer.effect(
    ExternalTokens,
    Effect.gen(function* () {
      const { auth } = yield* Settings
      const verifies = new Map(
        yield* Effect.forEach(auth.issuers, (issuer) =>
          Effect.map(makeVerify(issuer), (verify) => [issuer.issuer, verify] as const)
        )
      )
      return ExternalTokens.of({
        verify: (token) => {
          const { iat = 0, iss = "" } = verifies.size === 0 ? {} : claimsOf(token)
          const verify = verifies.get(iss)
          return verify === undefined ? Effect.succeed(undefined) : verify(token, iat * 1000)
        }
      })
    })
  )

  /** Tokens whose keys are fetched over HTTP. */
  static readonly layer = ExternalTokens.layerNoDeps.pipe(Layer.provide(KeyDocuments.layer))
}
