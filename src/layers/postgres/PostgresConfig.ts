import type { ConnectionOptions } from "node:tls"
import type { PgClient } from "@effect/sql-pg"
import { Array as Arr, type Redacted } from "effect"
import { snakeToCamel } from "effect/String"
import { postgresTypes } from "./PostgresTypes.ts"

/** The addresses of a database and how to connect to it. */
export interface PostgresTarget {
  /**
   * A host name or address, perhaps with a port (`db:5433`, `[::1]:5433`), or the directory of a unix socket. When there
   * are several, they are the servers of one cluster, and the one that can be written to is used.
   */
  readonly host: string | ReadonlyArray<string>
  /** The port of every host without one of its own. */
  readonly port: number
  readonly username: string
  readonly password?: Redacted.Redacted
  readonly database: string
  /** As in libpq, except that with `prefer` the first connection decides whether all connections use TLS. */
  readonly sslmode: "disable" | "prefer" | "require" | "verify-full"
  readonly maxConnections: number
  /**
   * Whether `host` is a pooler that hands out sessions by transaction, such as PgBouncer. When undefined, each
   * connection finds it out.
   */
  readonly pooler?: boolean | undefined
  /** The server behind the pooler, for migrations. */
  readonly directHost?: string | undefined
}

/** The address of one server. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
}

const addressOf = (text: string, port: number): ServerAddress => {
  const [, bracketed, name, own] = /^(?:\[(.+)\]|([^:/]+))(?::(\d+))?$/.exec(text) ?? []
  return { host: bracketed ?? name ?? text, port: own === undefined ? port : Number(own) }
}

/** The addresses of the target, in the order in which they were given. */
export const addressesOf = ({ host, port }: PostgresTarget): Arr.NonEmptyReadonlyArray<ServerAddress> => {
  const [first = "localhost", ...rest] = Arr.ensure(host)
  return [addressOf(first, port), ...rest.map((text) => addressOf(text, port))]
}

/** The address of the server for migrations: the one behind the pooler when there is one. */
export const directAddressOf = ({ directHost, port }: PostgresTarget): ServerAddress | undefined =>
  directHost === undefined ? undefined : addressOf(directHost, port)

/** An address in log lines and errors. */
export const showAddress = ({ host, port }: ServerAddress) => `${host}:${port}`

const camelNames = new Map<string, string>()

/** The name of a column in camelCase. Names are cached, because there are few and every row has them. */
const columnName = (name: string) => {
  const known = camelNames.get(name)
  if (known !== undefined) return known
  const camel = snakeToCamel(name)
  camelNames.set(name, camel)
  return camel
}

/** How the rows with the same columns are renamed, by the names of these columns. There are as many as statements. */
const layouts = new Map<string, (row: Record<string, unknown>) => Record<string, unknown>>()

/**
 * Makes the function that copies a row with its columns renamed. V8 makes a hash table of an object that is filled key by
 * key with so many columns. What JSON.parse makes has a shape instead, and so have its copies, which are filled and read
 * several times as fast.
 */
const makeLayout = (columns: ReadonlyArray<string>) => {
  const pairs = columns.map((column) => ({ column, name: columnName(column) }))
  const template: Record<string, unknown> = JSON.parse(`{${pairs.map(({ name }) => `"${name}":0`).join()}}`)
  return (row: Record<string, unknown>) => {
    const renamed = { ...template }
    for (const { column, name } of pairs) renamed[name] = row[column]
    return renamed
  }
}

/** The rows of a statement, with the names of their columns in camelCase. */
export function renameColumns<A extends object>(rows: ReadonlyArray<A>): ReadonlyArray<A>
export function renameColumns(rows: ReadonlyArray<Record<string, unknown>>): ReadonlyArray<Record<string, unknown>> {
  const [first] = rows
  if (first === undefined) return rows
  const columns = Object.keys(first)
  const key = columns.join()
  const layout = layouts.get(key) ?? makeLayout(columns)
  layouts.set(key, layout)
  return rows.map(layout)
}

const unverified: ConnectionOptions = { rejectUnauthorized: false }

/** The TLS options of the driver for each value of `postgres.sslmode`. `prefer` and `require` verify no certificate. */
export const tls = { disable: false, prefer: unverified, require: unverified, "verify-full": true } as const

/** How long an unused connection stays in the pool. */
export const idleTimeout = "10 minutes"

/**
 * The settings of every session. Time-outs make sure that no lock or query outlives its caller. No statement here runs so
 * long that compiling it pays, but up to version 17 the server compiles each plan in which it may not scan a table (see
 * `enable_seqscan`) and must all the same.
 */
export const sessionSettings = {
  lock_timeout: "2s",
  statement_timeout: "10s",
  idle_in_transaction_session_timeout: "5s",
  jit: "off"
} as const

/**
 * The configuration of every client. A connection to a pooler, which may give each transaction another session, sends no
 * parameters of its session at its start except those that every pooler keeps, and names no prepared statement: the role
 * has the settings then (see `RoleSettings.ts`).
 */
export const clientConfig = (
  target: PostgresTarget,
  ssl: boolean | ConnectionOptions,
  { address = addressesOf(target)[0], pooled = false } = {}
): PgClient.PgPoolConfig => ({
  host: address.host,
  port: address.port,
  username: target.username,
  password: target.password,
  database: target.database,
  ssl,
  maxConnections: target.maxConnections,
  idleTimeout,
  keepAlive: "30 seconds",
  applicationName: "chat-service",
  startupParameters: pooled ? { timezone: "UTC" } : { ...sessionSettings, timezone: "UTC" },
  prepare: !pooled,
  transformResultNames: columnName,
  // Only columns are renamed; the keys within a jsonb value stay as they are.
  transformJson: false,
  types: postgresTypes
})
