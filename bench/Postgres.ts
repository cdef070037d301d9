import { PgConnection } from "@effect/sql-pg"
import { Effect, Schema } from "effect"
import { parentOf } from "./Cpu.ts"

/** The server that all targets share, each in a database of its own. */
const server = { host: "127.0.0.1", port: 5432, username: "postgres" }

export class BenchError extends Schema.TaggedError<BenchError>()("BenchError", { message: Schema.String }) {}

/** The rows of one statement on a connection of its own. */
export const query = (statement: string, database = "postgres") =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make({ ...server, database }), (connection) => connection.query(statement))
  ).pipe(
    Effect.map(({ rows }) => rows),
    Effect.mapError(
      ({ message }) => new BenchError({ message: `PostgreSQL at ${server.host}:${server.port}: ${message}` })
    )
  )

/** Makes an empty database that lives until the scope closes. Replaces one that a killed run left, but none in use. */
export const freshDatabase = (name: string) =>
  Effect.acquireRelease(
    query(`DROP DATABASE IF EXISTS ${name}`).pipe(
      Effect.andThen(query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8'`)),
      Effect.as(name)
    ),
    () => Effect.orDie(query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  )

const decodePid = Schema.decodeUnknownEffect(Schema.Tuple([Schema.Struct({ pid: Schema.Int })]))

/** The parent process of all sessions of the server. */
export const postmasterPid = Effect.gen(function* () {
  // The session must still be there when its parent is looked up.
  const connection = yield* PgConnection.make({ ...server, database: "postgres" })
  const [{ pid }] = yield* Effect.flatMap(connection.query("SELECT pg_backend_pid() AS pid"), ({ rows }) =>
    decodePid(rows)
  )
  const postmaster = parentOf(pid)
  if (postmaster === undefined) return yield* new BenchError({ message: "PostgreSQL must run on this machine" })
  return postmaster
}).pipe(
  Effect.scoped,
  Effect.mapError((error) => new BenchError({ message: error.message }))
)
