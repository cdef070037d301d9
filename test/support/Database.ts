import { randomBytes } from "node:crypto"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient, PgConnection } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import { inject } from "vitest"
import { migrate } from "../../src/layers/postgres/Migrations.ts"
import { layerServer } from "../../src/layers/postgres/Postgres.ts"
import { clientConfig, type PostgresTarget } from "../../src/layers/postgres/PostgresConfig.ts"
import { type Cluster, owned } from "./Clusters.ts"

const clusters = inject("clusters")

/** Where the database of this layer is, for a second client or another process. */
export class TestDatabase extends Context.Service<TestDatabase, PostgresTarget>()("chat/test/TestDatabase") {}

const administer = (cluster: Cluster, statement: string) =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make({ ...cluster, database: "postgres" }), (connection) => connection.query(statement))
  )

const fresh = (cluster: Cluster, options = `TEMPLATE ${cluster.template}`) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const database = owned.name(randomBytes(6).toString("hex"))
      const { host, port, username } = cluster
      return administer(cluster, `CREATE DATABASE ${database} ${options}`).pipe(
        Effect.as(TestDatabase.of({ host, port, username, database, sslmode: "disable", maxConnections: 8 }))
      )
    }),
    ({ database }) => Effect.orDie(administer(cluster, `DROP DATABASE ${database} WITH (FORCE)`))
  )

const client = PgClient.layerFrom(Effect.flatMap(TestDatabase, (target) => PgClient.make(clientConfig(target, false))))

const on = (name: string, cluster: Cluster | null) => ({
  name: cluster === null ? `${name} (not there)` : name,
  skip: cluster === null,
  layer: client.pipe(
    Layer.provideMerge(
      Layer.effect(
        TestDatabase,
        cluster === null ? Effect.die(new Error(`${name} is not there: skip this suite`)) : fresh(cluster)
      )
    )
  )
})

const embedded = on("embedded PostgreSQL", clusters.embedded)
const server = on("PostgreSQL server on 127.0.0.1:5432", clusters.server)

/**
 * Layers that give `SqlClient`, `PgClient` and `TestDatabase` on a migrated database of their own, dropped with them.
 */
export const Database = { embedded: embedded.layer, server: server.layer }

/** A database of another locale on the server, as the options of CREATE DATABASE say. */
const inLocale = (name: string, options: string) => {
  const cluster = clusters.server
  const made = Effect.gen(function* () {
    const target = yield* cluster === null ? Effect.die(new Error("there is no server")) : fresh(cluster, options)
    yield* Effect.provide(migrate(), Layer.merge(layerServer(target), NodeServices.layer))
    return target
  })
  const layer = client.pipe(Layer.provideMerge(Layer.effect(TestDatabase, Effect.orDie(made))))
  return { name: `PostgreSQL server, ${name}${cluster === null ? " (not there)" : ""}`, skip: cluster === null, layer }
}

/** Databases whose own rules for letters and for order differ from each other. In Turkish, `I` in lower case is `ı`. */
export const locales = [
  inLocale("locale C", "TEMPLATE template0 LOCALE 'C'"),
  inLocale("locale C.UTF-8", "TEMPLATE template0 LOCALE 'C.UTF-8'"),
  inLocale("Turkish by ICU", "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C.UTF-8'")
]

/** Both databases, for a suite that must hold on each: `describe.skipIf(db.skip)(db.name, …)`. */
export const databases = [embedded, server]
