import { generateKeyPairSync, type KeyObject } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify, SignJWT } from "jose"
import { SessionId, UserId } from "../../src/domain/Ids.ts"
import { AccessTokens } from "../../src/services/identity/AccessTokens.ts"
import { makeRefreshTokens, type Rotation, rotate } from "../../src/services/identity/RefreshTokens.ts"
import { makeRememberedTokens } from "../../src/services/identity/RememberedTokens.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

const secret = (name: string) => Redacted.make(`${name} ${"x".repeat(32)}`)
const one = secret("one")
const two = secret("two")
const three = secret("three")
const claims = {
  userId: UserId.make("0198a7a0-0000-7000-8000-000000000001"),
  sessionId: SessionId.make("0198a7a0-0000-7000-8000-000000000002"),
  generation: 3
}

const signedBy = (secret: Redacted.Redacted<string>, ...previousSecrets: ReadonlyArray<Redacted.Redacted<string>>) =>
  AccessTokens.layer.pipe(Layer.provide(SettingsMemory.layerMemory({ jwt: { secret, previousSecrets } })))

describe("access tokens", () => {
  it.effect("are valid under a previous secret, and under no other one", () =>
    Effect.gen(function* () {
      const token = yield* AccessTokens.use((tokens) => tokens.issue(claims)).pipe(Effect.provide(signedBy(one)))
      const verify = AccessTokens.use((tokens) => tokens.verify(token))
      const verified = { ...claims, expiresAt: 3_600_000 }
      assert.deepStrictEqual(yield* verify.pipe(Effect.provide(signedBy(one))), verified)
      assert.deepStrictEqual(yield* verify.pipe(Effect.provide(signedBy(three, two, one))), verified)
      const refused = yield* Effect.flip(verify.pipe(Effect.provide(signedBy(three, two))))
      assert.strictEqual(refused.code, "token-invalid")
    })
  )
})

describe("access tokens with EdDSA", () => {
  const inEdDsa = (secret: Redacted.Redacted<string>, ...previousSecrets: ReadonlyArray<Redacted.Redacted<string>>) =>
    AccessTokens.layer.pipe(
      Layer.provide(SettingsMemory.layerMemory({ jwt: { algorithm: "EdDSA", secret, previousSecrets } }))
    )
  const issue = AccessTokens.use((tokens) => tokens.issue(claims))
  const verify = (token: string) => AccessTokens.use((tokens) => tokens.verify(token))

  it.effect("can be verified with the published keys alone", () =>
    Effect.gen(function* () {
      const { issue, publicKeys } = yield* AccessTokens
      const token = yield* issue(claims)
      assert.strictEqual(publicKeys.length, 2)
      const keySet = createLocalJWKSet({ keys: publicKeys.map((key) => ({ ...key })) })
      const { payload, protectedHeader } = yield* Effect.promise(() =>
        jwtVerify(token, keySet, { currentDate: new Date(0) })
      )
      assert.deepInclude(payload, { sub: claims.userId, sid: claims.sessionId })
      assert.strictEqual(protectedHeader.alg, "EdDSA")
      assert.strictEqual(protectedHeader.kid, publicKeys[0]?.kid)
      assert.notInclude(JSON.stringify(publicKeys), '"d"')
    }).pipe(Effect.provide(inEdDsa(one, two)))
  )

  it.effect("are valid on nodes that sign with HS256, under a previous secret, and the other way round", () =>
    Effect.gen(function* () {
      const token = yield* issue.pipe(Effect.provide(inEdDsa(one)))
      const shared = yield* issue.pipe(Effect.provide(signedBy(one)))
      for (const layer of [signedBy(one), signedBy(two, one), inEdDsa(one), inEdDsa(two, one)]) {
        assert.deepInclude(yield* verify(token).pipe(Effect.provide(layer)), claims)
        assert.deepInclude(yield* verify(shared).pipe(Effect.provide(layer)), claims)
      }
      for (const refused of [token, shared]) {
        const error = yield* Effect.flip(verify(refused).pipe(Effect.provide(inEdDsa(two, three))))
        assert.strictEqual(error.code, "token-invalid")
      }
    })
  )

  it.effect("no public key is taken for a secret, and no other header is valid", () =>
    Effect.gen(function* () {
      const { issue, publicKeys, verify } = yield* AccessTokens
      const [key] = publicKeys
      const { payload, protectedHeader } = yield* Effect.map(issue(claims), (token) => ({
        payload: decodeJwt(token),
        protectedHeader: decodeProtectedHeader(token)
      }))
      const { privateKey } = generateKeyPairSync("ed25519")
      const signed = (header: object, signer: Uint8Array | KeyObject) =>
        Effect.promise(() => new SignJWT(payload).setProtectedHeader({ alg: "HS256", ...header }).sign(signer))
      const x = key?.x ?? ""
      const forged = [
        yield* signed({ typ: "JWT" }, Buffer.from(x, "base64url")),
        yield* signed({ typ: "JWT" }, Buffer.from(x)),
        yield* signed({ ...protectedHeader, alg: "HS256" }, Buffer.from(x, "base64url")),
        yield* signed({ ...protectedHeader }, privateKey),
        yield* signed({ alg: "EdDSA", typ: "JWT", jwk: key }, privateKey)
      ]
      for (const token of forged) assert.strictEqual((yield* Effect.flip(verify(token))).code, "token-invalid", token)
    }).pipe(Effect.provide(inEdDsa(one)))
  )
})

describe("an access token", () => {
  it.effect("has one spelling", () =>
    Effect.gen(function* () {
      const tokens = yield* AccessTokens
      const token = yield* tokens.issue(claims)
      // 32 bytes are 43 characters, the last of which has two bits that decoders ignore.
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
      const last = alphabet.indexOf(token.at(-1) ?? "")
      const same = alphabet[last ^ 1] ?? ""
      for (const other of [token.slice(0, -1) + same, `${token}=`, ` ${token}`]) {
        assert.notStrictEqual(other, token)
        assert.strictEqual((yield* Effect.flip(tokens.verify(other))).code, "token-invalid", other)
      }
      assert.deepInclude(yield* tokens.verify(token), claims)
    }).pipe(Effect.provide(signedBy(one)))
  )
})

describe("refresh tokens", () => {
  it("are valid under a previous secret, and under no other one", () => {
    const { generation, sessionId } = claims
    const token = makeRefreshTokens([one]).issue(claims)
    assert.deepStrictEqual(makeRefreshTokens([one]).read(token), { generation, sessionId })
    assert.deepStrictEqual(makeRefreshTokens([three, two, one]).read(token), { generation, sessionId })
    assert.isUndefined(makeRefreshTokens([two]).read(token))
  })

  it("a token of a later generation than the stored one is the newest of a session that a restore has put back", () => {
    const session: Rotation = {
      generation: 3,
      previousGeneration: 2,
      droppedGeneration: 0,
      usedGeneration: 2,
      rotatedAt: new Date(0)
    }
    const restored = rotate(session, 7, new Date(1))
    assert.deepInclude(restored, { generation: 8, previousGeneration: 7, rotatedAt: new Date(1) })
    // What was replaced before is still recognised.
    for (const old of [1, 4, 6]) assert.isUndefined(rotate({ ...session, ...restored }, old, new Date(1)))
  })
})

describe("remembered tokens", () => {
  const principal = { userId: claims.userId, sessionId: claims.sessionId, expiresAt: 1000 }

  it("are forgotten when they expire, when their session ends, and the oldest when there are too many", () => {
    const tokens = makeRememberedTokens(2)
    const other = { ...principal, sessionId: SessionId.make("0198a7a0-0000-7000-8000-000000000003") }
    tokens.add("a", principal, tokens.ends())
    tokens.add("b", other, tokens.ends())
    assert.strictEqual(tokens.get("a", 999), principal)
    assert.isUndefined(tokens.get("a", 1000))
    tokens.add("c", principal, tokens.ends())
    tokens.add("d", principal, tokens.ends())
    assert.deepStrictEqual(
      ["b", "c", "d"].map((token) => tokens.get(token, 0)),
      [undefined, principal, principal]
    )
    tokens.forget([claims.sessionId])
    assert.deepStrictEqual(
      ["c", "d"].map((token) => tokens.get(token, 0)),
      [undefined, undefined]
    )
  })

  it("are at most four of a session, so that its refreshes push out no others", () => {
    const tokens = makeRememberedTokens(10)
    const other = { ...principal, sessionId: SessionId.make("0198a7a0-0000-7000-8000-000000000003") }
    tokens.add("other", other, tokens.ends())
    for (let i = 0; i < 20; i++) tokens.add(`${i}`, principal, tokens.ends())
    assert.deepStrictEqual(
      ["other", "15", "16", "19"].map((token) => tokens.get(token, 0)),
      [other, undefined, principal, principal]
    )
  })

  it("a token is not remembered when its session ends while the database is asked", () => {
    const tokens = makeRememberedTokens(2)
    const before = tokens.ends()
    tokens.forget([claims.sessionId])
    tokens.add("a", principal, before)
    assert.isUndefined(tokens.get("a", 0))
  })
})
