import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../src/layers/postgres/Postgres.ts"
import { chooseServer } from "../../src/layers/postgres/PostgresServers.ts"
import * as Platform from "../../src/services/platform/layer.ts"
import { Readiness } from "../../src/services/platform/readiness/Readiness.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { counting } from "../support/Samples.ts"
import { query, serversAreThere, startPostgres, startPostgresWith, startStandby } from "../support/Servers.ts"
import { startProxy } from "../support/TcpProxy.ts"

const target = (host: string | ReadonlyArray<string>) => ({
  host,
  port: 5432,
  username: "postgres",
  database: "chat",
  sslmode: "disable" as const,
  maxConnections: 4
})

const at = ({ port }: { readonly port: number }) => `127.0.0.1:${port}`

/** The connection pool of the service, with these servers. */
const pool = (host: string | ReadonlyArray<string>) =>
  Postgres.layer.pipe(
    Layer.provideMerge(counting),
    Layer.provideMerge(SettingsMemory.layerMemory({ postgres: target(host) })),
    Layer.provideMerge(Logger.layer([])),
    Layer.fresh
  )

/** Every connection of the pool writes at the same time. */
const writeOnAll = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const write = sql`INSERT INTO written SELECT FROM (SELECT pg_sleep(0.1)) AS slept`
  yield* Effect.all(
    Array.from({ length: 4 }, () => write),
    { concurrency: 4, discard: true }
  )
})

/** Tries until every connection can write, and returns the number of attempts. */
const writesAgain = Effect.gen(function* () {
  let attempts = 0
  yield* Effect.suspend(() => {
    attempts++
    return writeOnAll
  }).pipe(Effect.retry({ schedule: Schedule.spaced("500 millis"), times: 60 }))
  return attempts
})

const createTable = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`CREATE TABLE written ()`)

const refusal = (host: string | ReadonlyArray<string>) =>
  Effect.map(Effect.flip(chooseServer(target(host))), ({ message }) => {
    assert.notInclude(message, "\n")
    return message
  }).pipe(Effect.provide(Logger.layer([])))

describe.skipIf(!serversAreThere)("a PostgreSQL that cannot be written to", () => {
  it.live("is written to again within seconds after it was read-only, on all connections", () =>
    Effect.gen(function* () {
      const postgres = yield* startPostgres
      yield* Effect.gen(function* () {
        yield* createTable
        yield* query(postgres.port, "postgres", "ALTER DATABASE chat SET default_transaction_read_only = on")
        yield* query(
          postgres.port,
          "postgres",
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'chat'"
        )
        // All connections belong to read-only sessions, and their writes fail as such.
        const error = yield* Effect.flip(writeOnAll).pipe(
          Effect.repeat({ until: (error) => String(error.reason.cause).includes("read-only"), times: 10 })
        )
        assert.include(String(error.reason.cause), "read-only")
        yield* query(postgres.port, "postgres", "ALTER DATABASE chat RESET default_transaction_read_only")
        assert.isAtMost(yield* writesAgain, 6)
      }).pipe(Effect.provide(pool(at(postgres))))
    }).pipe(Effect.scoped)
  )

  it.live("is followed to the server that can be written to", () =>
    Effect.gen(function* () {
      const primary = yield* startPostgres
      yield* query(primary.port, "postgres", "CREATE DATABASE chat TEMPLATE template0 ENCODING 'UTF8'")
      const standby = yield* startStandby(primary)

      const alone = yield* refusal(at(standby))
      assert.match(alone, /^postgres\.host: .* is a standby/)
      assert.include(alone, at(standby))

      const address = yield* startProxy(primary.port)
      const servers = [at(standby), at(primary)]
      yield* Effect.gen(function* () {
        yield* createTable
        yield* writeOnAll
        // The address of the service leads to the standby for a while, which accepts no writes.
        yield* query(primary.port, "chat", "SELECT pg_switch_wal()")
        yield* Effect.gen(function* () {
          yield* writeOnAll
          yield* address.cut
          yield* address.point(standby.port)
          yield* address.heal
          yield* Effect.flip(writeOnAll).pipe(
            Effect.repeat({ until: (error) => String(error.reason.cause).includes("standby"), times: 10 })
          )
          yield* address.point(primary.port)
          assert.isAtMost(yield* writesAgain, 6)
        }).pipe(Effect.provide(pool(at(address))))

        const before = (yield* chooseServer(target(servers))).state
        yield* primary.kill
        const nobody = yield* refusal(servers)
        assert.match(
          nobody,
          /^postgres\.host: none of the servers can be written to: .* is a standby.*; .*ECONNREFUSED/
        )
        yield* query(standby.port, "postgres", "SELECT pg_promote()")
        yield* writesAgain

        // The former primary comes back, and still believes that it is the primary.
        yield* primary.start
        const chosen = yield* chooseServer(target(servers), before)
        assert.strictEqual(chosen.address.port, standby.port)
        assert.isAbove(chosen.state.timeline, before.timeline)
        yield* standby.kill
        const older = yield* Effect.flip(chooseServer(target(servers), chosen.state))
        assert.include(older.message, `${at(primary)} has an older timeline`)
      }).pipe(Effect.provide(pool(servers)))
    }).pipe(Effect.scoped)
  )

  it.live("is not ready, and the report says why", () =>
    Effect.gen(function* () {
      const postgres = yield* startPostgresWith({ max_wal_senders: "4" })
      yield* Effect.gen(function* () {
        const readiness = yield* Readiness
        const sql = yield* SqlClient.SqlClient
        const until = (status: string) =>
          readiness.report.pipe(
            Effect.repeat({ until: (report) => report.status === status, schedule: Schedule.spaced("50 millis") }),
            Effect.map((report) => report.dependencies.postgres?.detail ?? "")
          )
        const administer = (statement: string) => query(postgres.port, "postgres", statement)
        yield* until("ready")

        yield* administer("ALTER SYSTEM SET default_transaction_read_only = on")
        yield* administer("SELECT pg_reload_conf()")
        assert.include(yield* until("unavailable"), "default_transaction_read_only")
        yield* administer("ALTER SYSTEM RESET default_transaction_read_only")
        yield* administer("SELECT pg_reload_conf()")
        yield* until("ready")

        // The synchronous standby does not exist, so nothing can be committed.
        yield* administer("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        yield* administer("SELECT pg_reload_conf()")
        assert.include(yield* until("unavailable"), "no answer within 1 second to a commit")
        yield* administer("ALTER SYSTEM RESET synchronous_standby_names")
        yield* administer("SELECT pg_reload_conf()")
        yield* until("ready")

        // Another session has locked the messages, and a send fails.
        const locked = yield* Effect.forkChild(
          query(postgres.port, "chat", "DO $$ BEGIN LOCK TABLE messages; PERFORM pg_sleep(30); END $$")
        )
        yield* administer(
          "SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation > 16384 AND granted"
        ).pipe(Effect.repeat({ until: (rows) => rows.length > 0, schedule: Schedule.spaced("50 millis") }))
        const detail = Effect.ignore(sql`DELETE FROM messages`).pipe(
          Effect.andThen(Effect.map(readiness.report, (report) => report.dependencies.postgres?.detail)),
          Effect.repeat({ until: (detail) => detail !== undefined, times: 20 })
        )
        assert.include(yield* detail, '"messages"')
        yield* administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO % LOCK TABLE%'")
        yield* Fiber.await(locked)
        yield* until("ready")
      }).pipe(
        Effect.provide(
          Platform.layer.pipe(
            Layer.provideMerge(Migrations.layer),
            Layer.provideMerge(pool(at(postgres))),
            Layer.provideMerge(NodeServices.layer)
          )
        )
      )
    }).pipe(Effect.scoped)
  )
})
