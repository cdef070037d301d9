import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { SessionId, UserId } from "../../src/domain/Ids.ts"
import { AccessTokens } from "../../src/services/AccessTokens.ts"
import { makeRefreshTokens, type Rotation, rotate } from "../../src/services/RefreshTokens.ts"
import { makeRememberedTokens } from "../../src/services/RememberedTokens.ts"
import { Settings } from "../../src/services/Settings.ts"

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
  AccessTokens.layer.pipe(Layer.provide(Settings.layerTest({ jwt: { secret, previousSecrets } })))

describe("access tokens", () => {
  it.effect("are good under a previous secret, and only then", () =>
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

describe("refresh tokens", () => {
  it("are good under a previous secret, and only then", () => {
    const { generation, sessionId } = claims
    const token = makeRefreshTokens([one]).issue(claims)
    assert.deepStrictEqual(makeRefreshTokens([one]).read(token), { generation, sessionId })
    assert.deepStrictEqual(makeRefreshTokens([three, two, one]).read(token), { generation, sessionId })
    assert.isUndefined(makeRefreshTokens([two]).read(token))
  })

  it("one of a generation to come was not made by this database: it ends the session", () => {
    const session: Rotation = {
      generation: 3,
      previousGeneration: 2,
      droppedGeneration: 0,
      usedGeneration: 2,
      rotatedAt: new Date(0)
    }
    assert.isUndefined(rotate(session, 4, new Date(0)))
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

  it("one whose session ended while the database was asked is not remembered", () => {
    const tokens = makeRememberedTokens(2)
    const before = tokens.ends()
    tokens.forget([claims.sessionId])
    tokens.add("a", principal, before)
    assert.isUndefined(tokens.get("a", 0))
  })
})
