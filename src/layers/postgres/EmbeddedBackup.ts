import { randomUUID } from "node:crypto"
import { copyFile, lstat, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises"
import { dirname, join, relative, resolve } from "node:path"
import { PgConnection } from "@effect/sql-pg"
import { Effect, Schema } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { Settings, SettingsError } from "../../services/platform/Settings.ts"
import { wordsOf } from "../../services/platform/Sql.ts"
import { type ArchiveWriter, readArchive, writeArchive } from "./EmbeddedArchive.ts"
import { startEmbeddedPostgres } from "./EmbeddedPostgres.ts"
import { attempt, EmbeddedPostgresError, failed, restoreDraft } from "./EmbeddedPostgresFiles.ts"
import { clearPredecessor, runningServer } from "./EmbeddedPostgresPredecessor.ts"
import { epochParameter } from "./ServerState.ts"

/** A name in the archive. `label` comes last, so that an archive which has it is complete. */
const names = { cluster: "postgres", files: "files", key: "jwt.secret", label: "postgres/backup_label" }

/** Directories whose contents the server makes again, and what only a running server has. */
const emptied = /^postgres\/(pg_wal|pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_subtrans)\//
const passing =
  /\/(postmaster\.(pid|opts)|backup_(label|manifest).*|tablespace_map.*|pg_internal\.init.*|pgsql_tmp.*|t\d+_\d+.*)$/

/** Which file must be newer than all others. */
const control = "postgres/global/pg_control"

const isWanted = (name: string) => !emptied.test(name) && !passing.test(name) && name !== control

/** Files that are not written completely are none yet, and the copy of a directory is another one. */
const isFile = (name: string) => !name.endsWith(".draft") && !/^files\/id\b/.test(name)

/** Moves a file, also to another disk. There it has its name when all of it is durable. */
const moveFile = async (from: string, to: string) => {
  try {
    await rename(from, to)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error
    const draft = `${to}.draft`
    await copyFile(from, draft)
    const file = await open(draft, "r+")
    await file.sync().finally(() => file.close())
    await rename(draft, to)
    await rm(from)
  }
}

/**
 * Moves the files of these blobs into a directory. One that has the same name there is the same: files never change. Those
 * that came after the end of the database stay, since nothing would ever delete them.
 */
const moveFiles = async (from: string, to: string, blobs: ReadonlySet<string>) => {
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !blobs.has(entry.name.split(".", 1)[0] ?? "")) continue
    const path = join(entry.parentPath, entry.name)
    const target = join(to, relative(from, path))
    await mkdir(dirname(target), { recursive: true, mode: 0o700 })
    await moveFile(path, target)
  }
}

const isThere = (path: string) =>
  lstat(path).then(
    () => true,
    () => false
  )

const decodeStart = Schema.decodeUnknownSync(Schema.Struct({ first: Schema.String }))
const decodeStop = Schema.decodeUnknownSync(Schema.Struct({ label: Schema.String, last: Schema.String }))

const cannot = (what: string) => (error: SqlError) =>
  failed(`embedded PostgreSQL: cannot ${what}: ${wordsOf(error.reason)}`)

/**
 * Copies the data of a running server, as it is, and the log by which it becomes consistent; and then the files that users
 * have uploaded.
 */
const copyData = Effect.fnUntraced(function* (
  connection: PgConnection.PgConnection,
  dataDir: string,
  archive: ArchiveWriter
) {
  const [cluster, files] = [join(dataDir, names.cluster), join(dataDir, names.files)]
  const ask = (statement: string) =>
    Effect.mapError(connection.query(statement, [], false), cannot("make a backup of its data"))
  const write = (step: () => Promise<void>) => attempt("write the backup", step)
  // The slot keeps the log from being removed. If this fails it ends with the connection, as the backup itself does.
  const slot = `chat_backup_${process.pid}`
  yield* ask(`SELECT pg_create_physical_replication_slot('${slot}', true, true)::text`)
  const started = yield* ask(`SELECT pg_walfile_name(pg_backup_start('chat-service', true)) AS first`)
  const { first } = decodeStart(started.rows[0])
  yield* write(() => archive.directory(names.cluster, cluster, isWanted))
  yield* write(() => archive.file(control, join(cluster, "global/pg_control")))
  const stopped = yield* ask(`SELECT labelfile AS label, pg_walfile_name(lsn) AS last FROM pg_backup_stop(false)`)
  const { label, last } = decodeStop(stopped.rows[0])
  yield* write(async () => {
    const log = (await readdir(join(cluster, "pg_wal"))).filter((name) => /^[\dA-F]{24}$/.test(name))
    for (const name of log.filter((name) => name >= first && name <= last).sort()) {
      await archive.file(`postgres/pg_wal/${name}`, join(cluster, "pg_wal", name))
    }
  })
  // Files may take long, and all that time the log would grow.
  yield* ask(`SELECT pg_drop_replication_slot('${slot}')::text`)
  yield* write(async () => {
    // After the database, so that those of its messages are all there.
    if (await isThere(files)) await archive.directory(names.files, files, isFile)
    await archive.text(names.label, label)
  })
})

/**
 * Writes everything in `dataDir` to one file, while the service runs or not: the database as it is at the end of the
 * copy, with everything that was committed before its beginning, the uploaded files that are on the local disk, and the
 * generated signing key. Fails when the file is
 * there already, when there is no database, and when the copy fails; then no file is left.
 */
export const backUp = Effect.fn("EmbeddedPostgres.backUp")(function* (dataDir: string, file: string) {
  const cluster = join(dataDir, "postgres")
  if (!(yield* attempt("read data.dir", () => isThere(join(cluster, "PG_VERSION"))))) {
    return yield* failed(`data.dir: there is no embedded database in ${dataDir}`)
  }
  const refuseFile = Effect.flatMap(
    attempt("look for the file", () => isThere(file)),
    (there) => (there ? Effect.fail(failed(`${file} is there already; choose another name`)) : Effect.void)
  )
  yield* refuseFile
  const address = (yield* runningServer(cluster)) ?? (yield* startEmbeddedPostgres({ dataDir, durability: "full" }))
  const connection = yield* Effect.mapError(
    PgConnection.make({ ...address, database: "postgres" }),
    cannot("connect to its server")
  )
  const archive = yield* Effect.acquireRelease(
    Effect.sync(() => writeArchive(file)),
    ({ abandon }) => Effect.promise(abandon)
  )
  const key = join(dataDir, names.key)
  yield* attempt("write the backup", () => archive.file(names.key, key))
  yield* copyData(connection, dataDir, archive)
  yield* refuseFile
  yield* attempt("write the backup", archive.end)
  const { size } = yield* attempt("look at the backup", () => stat(file))
  yield* Effect.logInfo("the backup is complete", { file, bytes: size })
}, Effect.scoped)

/** What every backup has: the version of PostgreSQL, the control file, and the label. */
const essential = [`${names.cluster}/PG_VERSION`, control, names.label]

const isRunning = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/**
 * Removes what restores that were killed have left behind: copies of the data, a server on them, and the key. A key next
 * to such remains is from that restore, or from a start that was refused because of it.
 */
const clearRemains = Effect.fnUntraced(function* (dataDir: string) {
  for (const name of yield* attempt("read data.dir", () => readdir(dataDir))) {
    const pid = Number(restoreDraft.exec(name)?.[1])
    // After a restart of a container, another restore may have had the id of this process.
    if (!(pid > 0) || (pid !== process.pid && isRunning(pid))) continue
    yield* clearPredecessor(join(dataDir, name, names.cluster))
    yield* attempt("remove the rest of an earlier restore", async () => {
      // The directory goes last: if this is interrupted as well, the key is still known not to be used.
      await rm(join(dataDir, names.key), { force: true })
      await rm(join(dataDir, name), { recursive: true })
    })
  }
})

const refuseExisting = Effect.fnUntraced(function* (dataDir: string, name: string) {
  const path = join(dataDir, name)
  if (yield* attempt("read data.dir", () => isThere(path))) {
    return yield* new EmbeddedPostgresError({
      reason: "in-use",
      message: `data.dir: ${path} is there already, and a backup is restored to an empty directory only; move it away, or choose another data.dir`
    })
  }
})

const decodeBlobs = Schema.decodeUnknownSync(Schema.Array(Schema.Struct({ id: Schema.String })))

/** The blobs that a database knows. That of an older release may lack the tables. */
const blobsOf = Effect.fnUntraced(function* (connection: PgConnection.PgConnection) {
  const blobs = new Set<string>()
  for (const [table, column] of [
    ["blobs", "id"],
    ["upload_parts", "blob_id"]
  ] as const) {
    const tables = yield* connection.query(`SELECT FROM pg_class WHERE oid = to_regclass('${table}')`, [], false)
    if (tables.rows.length === 0) continue
    const { rows } = yield* connection.query(`SELECT ${column}::text AS id FROM ${table}`, [], false)
    for (const { id } of decodeBlobs(rows)) blobs.add(id)
  }
  return blobs
})

/**
 * Makes clients that have seen the log before the backup, or a later one, take this one for another, and returns the blobs
 * that the database knows.
 */
const beginEpoch = Effect.fnUntraced(function* (dataDir: string) {
  const address = yield* startEmbeddedPostgres({ dataDir, durability: "full" })
  const connection = yield* PgConnection.make({ ...address, database: "postgres" })
  yield* connection.query(`ALTER DATABASE postgres SET ${epochParameter} = '${randomUUID()}'`, [], false)
  return yield* blobsOf(connection)
}, Effect.scoped)

/**
 * Makes the data of `dataDir` from a backup. The log gets another epoch, so that clients fetch everything again. Fails
 * when `dataDir` holds a database or a signing key, and when the backup is damaged or incomplete; then nothing is changed.
 * What a restore that was killed has left in `dataDir` is removed first.
 */
export const restore = Effect.fn("EmbeddedPostgres.restore")(function* (dataDir: string, file: string) {
  yield* refuseExisting(dataDir, names.cluster)
  yield* attempt("write to data.dir", () => mkdir(dataDir, { recursive: true }))
  yield* clearRemains(dataDir)
  yield* refuseExisting(dataDir, names.key)
  const draft = yield* Effect.acquireRelease(
    attempt("write to data.dir", async () => {
      const path = join(dataDir, `restore.${process.pid}`)
      await mkdir(path)
      return path
    }),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const damaged = failed(`${file} is not a complete backup of the embedded database`)
  yield* Effect.mapError(
    attempt("read the backup", () => readArchive(file, draft)),
    ({ message }) => failed(`${damaged.message} (${message})`)
  )
  for (const name of essential) {
    if (!(yield* attempt("read the backup", () => isThere(join(draft, name))))) return yield* damaged
  }
  const blobs = yield* beginEpoch(draft).pipe(
    Effect.catchTag("SqlError", (error) => Effect.fail(cannot("begin a new epoch")(error)))
  )
  yield* attempt("write to data.dir", async () => {
    const files = join(draft, names.files)
    if (await isThere(files)) await moveFiles(files, join(dataDir, names.files), blobs)
    if (await isThere(join(draft, names.key))) await rename(join(draft, names.key), join(dataDir, names.key))
    await rename(join(draft, names.cluster), join(dataDir, names.cluster))
  })
  yield* Effect.logInfo("the backup is restored; the service can be started", { dataDir })
}, Effect.scoped)

/** Does it for the embedded database of the settings. Fails when they name a server, which has means of its own. */
export const ofSettings = Effect.fnUntraced(function* <E>(
  act: (dataDir: string, file: string) => Effect.Effect<void, E>,
  file: string
) {
  const { data, postgres, s3 } = yield* Settings
  if (postgres !== undefined) {
    return yield* new SettingsError({
      message:
        "backup and restore copy the embedded database, and the settings name a PostgreSQL server (postgres.host): use pg_basebackup or pg_dump"
    })
  }
  yield* act(data.dir, resolve(file))
  if (s3 !== undefined)
    yield* Effect.logWarning("files that users have uploaded are in S3, and not in the backup: copy the bucket too", {
      bucket: s3.bucket
    })
})
