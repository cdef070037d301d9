import { rmSync } from "node:fs"
import { chown, mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Deferred, Effect, Schedule } from "effect"
import {
  attempt,
  type Durability,
  type EmbeddedPostgresError,
  type Installation,
  prepare
} from "./EmbeddedPostgresFiles.ts"
import { clearPredecessor, lockHolder, socketDirectoryPrefix } from "./EmbeddedPostgresPredecessor.ts"
import { launch } from "./EmbeddedPostgresServer.ts"

interface EmbeddedPostgresOptions {
  /** The setting `data.dir`. The data of PostgreSQL is in `<dataDir>/postgres`. */
  readonly dataDir: string
  readonly durability: Durability
  /** Another directory for the programs, with the layout of `native/` in the npm package. */
  readonly native?: string | undefined
}

/** The user of the database. */
const username = "postgres"

/**
 * The maximum length of a socket's path: `sockaddr_un.sun_path` has 108 bytes on Linux and 104 on macOS, with a final
 * zero.
 */
const longestSocketPath = process.platform === "darwin" ? 103 : 107

const makeSocketDirectory = ({ account }: Installation) =>
  attempt("make a directory for its socket", async () => {
    const fits = Buffer.byteLength(join(tmpdir(), `${socketDirectoryPrefix}XXXXXX/.s.PGSQL.5432`)) <= longestSocketPath
    const directory = await mkdtemp(join(fits ? tmpdir() : "/tmp", socketDirectoryPrefix))
    if (account !== undefined) await chown(directory, account.uid, account.gid)
    const remove = () => rmSync(directory, { recursive: true, force: true })
    // Some exits run no finalizers.
    process.on("exit", remove)
    return { directory, remove }
  })

/**
 * Starts a PostgreSQL server of our own and keeps it running until the scope closes: if it dies, that is logged, and it is
 * started again at the same address within a second. It only listens on a unix socket in a private directory. Its log
 * lines become ours. Fails with `EmbeddedPostgresError` if the first start fails or another service uses the data.
 */
export const startEmbeddedPostgres = Effect.fn("EmbeddedPostgres.start")(function* (options: EmbeddedPostgresOptions) {
  const installation = yield* prepare(options)
  yield* clearPredecessor(installation.cluster)
  const { directory: host } = yield* Effect.acquireRelease(makeSocketDirectory(installation), ({ remove }) =>
    Effect.sync(() => {
      process.off("exit", remove)
      remove()
    })
  )
  const ready = yield* Deferred.make<void, EmbeddedPostgresError>()
  let started = false
  const life = Effect.scoped(
    Effect.gen(function* () {
      const server = yield* launch(installation, host, options.durability)
      yield* server.ready
      if (started) yield* Effect.logInfo("embedded PostgreSQL is up again")
      started = true
      yield* Deferred.succeed(ready, undefined)
      return yield* server.ended
    })
  )
  yield* life.pipe(
    Effect.tapError((error) =>
      started ? Effect.logError(`${error.message}; starting it again`) : Effect.asVoid(Deferred.fail(ready, error))
    ),
    Effect.retry({
      while: () => started,
      schedule: Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("1 second")])
    }),
    Effect.forkScoped
  )
  yield* Deferred.await(ready)
  return { host, port: 5432, username }
})

/**
 * As `startEmbeddedPostgres`; but when the server of another process uses the data, that one is shared, for as long as the
 * other process lets it run.
 */
export const shareEmbeddedPostgres = (options: EmbeddedPostgresOptions) =>
  startEmbeddedPostgres(options).pipe(
    Effect.catchIf(
      ({ reason }) => reason === "in-use",
      (error) =>
        Effect.flatMap(lockHolder(join(options.dataDir, "postgres")), (holder) =>
          holder === undefined ? Effect.fail(error) : Effect.succeed({ ...holder, username })
        )
    )
  )
