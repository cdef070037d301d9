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
import { clearPredecessor, socketDirectoryPrefix } from "./EmbeddedPostgresPredecessor.ts"
import { launch } from "./EmbeddedPostgresServer.ts"

export interface EmbeddedPostgresOptions {
  /** `data.dir`: the data lives in `<dataDir>/postgres`. */
  readonly dataDir: string
  readonly durability: Durability
  /** Another place for the packaged programs, laid out as `native/` in the npm package. */
  readonly native?: string | undefined
}

/** `sockaddr_un.sun_path` without its closing zero: 108 bytes on Linux, 104 on macOS. */
const longestSocketPath = process.platform === "darwin" ? 103 : 107

const makeSocketDirectory = ({ account }: Installation) =>
  attempt("make a directory for its socket", async () => {
    const fits = Buffer.byteLength(join(tmpdir(), `${socketDirectoryPrefix}XXXXXX/.s.PGSQL.5432`)) <= longestSocketPath
    const directory = await mkdtemp(join(fits ? tmpdir() : "/tmp", socketDirectoryPrefix))
    if (account !== undefined) await chown(directory, account.uid, account.gid)
    const remove = () => rmSync(directory, { recursive: true, force: true })
    // For exits that run no finalizers.
    process.on("exit", remove)
    return { directory, remove }
  })

/**
 * Starts a real PostgreSQL of our own and keeps it running until the scope closes: one that dies is logged and started
 * again (at most a second later), at the same address. It listens on a unix socket in a private directory only. Its log
 * goes to ours. Fails with `EmbeddedPostgresError` when the first start fails or another service has the data.
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
      if (started) yield* Effect.logInfo("embedded PostgreSQL is back")
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
  return { host, port: 5432, username: "postgres" }
})
