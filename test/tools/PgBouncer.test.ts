import { chownSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { migrate } from "../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../src/layers/postgres/Postgres.ts"
import { chooseServer } from "../../src/layers/postgres/PostgresServers.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { api, connect } from "../support/Client.ts"
import { startNode } from "../support/Node.ts"
import { counting } from "../support/Samples.ts"
import { freePort, makeServer, query, startPostgres, succeeds, temporaryDirectory } from "../support/Servers.ts"

const program = "/usr/sbin/pgbouncer"

/** Starts PgBouncer in transaction mode before a PostgreSQL, with two sessions for all clients. */
const startBouncer = Effect.fnUntraced(function* (postgresPort: number, extra = "") {
  const port = yield* freePort
  const root = yield* temporaryDirectory("pgbouncer")
  const [configuration, users] = [join(root, "pgbouncer.ini"), join(root, "users.txt")]
  writeFileSync(users, '"postgres" ""\n"chat_app" ""\n')
  writeFileSync(
    configuration,
    `[databases]
* = host=127.0.0.1 port=${postgresPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = 2
${extra}
`
  )
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined
  if (account !== undefined) for (const path of [root, configuration, users]) chownSync(path, account.uid, account.gid)
  return yield* makeServer({
    name: "pgbouncer",
    port,
    command: program,
    args: [configuration],
    account,
    answers: () => succeeds(query(port, "postgres", "SELECT 1"))
  })
})

const target = (port: number, overrides: { readonly pooler?: boolean; readonly directHost?: string } = {}) => ({
  host: "127.0.0.1",
  port,
  username: "chat_app",
  database: "chat",
  sslmode: "disable" as const,
  maxConnections: 6,
  ...overrides
})

const prepared = Effect.gen(function* () {
  const postgres = yield* startPostgres
  yield* query(postgres.port, "postgres", "CREATE ROLE chat_app LOGIN")
  yield* query(postgres.port, "postgres", "CREATE DATABASE chat OWNER chat_app TEMPLATE template0 ENCODING 'UTF8'")
  return postgres
})

describe("behind PgBouncer in transaction mode", () => {
  it.live("the service works: it finds the pooler, migrates, and keeps its settings on every session", () =>
    Effect.gen(function* () {
      const postgres = yield* prepared
      const bouncer = yield* startBouncer(postgres.port)
      const settings = {
        "postgres.host": "127.0.0.1",
        "postgres.port": bouncer.port,
        "postgres.username": "chat_app",
        "postgres.database": "chat",
        "server.origin": "http://localhost:8080",
        "jwt.secret": "a secret for this test alone, 32 bytes or more"
      }
      const node = yield* startNode(settings)
      const http = api(node.url)
      const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
      const id = yield* http.dm(ann, bob)
      const [a, b] = [yield* connect(node.url), yield* connect(node.url)]
      yield* a.ready(ann.token)
      yield* b.ready(bob.token)
      const sends = Array.from({ length: 40 }, (_, n) => ({
        conversationId: id,
        clientMessageId: `p${n}`,
        body: `${n}`
      }))
      yield* Effect.forEach(sends, (send) => a.ok("message.send", send), { concurrency: 8 })
      yield* b.seq(id, 41)

      // A second start finds a migrated database, and no lock that was left behind.
      const second = yield* startNode({ ...settings, "postgres.pooler": "true" })
      const history = yield* api(second.url).history(bob, id)
      assert.lengthOf(history, 40)

      const limits = yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const one = sql<{ limits: string }>`
            SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'),
              current_setting('idle_in_transaction_session_timeout'), current_setting('jit'), current_setting('timezone')) AS limits
            FROM (SELECT pg_sleep(0.1)) AS slept`
        return yield* Effect.all(
          Array.from({ length: 12 }, () => one),
          { concurrency: 6 }
        )
      }).pipe(
        Effect.provide(
          Postgres.layer.pipe(
            Layer.provide([counting, SettingsMemory.layerMemory({ postgres: target(bouncer.port) })]),
            Layer.provide(Logger.layer([]))
          )
        )
      )
      assert.deepStrictEqual([...new Set(limits.flat().map((row) => row.limits))], ["2s 10s 5s off UTC"])
      assert.deepStrictEqual(
        yield* query(postgres.port, "chat", "SELECT * FROM pg_locks WHERE locktype = 'advisory'"),
        []
      )
      assert.deepStrictEqual(yield* query(bouncer.port, "chat", "SELECT name FROM pg_prepared_statements"), [])
    }).pipe(Effect.scoped)
  )

  it.live("migrations go to the server behind it, where one is named", () =>
    Effect.gen(function* () {
      const postgres = yield* prepared
      // This PgBouncer ignores the parameters, instead of refusing them.
      const ignored =
        "ignore_startup_parameters = lock_timeout,statement_timeout,idle_in_transaction_session_timeout,jit"
      const bouncer = yield* startBouncer(postgres.port, ignored)
      const found = target(bouncer.port, { directHost: `127.0.0.1:${postgres.port}` })
      yield* Effect.gen(function* () {
        const { chosen, direct } = yield* Postgres.PostgresServer
        assert.deepStrictEqual([chosen.pooled, direct.pooled], [true, false])
        assert.deepStrictEqual([chosen.config.prepare, direct.address.port], [false, postgres.port])
        yield* migrate()
      }).pipe(Effect.provide([Postgres.layerServer(found), NodeServices.layer]), Effect.provide(Logger.layer([])))
      assert.lengthOf(
        yield* query(postgres.port, "chat", "SELECT FROM pg_db_role_setting WHERE setrole = 'chat_app'::regrole"),
        1
      )
      const lost = yield* Effect.flip(chooseServer({ ...found, database: "missing" }))
      assert.match(lost.message, /^postgres\.database: /)
      assert.notInclude(lost.message, "\n")
    }).pipe(Effect.scoped)
  )
})
