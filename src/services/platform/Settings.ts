import { Context, Effect, Schema, SchemaGetter } from "effect"
import { issuers } from "./settings/IssuerSettings.ts"
import {
  duration,
  flag,
  flagOrFolder,
  hostName,
  hosts,
  httpUrl,
  list,
  network,
  oneHost,
  oneOf,
  origin,
  pageOrigin,
  password,
  port,
  range,
  ratio,
  scannerUrl,
  signingKey,
  subjectPrefix,
  text,
  urlPath,
  urlWithToken,
  whole
} from "./settings/SettingFields.ts"

const withDefault = <S extends Schema.Constraint>(self: S, value: S["Encoded"]) =>
  Schema.withDecodingDefaultKey<S>(Effect.succeed(value))(self)

const count = (value: number) => withDefault(whole(1), value)

/** The keys for TLS to a server. The files are PEM. */
const tls = {
  tls: withDefault(flag, false),
  tlsCaFile: Schema.optionalKey(text),
  tlsCertFile: Schema.optionalKey(text),
  tlsKeyFile: Schema.optionalKey(text)
}

const tenYears = 10 * 365 * 24 * 3600 * 1000

/**
 * Every setting by section, with its default. Keys are camelCase here and snake_case outside (`data.dir`,
 * `CHAT_DATA__DIR`, `limits.message_length`). Durations are seconds outside and MILLISECONDS inside, sizes are bytes.
 * docs/operations.md describes them.
 */
export const sections = {
  server: Schema.Struct({
    host: Schema.optionalKey(hostName),
    port: withDefault(port, 8080),
    origin: Schema.optionalKey(origin),
    trustedProxies: withDefault(list(network, "IP addresses or networks such as 10.0.0.0/8"), []),
    allowedOrigins: Schema.optionalKey(
      list(pageOrigin, "origins such as https://chat.example.com, https://*.example.com or capacitor://localhost")
    ),
    maxConnections: count(50_000),
    maxRequestsPerSocket: count(1000),
    web: withDefault(flagOrFolder, true)
  }),
  postgres: Schema.Struct({
    host: withDefault(hosts, "localhost"),
    port: withDefault(port, 5432),
    pooler: Schema.optionalKey(flag),
    directHost: Schema.optionalKey(oneHost),
    username: withDefault(text, "postgres"),
    password: withDefault(password, ""),
    database: withDefault(text, "chat_socio"),
    sslmode: withDefault(oneOf(["disable", "prefer", "require", "verify-full"]), "disable"),
    maxConnections: withDefault(whole(2, 1000), 10)
  }),
  redis: Schema.Struct({
    host: withDefault(hostName, "localhost"),
    port: withDefault(port, 6379),
    username: Schema.optionalKey(text),
    password: withDefault(password, ""),
    database: withDefault(whole(0), 0),
    ...tls
  }),
  nats: Schema.Struct({
    address: withDefault(text, "nats://localhost:4222"),
    username: Schema.optionalKey(text),
    password: withDefault(password, ""),
    credentialsFile: Schema.optionalKey(text),
    prefix: withDefault(subjectPrefix, "chat"),
    acceptUnsigned: withDefault(flag, false),
    ...tls
  }),
  s3: Schema.Struct({
    bucket: text,
    endpoint: Schema.optionalKey(httpUrl),
    region: withDefault(text, "us-east-1"),
    accessKeyId: Schema.optionalKey(text),
    secretAccessKey: Schema.optionalKey(password),
    forcePathStyle: withDefault(flag, false),
    presigned: withDefault(flag, false)
  }),
  files: Schema.Struct({
    scanner: Schema.optionalKey(scannerUrl),
    scannerOnError: withDefault(oneOf(["refuse", "accept"]), "refuse")
  }),
  jwt: Schema.Struct({
    secret: Schema.optionalKey(signingKey),
    algorithm: withDefault(oneOf(["HS256", "EdDSA"]), "HS256"),
    issuer: withDefault(text, "chat_socio"),
    expiration: withDefault(duration(1000, tenYears), 3600),
    refreshExpiration: withDefault(duration(1000, tenYears), 30 * 24 * 3600),
    previousSecrets: withDefault(list(signingKey, "texts of at least 32 bytes"), [])
  }),
  auth: Schema.Struct({
    registration: withDefault(oneOf(["open", "invite", "closed"]), "open"),
    guests: Schema.optionalKey(flag),
    resetUrl: Schema.optionalKey(urlWithToken),
    passwords: withDefault(flag, true),
    issuers: withDefault(issuers, []),
    serverIssuer: Schema.optionalKey(text)
  }),
  logging: Schema.Struct({
    level: withDefault(oneOf(["debug", "info", "warn", "error"]), "info"),
    format: Schema.optionalKey(oneOf(["json", "pretty"])),
    output: withDefault(oneOf(["stdout", "stderr"]), "stdout"),
    clientAddress: withDefault(flag, true)
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
    conversationsPerMinute: count(60),
    firstContactsPerDay: count(200),
    additionsPerHour: count(100),
    requestBytes: count(1_048_576),
    attachmentBytes: count(26_214_400),
    storageBytes: count(1_073_741_824),
    guestStorageBytes: count(104_857_600),
    totalStorageBytes: Schema.optionalKey(whole(1)),
    uploadsPerUser: count(4),
    frameBytes: count(65_536),
    helloBytes: count(262_144),
    jsonDepth: count(32),
    jsonKeys: count(10_000),
    pageSize: count(200),
    loginFailuresPerMinute: count(10),
    loginFailuresPerMinuteAddress: count(100),
    loginFailuresPerMinuteAccount: count(60),
    loginsPerMinute: count(120),
    refreshesPerMinute: count(30),
    sessionsPerUser: count(100),
    registrationsPerMinuteAddress: count(120),
    guestsPerHourAddress: count(30),
    requestsPerMinute: count(1200),
    serviceRequestsPerMinute: count(6000),
    readBytesPerSecond: count(4_194_304),
    readBytesBurst: count(33_554_432),
    addressRequestsPerSecond: count(200),
    addressRequestsBurst: count(2000),
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
    requestHeaders: withDefault(duration(1), 10),
    request: withDefault(duration(1), 30),
    upload: withDefault(duration(1), 600),
    repair: withDefault(duration(1), 30),
    repairDegraded: withDefault(duration(1), 2),
    gapWait: withDefault(duration(0), 0.05),
    presenceGrace: withDefault(duration(0), 5),
    presenceExpiry: withDefault(duration(1), 60),
    presenceBatch: withDefault(duration(1), 1),
    typing: withDefault(duration(1), 6),
    sessionRecheck: withDefault(duration(1), 1),
    sessionExpiring: withDefault(duration(1), 60),
    metricsRender: withDefault(duration(0), 1),
    drain: withDefault(duration(0), 2)
  }),
  shutdown: Schema.Struct({ lameDuck: withDefault(duration(0), 5), timeout: withDefault(duration(1), 10) })
}

const Server = sections.server.pipe(
  Schema.decodeTo(
    Schema.Struct({
      host: Schema.optionalKey(Schema.String),
      port: Schema.Finite,
      origin: Schema.String,
      trustedProxies: Schema.Array(Schema.String),
      allowedOrigins: Schema.Array(Schema.String),
      maxConnections: Schema.Int,
      maxRequestsPerSocket: Schema.Int,
      web: Schema.Union([Schema.Boolean, Schema.String])
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

/** Decodes all settings, filling in the defaults; `postgres`, `redis`, `nats` and `s3` stay absent when they are absent. */
export const SettingsSchema = Schema.Struct({
  server: withDefault(Server, {}),
  postgres: Schema.optionalKey(sections.postgres),
  redis: Schema.optionalKey(sections.redis),
  nats: Schema.optionalKey(sections.nats),
  s3: Schema.optionalKey(sections.s3),
  files: withDefault(sections.files, {}),
  jwt: withDefault(sections.jwt, {}),
  auth: withDefault(sections.auth, {}),
  logging: withDefault(sections.logging, {}),
  metrics: withDefault(sections.metrics, {}),
  tracing: withDefault(sections.tracing, {}),
  data: withDefault(sections.data, {}),
  limits: withDefault(sections.limits, {}),
  timers: withDefault(sections.timers, {}),
  shutdown: withDefault(sections.shutdown, {})
})

/**
 * The settings as the program sees them. Every duration (`timers`, `shutdown`, `jwt.*expiration`, `limits.editWindow`)
 * is in milliseconds.
 */
export type SettingsShape = typeof SettingsSchema.Type

/**
 * Why the service does not start: one line that names the setting or the server, what is expected, and what to do. It
 * never holds a value of a setting, since that may be a secret. Ends the process with exit code 1.
 */
export class SettingsError extends Schema.TaggedError<SettingsError>()("SettingsError", { message: Schema.String }) {}

/** The settings of this process. `jwt.secret` is always there once the service has started. */
export class Settings extends Context.Service<Settings, SettingsShape>()("chat/services/Settings") {}
