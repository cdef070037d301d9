import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import { LogEpoch, makeLogEpoch } from "../../services/platform/LogEpoch.ts"
import { DatabaseFaults, makeDatabaseFaults } from "../../services/platform/readiness/DatabaseFaults.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { shareEmbeddedPostgres, startEmbeddedPostgres } from "./EmbeddedPostgres.ts"
import { addressesOf, idleTimeout, type PostgresTarget, showAddress } from "./PostgresConfig.ts"
import * as PostgresMetrics from "./PostgresMetrics.ts"
import { chooseDirect, chooseServer, type Reached } from "./PostgresServers.ts"

/** The server that was chosen at the start, and the one for migrations, which are the same without a pooler. */
export class PostgresServer extends Context.Service<
  PostgresServer,
  { readonly target: PostgresTarget; readonly chosen: Reached; readonly direct: Reached }
>()("chat/layers/PostgresServer") {}

const reach = Effect.fn("Postgres.reach")(function* (target: PostgresTarget) {
  const chosen = yield* chooseServer(target)
  const direct = yield* chooseDirect(target, chosen)
  if (chosen.pooled) {
    yield* Effect.logInfo("connections go through a pooler", {
      pooler: showAddress(chosen.address),
      migrations: showAddress(direct.address)
    })
  }
  return PostgresServer.of({ target, chosen, direct })
})

/** A client for the server, with a pool that `PgClient` makes. */
const layerClient = PgClient.layerFrom(Effect.flatMap(PostgresServer, ({ chosen }) => PgClient.make(chosen.config)))

/** A pool of connections to a server. A missing database is created if the user may do that. */
export const layerServer = (target: PostgresTarget) =>
  layerClient.pipe(Layer.provideMerge(Layer.effect(PostgresServer, reach(target))))

/** The size of the pool of connections to the embedded PostgreSQL. */
const embeddedConnections = 10

type Embedded = typeof startEmbeddedPostgres | typeof shareEmbeddedPostgres

/** The embedded PostgreSQL. */
const layerEmbedded = (embedded: Embedded, dataDir: string) =>
  Layer.effect(
    PostgresServer,
    Effect.gen(function* () {
      const server = yield* embedded({ dataDir, durability: "full" })
      return yield* reach({
        ...server,
        database: "postgres",
        sslmode: "disable",
        maxConnections: embeddedConnections,
        pooler: false
      })
    })
  )

/** The measured `SqlClient`, whose pool follows the server that can be written to. */
const layerMeasured = Layer.unwrap(
  Effect.map(PostgresServer, ({ chosen, target }) =>
    PostgresMetrics.layer({
      server: chosen,
      choose: (before) => chooseServer(target, before),
      hasChoice: addressesOf(target).length > 1,
      maxConnections: target.maxConnections,
      idleTimeout
    })
  )
)

const layerWith = (embedded: Embedded) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { data, postgres } = yield* Settings
      const server =
        postgres === undefined ? layerEmbedded(embedded, data.dir) : Layer.effect(PostgresServer, reach(postgres))
      return layerMeasured.pipe(
        Layer.provideMerge(layerClient),
        Layer.provideMerge(server),
        Layer.provideMerge(Layer.sync(DatabaseFaults, makeDatabaseFaults)),
        Layer.provideMerge(Layer.effect(LogEpoch, makeLogEpoch))
      )
    })
  )

/**
 * `SqlClient` and `PgClient` as the settings have it: for the server of the section `postgres`, or for the embedded one if
 * there is no such section. The `SqlClient` is measured.
 */
export const layer = layerWith(startEmbeddedPostgres)

/** The same next to a service that may run: then its embedded PostgreSQL is shared. */
export const layerShared = layerWith(shareEmbeddedPostgres)
