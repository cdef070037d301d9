import { randomBytes } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { SqlClient } from "effect/sql"
import { migrate } from "../../src/layers/postgres/Migrations.ts"
import { layerServer } from "../../src/layers/postgres/Postgres.ts"
import { owned } from "../support/Clusters.ts"
import { databases, TestDatabase } from "../support/Database.ts"

interface Functions {
  readonly number: number
  readonly text: string
}

/** A directory of migrations: the text of the table migrations by id, and a set of functions. */
const directory = (
  statements: Readonly<Record<number, string>>,
  functions: Functions = { number: 1, text: "SELECT 1;" }
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = mkdtempSync(join(tmpdir(), "chat-migrations-"))
      for (const folder of ["tables", "functions"]) mkdirSync(join(path, folder))
      for (const [id, statement] of Object.entries(statements)) {
        writeFileSync(join(path, "tables", `${id.padStart(4, "0")}_step.sql`), statement)
      }
      writeFileSync(join(path, "functions", "all.sql"), functions.text)
      writeFileSync(join(path, "functions", "set.json"), `{ "number": ${functions.number}, "hash": "" }`)
      return path
    }),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )

/** Starts a node on a database that nobody has migrated; the first call makes the database. */
const node = Effect.gen(function* () {
  const target = yield* TestDatabase
  const name = owned.name(randomBytes(6).toString("hex"))
  const sql = yield* SqlClient.SqlClient
  yield* Effect.addFinalizer(() => Effect.orDie(sql`DROP DATABASE IF EXISTS ${sql(name)} WITH (FORCE)`))
  const client = Layer.fresh(layerServer({ ...target, database: name }))
  return <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.provide(Layer.fresh(client)), Effect.provide(Logger.layer([])), Effect.scoped)
})

/** A database as release 0.1.0 has left it, after the migrations up to an id. */
const release010 = (through: number) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const text = readFileSync(join(import.meta.dirname, "../fixtures/migrations-0.1.0.sql"), "utf8")
    yield* sql`
      CREATE TABLE chat_migrations (
        migration_id integer PRIMARY KEY,
        created_at timestamp with time zone NOT NULL DEFAULT now(),
        name varchar NOT NULL
      )`
    for (const migration of text.split(/^-- migration /m).slice(1)) {
      const [, id, name, statements] = /^(\d+)_(\w+)\n(.*)$/s.exec(migration) ?? []
      if (Number(id) > through) break
      yield* sql`SELECT set_config('chat.test', ${statements ?? ""}, false)`
      yield* sql`DO $$ BEGIN EXECUTE current_setting('chat.test'); END $$`
      yield* sql`INSERT INTO chat_migrations (migration_id, name) VALUES (${Number(id)}, ${name ?? ""})`
    }
  })

/**
 * Everything that the catalogue says about the tables, types and functions of the service. Some servers put an option
 * `pg_attver` with a number of their own on every column of every table, which says nothing about the schema.
 */
const catalogue = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const relations = yield* sql`
    SELECT c.relname, c.relkind, c.relpersistence, c.reloptions, c.relreplident, am.amname, c.relrowsecurity
    FROM pg_class c LEFT JOIN pg_am am ON am.oid = c.relam
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^chat_' ORDER BY c.relname`
  const columns = yield* sql`
    SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attidentity,
      a.attgenerated, a.attstorage, a.attcompression, a.attstattarget, l.collname, a.attisdropped,
      pg_get_expr(d.adbin, d.adrelid) AS default_value,
      ARRAY(SELECT o FROM unnest(a.attoptions) o WHERE o NOT LIKE 'pg_attver=%' ORDER BY 1) AS options
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^chat_' AND a.attnum > 0 ORDER BY 1, 2`
  const indexes = yield* sql`
    SELECT pg_get_indexdef(i.indexrelid) AS definition, i.indisunique, i.indisprimary, i.indisvalid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^chat_' ORDER BY 1`
  const constraints = yield* sql`
    SELECT c.relname, k.conname, k.contype, k.condeferrable, k.condeferred, k.convalidated,
      pg_get_constraintdef(k.oid) AS definition
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE k.connamespace = 'public'::regnamespace AND c.relname !~ '^chat_' ORDER BY 1, 2`
  const types = yield* sql`
    SELECT t.typname, t.typtype FROM pg_type t
    WHERE t.typnamespace = 'public'::regnamespace AND t.typname !~ '^_?chat_' ORDER BY 1`
  const sequences = yield* sql`
    SELECT sequencename, data_type::text AS data_type, start_value, max_value::text AS max_value, increment_by, cycle, cache_size
    FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1`
  const triggers =
    yield* sql`SELECT pg_get_triggerdef(oid) AS definition FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1`
  const functions = yield* sql`
    SELECT oid::regprocedure::text AS signature, pg_get_functiondef(oid) AS definition FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace ORDER BY 1`
  return { relations, columns, indexes, constraints, types, sequences, triggers, functions }
})

/** A set of functions in which `answer()` returns a number. */
const answers = (number: number, answer: number): Functions => ({
  number,
  text: `CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS $$ SELECT ${answer} $$;
CREATE OR REPLACE FUNCTION twice() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN answer(); END $$;`
})

const answer = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ answer: number }>`SELECT twice() AS answer`
  return row?.answer
})

const names = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ name: string }>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`
  return rows.map(({ name }) => name)
})

for (const database of databases) {
  describe.skipIf(database.skip)(`migrations on ${database.name}`, () => {
    layer(Layer.merge(database.layer, NodeServices.layer), { excludeTestServices: true })((it) => {
      it.effect("run once when two nodes start together, however long they take", () =>
        Effect.gen(function* () {
          const start = yield* node
          // Longer than the lock_timeout of the pool.
          const path = yield* directory({ 1: "CREATE TABLE slow AS SELECT pg_sleep(2.5)::text" })
          const done = yield* Effect.all([start(migrate(path)), start(migrate(path))], { concurrency: 2 })
          assert.deepStrictEqual(done.flat(), [[1, "step"]])
        })
      )

      it.effect("apply only what is new", () =>
        Effect.gen(function* () {
          const start = yield* node
          const first = yield* directory({ 1: "CREATE TABLE a ()" })
          const second = yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE b ()" })
          assert.deepStrictEqual(yield* start(migrate(first)), [[1, "step"]])
          assert.deepStrictEqual(yield* start(migrate(second)), [[2, "step"]])
          assert.deepStrictEqual(yield* start(migrate(second)), [])
          assert.deepStrictEqual(yield* start(names), ["a", "b", "chat_schema_functions", "chat_schema_tables"])
        })
      )

      it.effect("let an older release start on the database of a newer one", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE b ()" })))
          assert.deepStrictEqual(yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()" }))), [])
        })
      )

      it.effect("refuse a database that lacks a migration between applied ones", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()", 3: "CREATE TABLE c ()" })))
          const path = yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE b ()", 3: "CREATE TABLE c ()" })
          const error = yield* Effect.flip(start(migrate(path)))
          assert.include(error.message, "2_step")
        })
      )

      it.effect("leave nothing of a step that fails, nor of those before it", () =>
        Effect.gen(function* () {
          const start = yield* node
          const path = yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE" })
          const error = yield* Effect.flip(start(migrate(path)))
          assert.include(error.message, "2_step")
          assert.deepStrictEqual(yield* start(names), [])
        })
      )

      it.effect("refuse a migration that was changed after it was applied", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()", 2: "CREATE TABLE b ()" })))
          const path = yield* directory({
            1: "CREATE TABLE a (id int)",
            2: "CREATE TABLE b ()",
            3: "CREATE TABLE c ()"
          })
          const error = yield* Effect.flip(start(migrate(path)))
          assert.strictEqual(
            error.message,
            "1_step was changed after the database applied it: restore the file, and write a new migration"
          )
          assert.deepStrictEqual(yield* start(names), ["a", "b", "chat_schema_functions", "chat_schema_tables"])
        })
      )

      it.effect("accept the same file with CRLF line endings", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ();\nCREATE TABLE b ();\n" })))
          const path = yield* directory({ 1: "CREATE TABLE a ();\r\nCREATE TABLE b ();\r\n" })
          assert.deepStrictEqual(yield* start(migrate(path)), [])
        })
      )

      it.effect("keep the newer functions when a node of the previous release starts again", () =>
        Effect.gen(function* () {
          const start = yield* node
          const previous = yield* directory({ 1: "CREATE TABLE a ()" }, answers(7, 1))
          const next = yield* directory({ 1: "CREATE TABLE a ()" }, answers(8, 2))
          const seen = []
          for (const release of [previous, next, previous, next]) {
            yield* start(migrate(release))
            seen.push(yield* start(answer))
          }
          assert.deepStrictEqual(seen, [1, 2, 2, 2])
        })
      )

      it.effect("keep the number of a set whose text equals that of an earlier set", () =>
        Effect.gen(function* () {
          const start = yield* node
          for (const functions of [answers(1, 1), answers(3, 1), answers(2, 2)]) {
            yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()" }, functions)))
          }
          assert.strictEqual(yield* start(answer), 1)
        })
      )

      it.effect("refuse functions that were changed under the same number", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(migrate(yield* directory({ 1: "CREATE TABLE a ()" }, answers(7, 1))))
          const error = yield* Effect.flip(start(migrate(yield* directory({ 1: "CREATE TABLE a ()" }, answers(7, 2)))))
          assert.include(error.message, "npm run functions")
          assert.strictEqual(yield* start(answer), 1)
        })
      )

      it.effect("leave neither tables nor functions when a function cannot be made", () =>
        Effect.gen(function* () {
          const start = yield* node
          const path = yield* directory({ 1: "CREATE TABLE a ()" }, { number: 1, text: "CREATE OR REPLACE FUNCTION" })
          const error = yield* Effect.flip(start(migrate(path)))
          assert.include(error.message, "functions/all.sql")
          assert.deepStrictEqual(yield* start(names), [])
        })
      )

      it.effect("adopt a database of release 0.1.0, whose schema then equals a fresh one", () =>
        Effect.gen(function* () {
          const old = yield* node
          const fresh = yield* node
          yield* old(release010(23))
          // The functions have other results and arguments, as in a database that was migrated before a migration was
          // edited.
          yield* old(
            Effect.gen(function* () {
              const sql = yield* SqlClient.SqlClient
              yield* sql`DROP FUNCTION message_at(uuid, bigint)`
              yield* sql`DROP FUNCTION purge(int)`
              yield* sql`CREATE FUNCTION purge(p_most int) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'`
              yield* sql`CREATE FUNCTION vote(p_user_id uuid) RETURNS int LANGUAGE sql AS 'SELECT 1'`
            })
          )
          const later = yield* old(migrate())
          assert.isTrue(later.every(([id]) => id > 5))
          assert.notDeepEqual(yield* fresh(migrate()), [])
          const [adopted, made] = [yield* old(catalogue), yield* fresh(catalogue)]
          assert.isAbove(made.functions.length, 50)
          assert.deepStrictEqual(adopted, made)
          // It is adopted once, and nodes of release 0.1.0 still find their migrations.
          assert.deepStrictEqual(yield* old(migrate()), [])
          const sql = SqlClient.SqlClient.use((sql) => sql<{ count: bigint }>`SELECT count(*) FROM chat_migrations`)
          assert.strictEqual(Number((yield* old(sql))[0]?.count), 23)
        })
      )

      it.effect("keep the data of release 0.1.0, and functions that are not ours", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(release010(23))
          const kept = yield* start(
            Effect.gen(function* () {
              const sql = yield* SqlClient.SqlClient
              yield* sql`CREATE FUNCTION of_the_operator() RETURNS int LANGUAGE sql AS 'SELECT 42'`
              yield* sql`
                INSERT INTO users (id, email, email_key, username, display_name, search_name, password_hash)
                VALUES (gen_random_uuid(), 'a@b', 'a@b', 'ann', 'Ann', 'ann', '')`
              yield* migrate()
              return yield* sql<{
                username: string
                answer: number
              }>`SELECT username, of_the_operator() AS answer FROM users`
            })
          )
          assert.deepStrictEqual(kept, [{ username: "ann", answer: 42 }])
        })
      )

      it.effect("refuse a database that has not all migrations of release 0.1.0", () =>
        Effect.gen(function* () {
          const start = yield* node
          yield* start(release010(20))
          const error = yield* Effect.flip(start(migrate()))
          assert.strictEqual(
            error.message,
            "the database is at migration 20_closed_accounts of a release before 0.1.0: migrate it with release 0.1.0 (commit 539edca) first, and then with this release"
          )
        })
      )
    })
  })
}
