import { randomUUID } from "node:crypto"
import { createServer, type RequestListener } from "node:http"
import { Clock, Context, Effect, Exit, Layer, Predicate, Schema, Scope } from "effect"
import {
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT
} from "jose"
import { Issuer } from "../services/platform/settings/IssuerSettings.ts"

/** How an issuer is set up. Each key that is left out has the default of the setting of the same name. */
interface Options {
  /** The name of the issuer, its `iss`; by default its address. */
  readonly issuer?: string
  readonly audience?: string
  /** The algorithm of its keys, by default ES256. */
  readonly algorithm?: "ES256" | "EdDSA" | "RS256"
  /** The id of its first key, by default a random one. */
  readonly kid?: string
  readonly claims?: Partial<Issuer["claims"]>
  readonly provision?: Issuer["provision"]
  readonly updateProfile?: Issuer["updateProfile"]
  /** In milliseconds. */
  readonly maxLifetime?: number
}

/** The claims of a token. `sub` is the user; `iss`, `aud`, `iat` and `exp` can be given, but need not be. */
type Claims = JWTPayload & { readonly sub: string }

interface Key {
  readonly kid: string
  readonly signs: CryptoKey
  readonly publishes: JWK
}

const decodeIssuer = Schema.decodeSync(Issuer)

/** Serves HTTP on a free port until the scope closes, and gives the address. */
const listen = (listener: RequestListener) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly close: () => void }>((resume) => {
      const server = createServer(listener).listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = Predicate.isObject(address) ? address.port : 0
        const close = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** Makes an issuer of tokens, which publishes its keys until the scope closes. */
const make = Effect.fnUntraced(function* ({
  algorithm = "ES256",
  audience = "chat",
  claims = {},
  issuer,
  kid: firstKid = randomUUID(),
  maxLifetime,
  provision = "create",
  updateProfile = "always"
}: Options = {}) {
  const makeKey = (kid: string) =>
    Effect.promise(async (): Promise<Key> => {
      const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true })
      return { kid, signs: privateKey, publishes: { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: "sig" } }
    })

  let key = yield* makeKey(firstKid)
  let published: ReadonlyArray<Key> = [key]
  let requests = 0
  const publish: RequestListener = (_, response) => {
    response.setHeader("content-type", "application/json")
    response.end(JSON.stringify({ keys: published.map(({ publishes }) => publishes) }))
  }
  let answer = publish
  const { url } = yield* listen((request, response) => {
    requests++
    answer(request, response)
  })
  const name = issuer ?? url
  const settings = decodeIssuer({
    issuer: name,
    audience,
    jwks_uri: `${url}/jwks`,
    algorithms: [algorithm],
    claims,
    provision,
    update_profile: updateProfile,
    ...(maxLifetime !== undefined && { max_lifetime: maxLifetime / 1000 })
  })

  return TestIssuer.of({
    issuer: name,
    settings,
    sign: Effect.fnUntraced(function* (given, { expiresInSeconds = 3600, header = {} } = {}) {
      const now = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      const { kid, signs } = key
      const token = new SignJWT({ iss: name, aud: audience, iat: now, exp: now + expiresInSeconds, ...given })
      return yield* Effect.promise(() => token.setProtectedHeader({ alg: algorithm, kid, ...header }).sign(signs))
    }),
    rotate: Effect.fnUntraced(function* ({ kid = randomUUID(), withdraw = false } = {}) {
      key = yield* makeKey(kid)
      published = withdraw ? [key] : [...published, key]
    }),
    requests: () => requests,
    answerWith: (listener) => {
      answer = listener ?? publish
    }
  })
})

/**
 * An issuer of tokens for tests: it signs tokens for the users of an app, publishes its keys at an address of this machine,
 * and replaces them. `settings` makes a service trust it.
 */
export class TestIssuer extends Context.Service<
  TestIssuer,
  {
    /** The `iss` of its tokens. */
    readonly issuer: string
    /** The entry of `auth.issuers` for it. */
    readonly settings: Issuer
    /** Signs a token, by default for an hour. `header` changes the parameters of its header. */
    readonly sign: (
      claims: Claims,
      options?: { readonly expiresInSeconds?: number; readonly header?: Partial<JWTHeaderParameters> }
    ) => Effect.Effect<string>
    /** Signs with a new key from now on. The earlier ones stay published unless they are withdrawn. */
    readonly rotate: (options?: { readonly kid?: string; readonly withdraw?: boolean }) => Effect.Effect<void>
    /** How often the keys were asked for. */
    readonly requests: () => number
    /** Answers requests for the keys in another way, as an issuer that is down would; undefined ends that. */
    readonly answerWith: (listener: RequestListener | undefined) => void
  }
>()("chat/testing/TestIssuer") {
  /** An issuer until the scope closes, for tests with several. */
  static readonly make = make

  /** The only issuer of a test. */
  static readonly layer = (options?: Options) => Layer.effect(TestIssuer, make(options))

  /** Starts an issuer for tests that do not use Effect. `stop` ends it. */
  static async start(options?: Options) {
    const scope = Scope.makeUnsafe()
    const { issuer, rotate, settings, sign } = await Effect.runPromise(Scope.provide(make(options), scope))
    return {
      issuer,
      settings,
      sign: (...args: Parameters<typeof sign>): Promise<string> => Effect.runPromise(sign(...args)),
      rotate: (...args: Parameters<typeof rotate>): Promise<void> => Effect.runPromise(rotate(...args)),
      stop: (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
