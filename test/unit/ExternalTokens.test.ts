import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT, UnsecuredJWT } from "jose"
import { ExternalTokens } from "../../src/services/identity/issuers/ExternalTokens.ts"
import { KeyDocuments, KeysUnavailable } from "../../src/services/identity/issuers/KeyDocuments.ts"
import type { Issuer } from "../../src/services/platform/settings/IssuerSettings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { TestIssuer } from "../../src/testing/TestIssuer.ts"

const outcome = <A, E extends { readonly _tag: string; readonly code?: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error) => error.code ?? error._tag, onSuccess: () => "ok" })

const verify = (token: string) => ExternalTokens.use((tokens) => outcome(tokens.verify(token)))

/** What is wrong with a token. */
const refusal = (token: string) =>
  ExternalTokens.use((tokens) => Effect.map(Effect.flip(tokens.verify(token)), ({ detail }) => detail))

const trusting = (...issuers: ReadonlyArray<Issuer>) =>
  ExternalTokens.layer.pipe(Layer.provide(SettingsMemory.layerMemory({ auth: { issuers } })))

const issuer = "https://app.example.com"
const secret = "a secret that an app shares with us, of 32 bytes"

const base: Omit<Issuer, "keys"> = {
  issuer,
  audience: "chat",
  claims: {
    subject: "sub",
    username: "preferred_username",
    name: "name",
    picture: "picture",
    email: "email",
    team: "team"
  },
  provision: "create",
  updateProfile: "always",
  maxLifetime: 24 * 3_600_000
}

const claims = { iss: issuer, aud: "chat", sub: "42", iat: 0, exp: 3600 }

type Key = Parameters<SignJWT["sign"]>[0]

const sign = (key: Key, header: JWTHeaderParameters, payload: object = claims) =>
  Effect.promise(() => new SignJWT({ ...payload }).setProtectedHeader(header).sign(key))

const base64url = (payload: object) => Buffer.from(JSON.stringify(payload)).toString("base64url")

const makeKey = (algorithm: string, kid: string) =>
  Effect.promise(async () => {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true })
    const jwk: JWK = { ...(await exportJWK(publicKey)), kid, alg: algorithm }
    return { privateKey, jwk }
  })

/** Settings take keys that are read from JSON. */
const published = ({ alg, crv, e, kid, kty, n, x, y }: JWK) =>
  JSON.parse(JSON.stringify({ alg, crv, e, kid, kty, n, x, y }))

describe("external tokens", () => {
  it.effect("are valid as the issuer of the settings signs them, and as no one else does", () =>
    Effect.gen(function* () {
      const [ec, rsa] = [yield* makeKey("ES256", "1"), yield* makeKey("RS256", "2")]
      const pss = yield* makeKey("PS256", "3")
      const good = { alg: "ES256", kid: "1" }
      const { exp: _, ...endless } = claims
      const { iat: __, ...ageless } = claims
      const { sub: ___, ...nobody } = claims
      const { aud: ____, ...everywhere } = claims
      const spki = Buffer.from(JSON.stringify(rsa.jwk))
      yield* Effect.gen(function* () {
        assert.strictEqual(
          yield* verify(yield* sign(ec.privateKey, good)),
          "ok",
          "the control: what differs is refused"
        )
        assert.strictEqual(yield* verify(yield* sign(rsa.privateKey, { alg: "RS256", kid: "2", typ: "JWT" })), "ok")
        assert.strictEqual(yield* verify(yield* sign(ec.privateKey, good, { ...claims, aud: ["x", "chat"] })), "ok")
        const token = yield* sign(ec.privateKey, good)
        const refused = {
          "another key": yield* sign((yield* makeKey("ES256", "1")).privateKey, good),
          "the key of another id": yield* sign(ec.privateKey, { alg: "ES256", kid: "2" }),
          "an algorithm that the settings lack": yield* sign(pss.privateKey, { alg: "PS256", kid: "3" }),
          "HS256 with a public key": yield* sign(spki, { alg: "HS256", kid: "2" }),
          none: new UnsecuredJWT(claims).encode(),
          jku: yield* sign(ec.privateKey, { ...good, jku: "https://evil.example.com/jwks" }),
          x5u: yield* sign(ec.privateKey, { ...good, x5u: "https://evil.example.com/x5u" }),
          jwk: yield* sign(ec.privateKey, { ...good, jwk: ec.jwk }),
          "unknown crit": yield* Effect.promise(() =>
            new SignJWT({ ...claims })
              .setProtectedHeader({ ...good, crit: ["exp"], exp: true })
              .sign(ec.privateKey, { crit: { exp: true } })
          ),
          "another type": yield* sign(ec.privateKey, { ...good, typ: "logout+jwt" }),
          "a type that is a number": `${base64url({ ...good, typ: 5 })}.${token.split(".").slice(1).join(".")}`,
          "a header that is no JSON": token.replace(/^[^.]+/, "!!"),
          "another audience": yield* sign(ec.privateKey, good, { ...claims, aud: "another" }),
          "no audience": yield* sign(ec.privateKey, good, everywhere),
          "no end": yield* sign(ec.privateKey, good, endless),
          "no time of issue": yield* sign(ec.privateKey, good, ageless),
          "no subject": yield* sign(ec.privateKey, good, nobody),
          "an empty subject": yield* sign(ec.privateKey, good, { ...claims, sub: "" }),
          "a subject with a NUL": yield* sign(ec.privateKey, good, { ...claims, sub: "a\u0000" }),
          "a long subject": yield* sign(ec.privateKey, good, { ...claims, sub: "x".repeat(256) }),
          "a subject that is a number": yield* sign(ec.privateKey, good, { ...claims, sub: 42 }),
          "a long life": yield* sign(ec.privateKey, good, { ...claims, exp: 24 * 3600 + 1 }),
          "an issue in the future": yield* sign(ec.privateKey, good, { ...claims, iat: 31 }),
          "a later beginning": yield* sign(ec.privateKey, good, { ...claims, nbf: 31 }),
          "another payload": token.replace(/\.[^.]+\./, `.${base64url({ ...claims, sub: "43" })}.`),
          "no signature": token.replace(/[^.]+$/, "")
        }
        for (const [what, bad] of Object.entries(refused)) {
          assert.strictEqual(yield* verify(bad), "token-invalid", what)
        }
        assert.include(yield* refusal(refused["another audience"]), "aud")
        assert.include(yield* refusal(refused["a long life"]), "max_lifetime")
        assert.include(yield* refusal(refused.jku), "jku")
      }).pipe(
        Effect.provide(
          trusting({
            ...base,
            algorithms: ["ES256", "RS256"],
            keys: [published(ec.jwk), published(rsa.jwk), published(pss.jwk)]
          })
        )
      )
    })
  )

  it.effect("may be 30 seconds off, and expire then", () =>
    Effect.gen(function* () {
      const tokens = yield* ExternalTokens
      const key = Buffer.from(secret)
      const token = yield* sign(key, { alg: "HS256" }, { ...claims, iat: 30 })
      assert.deepInclude(yield* tokens.verify(token), { subject: "42", issuedAt: 30_000, expiresAt: 3_630_000 })
      yield* TestClock.adjust("3629 seconds")
      assert.strictEqual(yield* verify(token), "ok")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* verify(token), "token-expired")
    }).pipe(Effect.provide(trusting({ ...base, secret: Redacted.make(secret) })))
  )

  it.effect("of an issuer that nobody has named are left to others", () =>
    Effect.gen(function* () {
      const tokens = yield* ExternalTokens
      const other = yield* sign(Buffer.from(secret), { alg: "HS256" }, { ...claims, iss: `${issuer}/` })
      for (const text of [other, "", "x.y.z", "cst_x"]) assert.isUndefined(yield* tokens.verify(text))
    }).pipe(Effect.provide(trusting({ ...base, secret: Redacted.make(secret) })))
  )

  it.effect("CVE-2026-49998: two issuers with the same key id do not sign for each other", () =>
    Effect.gen(function* () {
      const make = (name: string) => TestIssuer.make({ issuer: `https://${name}.example.com`, kid: "shared" })
      const [one, two] = [yield* make("one"), yield* make("two")]
      yield* Effect.gen(function* () {
        // Whichever was used first, its key must not serve the other.
        for (const [signer, other] of [
          [one, two],
          [two, one]
        ] as const) {
          assert.strictEqual(yield* verify(yield* signer.sign({ sub: "42" })), "ok")
          assert.strictEqual(yield* verify(yield* signer.sign({ sub: "42", iss: other.issuer })), "token-invalid")
          assert.strictEqual(yield* verify(yield* other.sign({ sub: "42" })), "ok")
        }
      }).pipe(Effect.provide(trusting(one.settings, two.settings)))
    }).pipe(Effect.scoped)
  )
})

/** What an issuer publishes, and how often it was asked. Tests change both. */
class Published extends Context.Service<
  Published,
  { answer: Effect.Effect<unknown, KeysUnavailable>; requests: number }
>()("chat/test/Published") {
  static readonly layer = Layer.sync(Published, () => ({ answer: Effect.succeed({ keys: [] }), requests: 0 }))
}

const documents = Layer.effect(
  KeyDocuments,
  Effect.map(Published, (published) =>
    KeyDocuments.of({
      fetch: () =>
        Effect.suspend(() => {
          published.requests++
          return published.answer
        })
    })
  )
)

const fetching = ExternalTokens.layerNoDeps.pipe(
  Layer.provide(
    SettingsMemory.layerMemory({ auth: { issuers: [{ ...base, jwksUri: "https://app.example.com/jwks" }] } })
  ),
  Layer.provide(documents),
  Layer.provideMerge(Published.layer)
)

/** A token that is good for a day, by the clock of the test. */
const tokenOf = ({ jwk, privateKey }: Effect.Success<ReturnType<typeof makeKey>>) =>
  Effect.flatMap(
    Effect.clockWith((clock) => clock.currentTimeMillis),
    (now) => {
      const iat = Math.floor(now / 1000)
      return sign(privateKey, { alg: "ES256", kid: jwk.kid ?? "" }, { ...claims, iat, exp: iat + 24 * 3600 })
    }
  )

const down = Effect.fail(new KeysUnavailable({ reason: "down" }))

describe("the keys of an issuer", () => {
  it.effect("are fetched once for all that wait, and again for an unknown key, at most every 30 seconds", () =>
    Effect.gen(function* () {
      const published = yield* Published
      const [first, second, third] = [
        yield* makeKey("ES256", "1"),
        yield* makeKey("ES256", "2"),
        yield* makeKey("ES256", "3")
      ]
      published.answer = Effect.succeed({ keys: [first.jwk] })
      const many = (token: string) =>
        Effect.map(
          Effect.forEach(Array.from({ length: 100 }), () => verify(token), { concurrency: "unbounded" }),
          (all) => [...new Set(all)]
        )
      assert.deepStrictEqual(yield* many(yield* tokenOf(first)), ["ok"])
      assert.strictEqual(published.requests, 1)
      yield* TestClock.adjust("30 seconds")
      published.answer = Effect.succeed({ keys: [first.jwk, second.jwk] })
      assert.deepStrictEqual(yield* many(yield* tokenOf(second)), ["ok"])
      assert.strictEqual(published.requests, 2)
      assert.deepStrictEqual(yield* many(yield* tokenOf(third)), ["Unavailable"])
      assert.strictEqual(published.requests, 2)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* many(yield* tokenOf(third)), ["token-invalid"])
      assert.strictEqual(published.requests, 3)
    }).pipe(Effect.provide(fetching))
  )

  it.effect("serve for 24 hours while newer ones cannot be had, and a withdrawn key ends after ten minutes", () =>
    Effect.gen(function* () {
      const published = yield* Published
      const [first, second] = [yield* makeKey("ES256", "1"), yield* makeKey("ES256", "2")]
      published.answer = Effect.succeed({ keys: [first.jwk] })
      assert.strictEqual(yield* verify(yield* tokenOf(first)), "ok")
      for (const answer of [down, Effect.succeed("nonsense"), Effect.succeed({ keys: 5 }), Effect.succeed(null)]) {
        published.answer = answer
        yield* TestClock.adjust("5 hours")
        assert.strictEqual(yield* verify(yield* tokenOf(first)), "ok")
      }
      published.answer = down
      yield* TestClock.adjust("4 hours")
      assert.strictEqual(yield* verify(yield* tokenOf(first)), "Unavailable")
      published.answer = Effect.succeed({ keys: [first.jwk, second.jwk, { kty: "oct", k: "c2VjcmV0" }, "?", null] })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* verify(yield* tokenOf(second)), "ok")

      published.answer = Effect.succeed({ keys: [second.jwk] })
      const token = yield* tokenOf(first)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* verify(token), "ok", "which asks for newer keys")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* verify(token), "token-invalid")
    }).pipe(Effect.provide(fetching))
  )

  it.effect("may be newer than those that an invented key id has fetched, so a new one is no invalid one", () =>
    Effect.gen(function* () {
      const app = yield* TestIssuer.make()
      yield* Effect.gen(function* () {
        const tokens = yield* ExternalTokens
        const old = yield* app.sign({ sub: "42" })
        assert.strictEqual(yield* verify(old), "ok")
        yield* TestClock.adjust("10 minutes")
        const forge = app.sign({ sub: "42" }, { header: { kid: "invented" } })
        assert.strictEqual(yield* verify(yield* forge), "token-invalid", "the keys were fetched for it")
        yield* app.rotate({ withdraw: true })
        const fresh = yield* app.sign({ sub: "42" })
        const requests = app.requests()
        yield* TestClock.adjust("10 seconds")
        for (const token of [fresh, yield* forge]) {
          const problem = yield* Effect.flip(tokens.verify(token))
          assert.deepInclude(problem, { _tag: "Unavailable", retryAfterMs: 20_000 })
        }
        const early = yield* app.sign({ sub: "42", iat: 0 }, { header: { kid: "invented" } })
        assert.strictEqual(yield* verify(early), "token-invalid", "the keys are newer than it")
        assert.strictEqual(app.requests(), requests)
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(yield* verify(fresh), "ok")
        assert.strictEqual(yield* verify(old), "token-invalid", "its key was withdrawn")
        assert.strictEqual(app.requests(), requests + 1)
        app.answerWith((_, response) => response.writeHead(500).end())
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(yield* verify(yield* forge), "Unavailable", "newer keys cannot be had")
      }).pipe(Effect.provide(trusting(app.settings)))
    }).pipe(Effect.scoped)
  )

  it.effect("can be asked for again after whole milliseconds", () =>
    Effect.gen(function* () {
      const published = yield* Published
      const [known, unknown] = [yield* makeKey("ES256", "1"), yield* makeKey("ES256", "2")]
      published.answer = Effect.succeed({ keys: [known.jwk] })
      assert.strictEqual(yield* verify(yield* tokenOf(known)), "ok")
      yield* TestClock.adjust(Duration.nanos(9_999_500_000n))
      const token = yield* tokenOf(unknown)
      const problem = yield* ExternalTokens.use((tokens) => Effect.flip(tokens.verify(token)))
      assert.deepInclude(problem, { _tag: "Unavailable", retryAfterMs: 20_001 })
    }).pipe(Effect.provide(fetching))
  )

  it.effect("are asked for again after five seconds when there are none", () =>
    Effect.gen(function* () {
      const published = yield* Published
      const key = yield* makeKey("ES256", "1")
      published.answer = down
      const token = yield* tokenOf(key)
      for (const _ of [1, 2, 3]) assert.strictEqual(yield* verify(token), "Unavailable")
      assert.strictEqual(published.requests, 1)
      published.answer = Effect.succeed({ keys: [key.jwk] })
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* verify(token), "ok")
    }).pipe(Effect.provide(fetching))
  )
})
