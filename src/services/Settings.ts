import { Context, Effect, Layer, Schema, SchemaGetter } from "effect"
import {
  duration,
  flag,
  httpUrl,
  list,
  network,
  oneOf,
  origin,
  password,
  port,
  range,
  ratio,
  signingKey,
  subjectPrefix,
  text,
  urlPath,
  whole
} from "./SettingFields.ts"

const withDefault = <S extends Schema.Constraint>(self: S, value: S["Encoded"]) =>
  Schema.withDecodingDefaultKey<S>(Effect.succeed(value))(self)

const count = (value: number) => withDefault(whole(1), value)

const tenYears = 10 * 365 * 24 * 3600 * 1000

/**
 * Every setting by section, with its default. Keys are camelCase here and snake_case outside (`data.dir`,
 * `CHAT_DATA__DIR`, `limits.message_length`). Durations are seconds outside and MILLISECONDS inside, sizes are bytes.
 * Names and defaults: contract, "Running it", and the origin's `config.yaml`.
 */
export const sections = {
  server: Schema.Struct({
    port: withDefault(port, 8080),
    origin: Schema.optionalKey(origin),
    trustedProxies: withDefault(list(network, "IP addresses or networks such as 10.0.0.0/8"), []),
    allowedOrigins: Schema.optionalKey(list(origin, "origins such as https://chat.example.com"))
  }),
  postgres: Schema.Struct({
    host: withDefault(text, "localhost"),
    port: withDefault(port, 5432),
    username: withDefault(text, "postgres"),
    password: withDefault(password, ""),
    database: withDefault(text, "chat_socio"),
    sslmode: withDefault(oneOf(["disable", "prefer", "require", "verify-full"]), "disable"),
    maxConnections: withDefault(whole(2, 1000), 10)
  }),
  redis: Schema.Struct({
    host: withDefault(text, "localhost"),
    port: withDefault(port, 6379),
    password: withDefault(password, ""),
    database: withDefault(whole(0), 0)
  }),
  nats: Schema.Struct({
    address: withDefault(text, "nats://localhost:4222"),
    prefix: withDefault(subjectPrefix, "chat")
  }),
  jwt: Schema.Struct({
    secret: Schema.optionalKey(signingKey),
    issuer: withDefault(text, "chat_socio"),
    expiration: withDefault(duration(1000, tenYears), 3600),
    refreshExpiration: withDefault(duration(1000, tenYears), 30 * 24 * 3600),
    previousSecrets: withDefault(list(signingKey, "texts of at least 32 bytes"), [])
  }),
  logging: Schema.Struct({
    level: withDefault(oneOf(["debug", "info", "warn", "error"]), "info"),
    format: withDefault(oneOf(["json", "pretty"]), "json"),
    output: withDefault(oneOf(["stdout", "stderr"]), "stdout")
  }),
  metrics: Schema.Struct({
    enabled: withDefault(flag, true),
    port: Schema.optionalKey(port),
    path: withDefault(urlPath, "/metrics")
  }),
  tracing: Schema.Struct({
    enabled: withDefault(flag, false),
    endpoint: withDefault(httpUrl, "http://localhost:14268/api/traces"),
    serviceName: withDefault(text, "chat-service"),
    sampleRate: withDefault(ratio, 1)
  }),
  data: Schema.Struct({ dir: withDefault(text, "./data") }),
  limits: Schema.Struct({
    messageLength: count(8000),
    editWindow: withDefault(duration(0), 0),
    titleLength: count(200),
    usernameLength: withDefault(range, "3-32"),
    passwordLength: withDefault(range, "8-128"),
    groupMembers: count(5000),
    membersPerRequest: count(100),
    memberChangesPerMinute: count(200),
    requestBytes: count(1_048_576),
    attachmentBytes: count(26_214_400),
    frameBytes: count(65_536),
    helloBytes: count(262_144),
    jsonDepth: count(32),
    pageSize: count(200),
    loginFailuresPerMinute: count(10),
    loginFailuresPerMinuteAddress: count(100),
    registrationsPerMinuteAddress: count(120),
    requestsPerMinute: count(1200),
    commandsPerSecond: count(20),
    commandsBurst: count(60),
    commandsInFlight: count(8),
    socketsPerUser: count(50),
    socketsPerAddress: count(2000),
    unauthenticatedSocketsPerAddress: count(200),
    outboxBytes: count(1_048_576),
    outboxFrames: count(512),
    presenceSubscriptions: count(500)
  }),
  timers: Schema.Struct({
    hello: withDefault(duration(1), 10),
    heartbeat: withDefault(duration(1), 25),
    heartbeatAnswer: withDefault(duration(1), 10),
    writeStuck: withDefault(duration(1), 10),
    repair: withDefault(duration(1), 30),
    repairDegraded: withDefault(duration(1), 2),
    gapWait: withDefault(duration(0), 0.05),
    presenceGrace: withDefault(duration(0), 5),
    presenceExpiry: withDefault(duration(1), 60),
    presenceBatch: withDefault(duration(1), 1),
    typing: withDefault(duration(1), 6),
    sessionRecheck: withDefault(duration(1), 1),
    sessionExpiring: withDefault(duration(1), 60),
    drain: withDefault(duration(0), 2)
  }),
  shutdown: Schema.Struct({ timeout: withDefault(duration(1), 10) })
}

const Server = sections.server.pipe(
  Schema.decodeTo(
    Schema.Struct({
      port: Schema.Finite,
      origin: Schema.String,
      trustedProxies: Schema.Array(Schema.String),
      allowedOrigins: Schema.Array(Schema.String)
    }),
    {
      decode: SchemaGetter.transform((server) => {
        const own = server.origin ?? `http://localhost:${server.port === 0 ? 8080 : server.port}`
        return { ...server, origin: own, allowedOrigins: server.allowedOrigins ?? [own] }
      }),
      encode: SchemaGetter.passthrough()
    }
  )
)

/** Decodes all settings, filling in the defaults; `postgres`, `redis` and `nats` stay absent when they are absent. */
export const SettingsSchema = Schema.Struct({
  server: withDefault(Server, {}),
  postgres: Schema.optionalKey(sections.postgres),
  redis: Schema.optionalKey(sections.redis),
  nats: Schema.optionalKey(sections.nats),
  jwt: withDefault(sections.jwt, {}),
  logging: withDefault(sections.logging, {}),
  metrics: withDefault(sections.metrics, {}),
  tracing: withDefault(sections.tracing, {}),
  data: withDefault(sections.data, {}),
  limits: withDefault(sections.limits, {}),
  timers: withDefault(sections.timers, {}),
  shutdown: withDefault(sections.shutdown, {})
})

/** The settings as the program sees them. Every duration (`timers`, `shutdown`, `jwt.*expiration`, `limits.editWindow`) is in milliseconds. */
export type SettingsShape = typeof SettingsSchema.Type

/** Some keys of some sections, already decoded (durations in milliseconds). */
export type SettingsOverrides = {
  readonly [S in keyof SettingsShape]?: Partial<NonNullable<SettingsShape[S]>>
}

const defaults = Schema.decodeSync(SettingsSchema)

const testSettings = (overrides: SettingsOverrides): SettingsShape => {
  const base = defaults({ jwt: { secret: "a secret for tests only, 32 bytes or more" } })
  const servers = defaults({ postgres: {}, redis: {}, nats: {} })
  return {
    server: { ...base.server, ...overrides.server },
    jwt: { ...base.jwt, ...overrides.jwt },
    logging: { ...base.logging, ...overrides.logging },
    metrics: { ...base.metrics, ...overrides.metrics },
    tracing: { ...base.tracing, ...overrides.tracing },
    data: { ...base.data, ...overrides.data },
    limits: { ...base.limits, ...overrides.limits },
    timers: { ...base.timers, ...overrides.timers },
    shutdown: { ...base.shutdown, ...overrides.shutdown },
    ...(servers.postgres && overrides.postgres && { postgres: { ...servers.postgres, ...overrides.postgres } }),
    ...(servers.redis && overrides.redis && { redis: { ...servers.redis, ...overrides.redis } }),
    ...(servers.nats && overrides.nats && { nats: { ...servers.nats, ...overrides.nats } })
  }
}

/**
 * Why the service does not start: one line that names the setting or the server, what is expected, and what to do. It
 * never holds a value of a setting, since that may be a secret. Ends the process with exit code 1.
 */
export class SettingsError extends Schema.TaggedError<SettingsError>()("SettingsError", { message: Schema.String }) {}

/** The settings of this process. `jwt.secret` is always there once the service has started. */
export class Settings extends Context.Service<Settings, SettingsShape>()("chat/services/Settings") {
  /** The defaults with a signing key for tests, changed by `overrides`; a server's section exists when it is given. */
  static readonly layerTest = (overrides: SettingsOverrides = {}) => Layer.succeed(Settings, testSettings(overrides))
}
