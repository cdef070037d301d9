import { createHash } from "node:crypto"
import { Effect, FileSystem, Path, Schema } from "effect"

/** The files of `migrations/` or the database are not as they must be; the message is one line. */
export class MigrationError extends Schema.TaggedError<MigrationError>()("MigrationError", {
  message: Schema.String
}) {}

/** A file with its text, whose line ends are LF. */
export interface SqlFile {
  readonly name: string
  readonly sql: string
}

/** A file of `migrations/tables`, which is applied once. */
export interface TableMigration extends SqlFile {
  readonly id: number
  readonly hash: string
}

/** The files of `migrations/functions`, which are applied together. */
export interface FunctionSet {
  /** The number in `set.json`, which every change of the files raises. */
  readonly number: number
  /** The hash in `set.json`, which must be `hash`: `npm run check` compares them. */
  readonly declaredHash: string
  readonly hash: string
  readonly files: ReadonlyArray<SqlFile>
}

const SetFile = Schema.fromJsonString(Schema.Struct({ number: Schema.Int, hash: Schema.String }))

const hashOf = (...texts: ReadonlyArray<string>) => {
  const hash = createHash("sha256")
  for (const text of texts) hash.update(text).update("\0")
  return hash.digest("hex")
}

/** The SQL files of a directory in the order of their names; those of a checkout with CRLF are read with LF. */
const readSqlFiles = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const names = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".sql")).sort()
  return yield* Effect.forEach(names, (file) =>
    Effect.map(
      fs.readFileString(join(directory, file)),
      (text): SqlFile => ({ name: file.slice(0, -".sql".length), sql: text.replaceAll("\r\n", "\n") })
    )
  )
})

const tableMigration = (file: SqlFile) => {
  const [, id, name] = /^(\d{4})_(\w+)$/.exec(file.name) ?? []
  return id === undefined || name === undefined
    ? Effect.fail(
        new MigrationError({ message: `migrations/tables/${file.name}.sql must be named like 0001_name.sql` })
      )
    : Effect.succeed<TableMigration>({ id: Number(id), name, sql: file.sql, hash: hashOf(file.sql) })
}

/** Reads `tables/` and `functions/` in a directory of migrations. Files that cannot be read are a defect. */
export const readSchemaFiles = Effect.fn("SchemaFiles.read")(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const { join } = yield* Path.Path
  const tables = yield* Effect.flatMap(Effect.orDie(readSqlFiles(join(directory, "tables"))), (files) =>
    Effect.forEach(files, tableMigration)
  )
  const files = yield* Effect.orDie(readSqlFiles(join(directory, "functions")))
  const set = yield* fs
    .readFileString(join(directory, "functions", "set.json"))
    .pipe(Effect.flatMap(Schema.decodeEffect(SetFile)), Effect.orDie)
  const functions: FunctionSet = {
    number: set.number,
    declaredHash: set.hash,
    hash: hashOf(...files.flatMap(({ name, sql }) => [name, sql])),
    files
  }
  return { tables, functions }
})
