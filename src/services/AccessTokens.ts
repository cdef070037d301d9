import { webcrypto } from "node:crypto"
import { Clock, Context, Effect, Layer, Redacted, Schema } from "effect"
import { errors, jwtVerify, SignJWT } from "jose"
import { SessionId, UserId } from "../domain/Ids.ts"
import { Unauthenticated } from "../domain/Problem.ts"
import { Settings } from "./Settings.ts"

/** Whose token it is, and of which generation of the session's tokens. */
export interface Claims {
  readonly userId: UserId
  readonly sessionId: SessionId
  readonly generation: number
}

const invalid = new Unauthenticated({ code: "token-invalid", detail: "The access token is not valid" })
const expired = new Unauthenticated({ code: "token-expired", detail: "The access token has expired" })

const Payload = Schema.Struct({
  iss: Schema.String,
  sub: UserId,
  sid: SessionId,
  gen: Schema.Int,
  iat: Schema.Int,
  exp: Schema.Int
})
const decodePayload = Schema.decodeUnknownEffect(Payload, { onExcessProperty: "error" })

const algorithm = "HS256"
const type = "JWT"

const importKey = (secret: Redacted.Redacted<string>) =>
  Effect.promise(() =>
    webcrypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(Redacted.value(secret)),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign", "verify"]
    )
  )

/** Access tokens: JWTs signed with HS256. They say who asks until they expire; whether the session lives, they do not. */
export class AccessTokens extends Context.Service<
  AccessTokens,
  {
    readonly issue: (claims: Claims) => Effect.Effect<string>
    /** The claims of a token that we signed and that has not expired at `expiresAt`, in milliseconds since 1970. */
    readonly verify: (token: string) => Effect.Effect<Claims & { readonly expiresAt: number }, Unauthenticated>
  }
>()("chat/services/AccessTokens") {
  static readonly layer = Layer.effect(
    AccessTokens,
    Effect.gen(function* () {
      const { jwt } = yield* Settings
      if (jwt.secret === undefined) return yield* Effect.die("jwt.secret is not set")
      // Imported once: with the raw secret jose needs three times as long for each token.
      const key = yield* importKey(jwt.secret)
      const previousKeys = yield* Effect.forEach(jwt.previousSecrets, importKey)

      const open = (token: string, now: number) => {
        const options = {
          algorithms: [algorithm],
          issuer: jwt.issuer,
          typ: type,
          currentDate: new Date(now),
          requiredClaims: ["exp"]
        }
        const openWith = (key: webcrypto.CryptoKey) =>
          Effect.tryPromise({ try: () => jwtVerify(token, key, options), catch: (cause) => cause })
        return previousKeys.reduce(
          (opened, key) =>
            Effect.catchIf(
              opened,
              (cause) => cause instanceof errors.JWSSignatureVerificationFailed,
              () => openWith(key)
            ),
          openWith(key)
        )
      }

      return AccessTokens.of({
        issue: Effect.fn("AccessTokens.issue")(function* ({ generation, sessionId, userId }) {
          const now = yield* Clock.currentTimeMillis
          const token = new SignJWT({ sid: sessionId, gen: generation })
            .setProtectedHeader({ alg: algorithm, typ: type })
            .setIssuer(jwt.issuer)
            .setSubject(userId)
            .setIssuedAt(Math.floor(now / 1000))
            .setExpirationTime(Math.floor((now + jwt.expiration) / 1000))
          return yield* Effect.promise(() => token.sign(key))
        }),
        verify: Effect.fn("AccessTokens.verify")(function* (token) {
          const now = yield* Clock.currentTimeMillis
          const { payload, protectedHeader } = yield* open(token, now).pipe(
            Effect.catch((cause) =>
              cause instanceof errors.JWTExpired
                ? Effect.fail(expired)
                : cause instanceof errors.JOSEError
                  ? Effect.fail(invalid)
                  : Effect.die(cause)
            )
          )
          // We write these two parameters and no others.
          if (Object.keys(protectedHeader).length !== 2) return yield* invalid
          const claims = yield* Effect.mapError(decodePayload(payload), () => invalid)
          return { userId: claims.sub, sessionId: claims.sid, generation: claims.gen, expiresAt: claims.exp * 1000 }
        })
      })
    })
  )
}
