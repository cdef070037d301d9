import { Effect, Schema, String as Str } from "effect"
import { duration, httpUrl, oneOf, signingKey, text } from "./SettingFields.ts"

/** The algorithms of tokens that are signed with a key pair (RFC 7518, RFC 8037, RFC 9864). */
const publicKeyAlgorithms = ["ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]

const withDefault = <S extends Schema.Constraint>(self: S, value: S["Encoded"]) =>
  Schema.withDecodingDefaultKey<S>(Effect.succeed(value))(self)

/** A public key as a JSON Web Key (RFC 7517). A key with a private part, or a shared secret, does not belong into settings. */
const PublicJwk = Schema.Struct({
  kty: oneOf(["EC", "OKP", "RSA"]),
  kid: Schema.optionalKey(text),
  use: Schema.optionalKey(Schema.Literal("sig")),
  alg: Schema.optionalKey(text),
  crv: Schema.optionalKey(text),
  x: Schema.optionalKey(text),
  y: Schema.optionalKey(text),
  n: Schema.optionalKey(text),
  e: Schema.optionalKey(text)
}).annotate({ description: "a public key as a JSON Web Key: kty EC, OKP or RSA" })

/** The claims of a token that say who the user is. */
const Claims = Schema.Struct({
  subject: withDefault(text, "sub"),
  username: withDefault(text, "preferred_username"),
  name: withDefault(text, "name"),
  picture: withDefault(text, "picture"),
  email: withDefault(text, "email"),
  /** Without it the claim is `team`, which may mean something else in tokens of an issuer that knows of no teams. */
  team: Schema.optionalKey(text)
})

/** Ended sessions are remembered for 30 days, and so longer than any of their tokens lives. */
const longestLifetime = 28 * 24 * 3_600_000

const Fields = Schema.Struct({
  issuer: text.check(Schema.isMaxLength(512)),
  audience: text,
  jwksUri: Schema.optionalKey(httpUrl),
  keys: Schema.optionalKey(Schema.Array(PublicJwk).check(Schema.isMinLength(1))),
  secret: Schema.optionalKey(signingKey),
  secretFile: Schema.optionalKey(text),
  algorithms: Schema.optionalKey(Schema.Array(oneOf([...publicKeyAlgorithms, "HS256"])).check(Schema.isMinLength(1))),
  claims: withDefault(Claims, {}),
  provision: withDefault(oneOf(["create", "existing"]), "create"),
  updateProfile: withDefault(oneOf(["always", "once"]), "always"),
  maxLifetime: withDefault(duration(1000, longestLifetime), 24 * 3600)
})

/** What a key of an issuer, in snake_case, must be. */
export const issuerKeyDescription = (key: string): string => {
  const [, field] =
    Object.entries<Schema.Constraint>(Fields.fields).find(([name]) => Str.camelToSnake(name) === key) ?? []
  const names = Object.keys(Fields.fields).map(Str.camelToSnake).join(", ")
  return field === undefined
    ? `one of the keys of an issuer: ${names}`
    : (Schema.resolveAnnotations(field)?.description ?? "a value as docs/own-users.md describes it")
}

/** Says what is wrong with the keys of an issuer. A public key must never serve as the secret of HS256. */
const problemOf = ({ algorithms = [], jwksUri, keys, secret, secretFile }: typeof Fields.Type) => {
  if ([jwksUri, keys, secret, secretFile].filter((source) => source !== undefined).length !== 1)
    return "must have exactly one of jwks_uri, keys, secret and secret_file"
  const isShared = secret !== undefined || secretFile !== undefined
  return algorithms.every((algorithm) => (algorithm === "HS256") === isShared)
    ? undefined
    : "can have HS256 with secret or secret_file, and only then"
}

/** An issuer of tokens that the service trusts, with keys in snake_case outside. */
export const Issuer = Fields.check(Schema.makeFilter(problemOf)).pipe(
  Schema.encodeKeys({
    jwksUri: "jwks_uri",
    secretFile: "secret_file",
    updateProfile: "update_profile",
    maxLifetime: "max_lifetime"
  })
)

/** An issuer of tokens that the service trusts. `maxLifetime` is in milliseconds. */
export type Issuer = typeof Issuer.Type

/** What is wrong with a list that names an issuer twice. */
export const issuersNamedTwice = "must name each issuer once"

const problemOfAll = (issuers: ReadonlyArray<Issuer>) =>
  new Set(issuers.map(({ issuer }) => issuer)).size === issuers.length ? undefined : issuersNamedTwice

const Issuers = Schema.Array(Issuer).check(Schema.makeFilter(problemOfAll))

/** All issuers: a YAML list, or the same as JSON. */
export const issuers = Schema.Union([Issuers, Schema.fromJsonString(Issuers)]).annotate({
  description: "a list of issuers, or the same as JSON in the environment; see docs/own-users.md"
})

/**
 * The issuer whose subjects are the external ids of the server API: `auth.server_issuer`, or the only issuer. Without any
 * issuer the server API has a namespace of its own, which is called ''.
 */
export const serverIssuerOf = (auth: {
  readonly issuers: ReadonlyArray<Issuer>
  readonly serverIssuer?: string
}): string => auth.serverIssuer ?? auth.issuers[0]?.issuer ?? ""
