import { Redacted, Schema } from "effect"
import { Redis as Client } from "ioredis"
import type { SettingsShape } from "../../services/platform/Settings.ts"
import type { TlsFiles } from "../settings/TlsFiles.ts"

/**
 * A command failed: Redis is down, was too slow, or answered with an error. The message is one line. The driver's error is
 * not kept, because it contains the arguments of the command.
 */
export class RedisError extends Schema.TaggedError<RedisError>()("RedisError", { message: Schema.String }) {}

/** How long a command may take, in milliseconds, before Redis counts as down. */
export const patienceMs = 500

/**
 * The longest pause between two attempts to connect, in milliseconds. A node notices within this time that Redis is up
 * again, because attempts before that are refused at once.
 */
export const reconnectMs = 1000

/** The errors of a server that works, but not with these settings. */
export const wrongSettings = /WRONGPASS|NOAUTH|invalid password|DB index|redis_mode/

/** The failure of the first connection as one line that names the settings to check. */
export const explain = ({ database, host, port, username }: NonNullable<SettingsShape["redis"]>, cause: string) => {
  const at = `Redis at ${host}:${port}`
  if (/WRONGPASS|NOAUTH|invalid password/.test(cause)) {
    return `${username === undefined ? "" : "redis.username, "}redis.password: ${at} rejects the password: ${cause}`
  }
  if (/DB index/i.test(cause)) return `redis.database: ${at} has no database ${database}: ${cause}`
  const mode = /redis_mode:(\w+)/.exec(cause)?.[1]
  if (mode !== undefined) {
    const what = mode === "cluster" ? "a node of a Redis Cluster" : "a Sentinel"
    return `redis.host, redis.port: ${at} is ${what}, which this service does not support; name a single Redis server`
  }
  return `redis.host, redis.port: cannot use ${at} (${cause}); start it, correct the two keys, or leave out the section "redis" to keep presence and limits in this process`
}

/** The errors of a server that cannot be used at all now: it is read-only, is loading, or has no memory left. */
export const refusal = /^(READONLY|NOREPLICAS|OOM|MISCONF|MASTERDOWN|LOADING|CLUSTERDOWN|MOVED)\b/

/** A client that never queues commands and gives up on each after `patienceMs`. It connects when `connect` is called. */
export const makeClient = (
  settings: NonNullable<SettingsShape["redis"]>,
  tls: TlsFiles | undefined,
  random: () => number
): Client =>
  new Client({
    host: settings.host,
    port: settings.port,
    ...(settings.username !== undefined && { username: settings.username }),
    ...(Redacted.value(settings.password) !== "" && { password: Redacted.value(settings.password) }),
    ...(tls !== undefined && { tls: { ...tls } }),
    db: settings.database,
    connectionName: "chat-service",
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 1,
    commandTimeout: patienceMs,
    connectTimeout: 2000,
    disconnectTimeout: patienceMs,
    maxLoadingRetryTime: 500,
    keepAlive: 10_000,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 6), reconnectMs) * (0.5 + random() / 2)
  })
