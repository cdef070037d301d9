import { PgClient, type PgConnection, PgPool } from "@effect/sql-pg"
import { Clock, type Duration, Effect, Exit, Layer, Predicate } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, type SqlError, Statement } from "effect/sql"
import * as Definitions from "../services/MetricDefinitions.ts"
import { type Count, Metrics, type Observe, traceOf } from "../services/Metrics.ts"
import { operationOf } from "./SqlOperation.ts"

interface Operation {
  readonly duration: Observe
  readonly ok: Count
  readonly error: Count
}

/** So many texts of statements are remembered; there are a few hundred, unless one has lists of any length in it. */
const remembered = 1000

/** Times statements by operation. */
const makeTimed = Effect.gen(function* () {
  const metrics = yield* Metrics
  const clock = yield* Clock.Clock
  const operations = new Map<string, Operation>()
  const byText = new Map<string, Operation>()

  const named = (operation: string): Operation => {
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
  const of = (sql: string): Operation => {
    const known = byText.get(sql)
    if (known !== undefined) return known
    if (byText.size >= remembered) byText.clear()
    const made = named(operationOf(sql))
    byText.set(sql, made)
    return made
  }

  return <A, E>(sql: string, run: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.withFiber((fiber) => {
      const since = clock.currentTimeNanosUnsafe()
      return Effect.onExit(run, (exit) =>
        Effect.sync(() => {
          const operation = of(sql)
          operation.duration(Number(clock.currentTimeNanosUnsafe() - since) / 1e9, traceOf(fiber))
          if (Exit.isSuccess(exit)) operation.ok()
          else operation.error()
        })
      )
    })
})

type Timed = Effect.Success<typeof makeTimed>

const makeConnection = (connection: PgConnection.PgConnection, timed: Timed): SqlConnection.Connection => {
  const rows = (sql: string, params: ReadonlyArray<unknown>, prepare: boolean) =>
    timed(
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
    executeRaw: (sql, params) => timed(sql, connection.query(sql, params)),
    executeValues: (sql, params) => timed(sql, connection.queryValues(sql, params)),
    executeValuesUnprepared: (sql, params) => timed(sql, connection.queryValues(sql, params, false)),
    executeStream: (sql, params) => connection.stream(sql, params)
  }
}

/** Counts who has a connection and who waits for one, and for how long. */
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
        const since = clock.currentTimeNanosUnsafe()
        let lent = false
        waiting++
        const onLent = () => {
          lent = true
          waiting--
          inUse++
          waited(Number(clock.currentTimeNanosUnsafe() - since) / 1e9)
        }
        return Effect.onExit(lend(onLent), () =>
          Effect.sync(() => {
            if (lent) inUse--
            else waiting--
          })
        )
      })
  })

/** An aborted transaction answers its COMMIT with ROLLBACK. */
const commit = (connection: SqlConnection.Connection): Effect.Effect<void, SqlError.SqlError> =>
  Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
    Predicate.hasProperty(result, "command") && result.command === "ROLLBACK"
      ? Effect.die(new Error("COMMIT of an aborted transaction"))
      : Effect.void
  )

/**
 * `SqlClient` as `PgClient` has it, on a pool of its own with the same settings, each statement timed and each connection
 * counted. `PgClient`'s pool stays empty, since nothing else uses it.
 */
export const layer = (size: { readonly maxConnections: number; readonly idleTimeout: Duration.Input }) =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const { config } = yield* PgClient.PgClient
      const timed = yield* makeTimed
      const gate = yield* makeGate(size.maxConnections)
      const pool = yield* PgPool.make({ ...config, ...size })
      const connections = new WeakMap<PgConnection.PgConnection, SqlConnection.Connection>()
      const connectionOf = (connection: PgConnection.PgConnection) => {
        const known = connections.get(connection)
        if (known !== undefined) return known
        const made = makeConnection(connection, timed)
        connections.set(connection, made)
        return made
      }
      const { transformResultNames: rename } = config
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
        ...(rename !== undefined && { transformRows: Statement.defaultTransforms(rename, config.transformJson).array })
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))
