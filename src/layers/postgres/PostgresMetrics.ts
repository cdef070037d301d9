/**
 * Measures statements and connections. `PgClient` has no hooks for that, so this makes a `SqlClient` of its own with a pool
 * of its own, from the settings of `PgClient`.
 */
import { PgClient, type PgConnection } from "@effect/sql-pg"
import { Clock, Effect, Exit, Layer, Predicate } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, type SqlError } from "effect/sql"
import * as Definitions from "../../services/platform/MetricDefinitions.ts"
import { type Count, Metrics, type Observe, traceOf } from "../../services/platform/Metrics.ts"
import type { PostgresPoolOptions } from "./Generations.ts"
import { renameColumns } from "./PostgresConfig.ts"
import { makePool, type PostgresPool } from "./PostgresPool.ts"
import { operationOf } from "./SqlOperation.ts"

interface StatementMetrics {
  readonly duration: Observe
  readonly ok: Count
  readonly error: Count
}

/**
 * The operations of at most this many statements are cached. There are a few hundred, unless lists of any length
 * become part of them.
 */
const maxCached = 1000

/** Measures the duration of statements by operation. */
const makeTimed = Effect.gen(function* () {
  const metrics = yield* Metrics
  const clock = yield* Clock.Clock
  const operations = new Map<string, StatementMetrics>()
  const byText = new Map<string, StatementMetrics>()

  const named = (operation: string): StatementMetrics => {
    const known = operations.get(operation)
    if (known !== undefined) return known
    const made = {
      duration: metrics.histogram(Definitions.databaseDuration, { operation }),
      ok: metrics.counter(Definitions.databaseQueries, { operation, outcome: "ok" }),
      error: metrics.counter(Definitions.databaseQueries, { operation, outcome: "error" })
    }
    operations.set(operation, made)
    return made
  }
  const of = (sql: string): StatementMetrics => {
    const known = byText.get(sql)
    if (known !== undefined) return known
    if (byText.size >= maxCached) byText.clear()
    const made = named(operationOf(sql))
    byText.set(sql, made)
    return made
  }

  return <A, E>(sql: string, run: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) => {
      const since = clock.monotonicTimeNanosUnsafe()
      return Effect.onExit(run, (exit) =>
        Effect.sync(() => {
          const operation = of(sql)
          operation.duration(Number(clock.monotonicTimeNanosUnsafe() - since) / 1e9, traceOf(fiber))
          if (Exit.isSuccess(exit)) operation.ok()
          else operation.error()
        })
      )
    })
})

type Timed = Effect.Success<typeof makeTimed>

const makeConnection = (
  connection: PgConnection.PgConnection,
  timed: Timed,
  pool: PostgresPool
): SqlConnection.Connection => {
  const run = <A>(sql: string, query: Effect.Effect<A, SqlError.SqlError>) =>
    timed(
      sql,
      Effect.tapError(query, (error) => pool.report(connection, error))
    )
  const rows = (sql: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    run(
      sql,
      Effect.map(connection.query(sql, params, prepare), (result) => result.rows)
    )
  return {
    execute: (sql, params, transform) => {
      const found = rows(sql, params, true)
      return transform === undefined ? found : Effect.map(found, transform)
    },
    executeUnprepared: (sql, params, transform) => {
      const found = rows(sql, params, false)
      return transform === undefined ? found : Effect.map(found, transform)
    },
    executeRaw: (sql, params) => run(sql, connection.query(sql, params)),
    executeValues: (sql, params) => run(sql, connection.queryValues(sql, params)),
    executeValuesUnprepared: (sql, params) => run(sql, connection.queryValues(sql, params, false)),
    executeStream: (sql, params) => connection.stream(sql, params)
  }
}

/** Counts the connections in use and the callers that wait for one, and measures how long they wait. */
const makeGate = (maxConnections: number) =>
  Effect.gen(function* () {
    const metrics = yield* Metrics
    const clock = yield* Clock.Clock
    const waited = metrics.histogram(Definitions.databaseWait)
    let waiting = 0
    let inUse = 0
    metrics.gauge(Definitions.databaseConnectionsMax)(maxConnections)
    metrics.read(Definitions.databaseConnections, () => waiting, { state: "waiting" })
    metrics.read(Definitions.databaseConnections, () => inUse, { state: "in-use" })
    return <A, E, R>(lend: (onLent: () => void) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => {
        const since = clock.monotonicTimeNanosUnsafe()
        let lent = false
        waiting++
        const onLent = () => {
          lent = true
          waiting--
          inUse++
          waited(Number(clock.monotonicTimeNanosUnsafe() - since) / 1e9)
        }
        return Effect.onExit(lend(onLent), () =>
          Effect.sync(() => {
            if (lent) inUse--
            else waiting--
          })
        )
      })
  })

/** Commits, and dies if PostgreSQL answers ROLLBACK, as it does when the transaction was aborted. */
const commit = (connection: SqlConnection.Connection): Effect.Effect<void, SqlError.SqlError> =>
  Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
    Predicate.hasProperty(result, "command") && result.command === "ROLLBACK"
      ? Effect.die(new Error("COMMIT of an aborted transaction"))
      : Effect.void
  )

/**
 * A measured `SqlClient` on a pool of its own (see `makePool`). The pool of `PgClient` itself stays empty, because nothing
 * else uses it.
 */
export const layer = (options: PostgresPoolOptions) =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const { config } = yield* PgClient.PgClient
      const timed = yield* makeTimed
      const gate = yield* makeGate(options.maxConnections)
      const pool = yield* makePool(options)
      const connections = new WeakMap<PgConnection.PgConnection, SqlConnection.Connection>()
      const connectionOf = (connection: PgConnection.PgConnection) => {
        const known = connections.get(connection)
        if (known !== undefined) return known
        const made = makeConnection(connection, timed, pool)
        connections.set(connection, made)
        return made
      }
      return yield* SqlClient.make({
        acquirer: Effect.map(pool.get, connectionOf),
        borrower: (use) =>
          gate((onLent) =>
            pool.use((connection) => {
              onLent()
              return use(connectionOf(connection))
            })
          ),
        transactionAcquirer: Effect.map(pool.reserve, connectionOf),
        compiler: PgClient.makeCompiler(config.transformQueryNames, config.transformJson),
        driver: "pg",
        prepareTransactionControls: true,
        commit,
        releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
        spanAttributes: [
          ["db.system.name", "postgresql"],
          ["db.namespace", config.database ?? "postgres"],
          ["server.address", config.host ?? "localhost"],
          ["server.port", config.port ?? 5432]
        ],
        transformRows: renameColumns
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))
