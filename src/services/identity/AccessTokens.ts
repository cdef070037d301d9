import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject, webcrypto } from "node:crypto"
import { Clock, Context, Effect, Layer, Redacted, Schema } from "effect"
import { calculateJwkThumbprint, decodeProtectedHeader, errors, jwtVerify, SignJWT } from "jose"
import { SessionId, UserId } from "../../domain/Ids.ts"
import { Unauthenticated } from "../../domain/Problem.ts"
import type { PublicKey } from "../../domain/Session.ts"
import { Settings } from "../platform/Settings.ts"

/** The user and session of a token, and the generation of the session's tokens that it belongs to. */
interface Claims {
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

/**
 * Whether the parts of a token have the spelling that we write. The last character of a part has bits that decoders
 * ignore.
 */
const isCanonical = (token: string) =>
  token.split(".").every((part) => Buffer.from(part, "base64url").toString("base64url") === part)

/** A key for access tokens, and the parameters of the header of a token that it signs. */
interface TokenKey {
  readonly header: { readonly alg: "HS256" } | { readonly alg: "EdDSA"; readonly kid: string }
  readonly signs: webcrypto.CryptoKey | KeyObject
  readonly verifies: webcrypto.CryptoKey | KeyObject
}

/** The key for HS256. It is imported once: with the raw secret jose needs three times as long for each token. */
const sharedKey = (secret: Redacted.Redacted<string>): Effect.Effect<TokenKey> =>
  Effect.map(
    Effect.promise(() =>
      webcrypto.subtle.importKey(
        "raw",
        new TextEncoder().encode(Redacted.value(secret)),
        { name: "HMAC", hash: "SHA-256" },
        false,
        ["sign", "verify"]
      )
    ),
    (key) => ({ header: { alg: "HS256" }, signs: key, verifies: key })
  )

/** What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410, section 7). */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex")

const decodeX = Schema.decodeUnknownSync(Schema.Struct({ x: Schema.String }))

/**
 * The Ed25519 key pair of a secret, derived by HKDF (RFC 5869), so that all nodes have the same one and `jwt.secret` stays
 * the only secret to keep. The key id is the thumbprint of RFC 7638.
 */
const keyPair = Effect.fnUntraced(function* (secret: Redacted.Redacted<string>) {
  const seed = hkdfSync("sha256", Redacted.value(secret), "", "chat access tokens", 32)
  const signs = createPrivateKey({ key: Buffer.concat([pkcs8, Buffer.from(seed)]), format: "der", type: "pkcs8" })
  const verifies = createPublicKey(signs)
  const { x } = decodeX(verifies.export({ format: "jwk" }))
  const jwk = { kty: "OKP", crv: "Ed25519", x } as const
  const kid = yield* Effect.promise(() => calculateJwkThumbprint(jwk))
  const publicKey: PublicKey = { ...jwk, kid, use: "sig", alg: "EdDSA" }
  return { header: { alg: "EdDSA", kid }, signs, verifies, publicKey } as const
})

const type = "JWT"

/** The parameters of a header in a fixed order, to compare two of them. */
const headerText = (header: object) => JSON.stringify(Object.entries(header).sort())

/** The keys that a token could have been signed with, by what its header says, which is exactly what we write. */
const keysFor = (token: string, keys: ReadonlyArray<TokenKey>): ReadonlyArray<TokenKey> => {
  try {
    const header = headerText(decodeProtectedHeader(token))
    return keys.filter((key) => headerText({ ...key.header, typ: type }) === header)
  } catch {
    // It is no JWT.
    return []
  }
}

/**
 * Access tokens: JWTs signed with HS256, or with EdDSA for services that verify them by the public keys. Tokens of both
 * algorithms are valid, so that `jwt.algorithm` can be changed. Until it expires, a token proves who its holder is, but
 * not that the session still lives.
 */
export class AccessTokens extends Context.Service<
  AccessTokens,
  {
    /**
     * Signs a token that expires after `lifetimeMs` milliseconds, or else after `jwt.expiration`. Each call makes a new
     * token, and the earlier ones stay valid.
     */
    readonly issue: (claims: Claims, lifetimeMs?: number) => Effect.Effect<string>
    /** The claims of a token that we signed and that has not expired. `expiresAt` is in milliseconds since 1970. */
    readonly verify: (token: string) => Effect.Effect<Claims & { readonly expiresAt: number }, Unauthenticated>
    /** The public keys of `jwt.secret` and `jwt.previous_secrets`, for tokens that are signed with EdDSA. */
    readonly publicKeys: ReadonlyArray<PublicKey>
  }
>()("chat/services/AccessTokens") {
  static readonly layer = Layer.effect(
    AccessTokens,
    Effect.gen(function* () {
      const { jwt } = yield* Settings
      if (jwt.secret === undefined) return yield* Effect.die("jwt.secret is not set")
      const secrets = [jwt.secret, ...jwt.previousSecrets]
      const shared = yield* Effect.forEach(secrets, sharedKey)
      const pairs = yield* Effect.forEach(secrets, keyPair)
      const keys = [...shared, ...pairs]
      const own = keys.find(({ header }) => header.alg === jwt.algorithm)
      if (own === undefined) return yield* Effect.die("jwt.algorithm has no key")

      const open = (token: string, now: number) => {
        const options = {
          issuer: jwt.issuer,
          typ: type,
          currentDate: new Date(now),
          requiredClaims: ["exp"]
        }
        const openWith = ({ header, verifies }: TokenKey) =>
          Effect.tryPromise({
            try: () => jwtVerify(token, verifies, { ...options, algorithms: [header.alg] }),
            catch: (cause) => cause
          })
        const [first, ...others] = keysFor(token, keys)
        if (first === undefined) return Effect.fail(new errors.JWSInvalid())
        return others.reduce(
          (opened, key) =>
            Effect.catchIf(
              opened,
              (cause) => cause instanceof errors.JWSSignatureVerificationFailed,
              () => openWith(key)
            ),
          openWith(first)
        )
      }

      return AccessTokens.of({
        issue: Effect.fn("AccessTokens.issue")(function* (
          { generation, sessionId, userId },
          lifetimeMs = jwt.expiration
        ) {
          const now = yield* Clock.currentTimeMillis
          const token = new SignJWT({ sid: sessionId, gen: generation })
            .setProtectedHeader({ ...own.header, typ: type })
            .setIssuer(jwt.issuer)
            .setSubject(userId)
            .setIssuedAt(Math.floor(now / 1000))
            .setExpirationTime(Math.floor((now + lifetimeMs) / 1000))
          return yield* Effect.promise(() => token.sign(own.signs))
        }),
        verify: Effect.fn("AccessTokens.verify")(function* (token) {
          if (!isCanonical(token)) return yield* invalid
          const now = yield* Clock.currentTimeMillis
          const { payload } = yield* open(token, now).pipe(
            Effect.catch((cause) =>
              cause instanceof errors.JWTExpired
                ? Effect.fail(expired)
                : cause instanceof errors.JOSEError
                  ? Effect.fail(invalid)
                  : Effect.die(cause)
            )
          )
          const claims = yield* Effect.mapError(decodePayload(payload), () => invalid)
          return { userId: claims.sub, sessionId: claims.sid, generation: claims.gen, expiresAt: claims.exp * 1000 }
        }),
        publicKeys: pairs.map(({ publicKey }) => publicKey)
      })
    })
  )
}
