import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, References, Scope } from "effect"
import type { TestProject } from "vitest/node"
import { startEmbeddedPostgres } from "../src/layers/postgres/EmbeddedPostgres.ts"
import { migrate } from "../src/layers/postgres/Migrations.ts"
import { layerServer } from "../src/layers/postgres/Postgres.ts"
import type { PostgresTarget } from "../src/layers/postgres/PostgresConfig.ts"
import { type Cluster, owned } from "./support/Clusters.ts"

const target = ({ host, port, username }: Cluster, database: string): PostgresTarget => ({
  host,
  port,
  username,
  database,
  sslmode: "disable",
  maxConnections: 2
})

/** Drops the databases of test runs that have ended. */
const dropLeftovers = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const names = yield* sql<{
    datname: string
  }>`SELECT datname FROM pg_database WHERE datname LIKE ${`${owned.prefix}%`}`
  for (const { datname } of names) {
    if (owned.isLeftover(datname)) yield* sql`DROP DATABASE IF EXISTS ${sql(datname)} WITH (FORCE)`
  }
})

/** Makes a migrated database to copy from, which is dropped at the end of the run. */
const makeTemplate = Effect.fnUntraced(function* (cluster: Cluster) {
  const admin = layerServer(target(cluster, "postgres"))
  yield* dropLeftovers.pipe(Effect.provide(admin))
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      yield* sql`DROP DATABASE IF EXISTS ${sql(cluster.template)} WITH (FORCE)`
    }).pipe(Effect.provide(admin), Effect.orDie)
  )
  yield* migrate().pipe(Effect.provide(layerServer(target(cluster, cluster.template))))
  return cluster
})

const embedded = Effect.gen(function* () {
  const dataDir = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "chat-test-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  const server = yield* startEmbeddedPostgres({ dataDir, durability: "test" })
  return yield* makeTemplate({ ...server, template: owned.name("template") })
}).pipe(
  Effect.catchIf(
    (error) => error._tag === "EmbeddedPostgresError" && error.reason === "missing",
    () => Effect.succeed(null)
  )
)

const server = makeTemplate({
  host: "127.0.0.1",
  port: 5432,
  username: "postgres",
  template: owned.name("template")
}).pipe(Effect.catchTag("PostgresError", () => Effect.succeed(null)))

/** One embedded PostgreSQL for the whole run, and the server on 127.0.0.1:5432 where there is one. */
export default async (project: TestProject) => {
  const scope = Scope.makeUnsafe()
  const clusters = await Effect.all({ embedded, server }, { concurrency: 2 }).pipe(
    Scope.provide(scope),
    Effect.provide(NodeServices.layer),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.runPromise
  )
  project.provide("clusters", clusters)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}
