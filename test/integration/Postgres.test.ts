import { assert, describe, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { int8s, isRetryable, isUnavailable, nullable, orUnavailable } from "../../src/services/platform/Sql.ts"
import { databases } from "../support/Database.ts"

const id = "01900000-0000-7000-8000-000000000000"
const largest = Number.MAX_SAFE_INTEGER
const words = ['a"b', "{c,d}", "\\", "", "NULL", null]
const moment = new Date(1_700_000_000_123)
const bytes = new Uint8Array([0, 255])
const settings = {
  application_name: "chat-service",
  lock_timeout: "2s",
  statement_timeout: "10s",
  idle_in_transaction_session_timeout: "5s",
  jit: "off"
}

/** The name, the parameter, the type, and the value that comes back. */
const roundTrips: ReadonlyArray<readonly [name: string, parameter: unknown, type: string, back: unknown]> = [
  ["a small number", 7, "bigint", 7],
  ["a number beyond 32 bits", 2 ** 40 + 5, "bigint", 2 ** 40 + 5],
  ["a negative number", -1, "bigint", -1],
  ["the borders of the safe integers", [-largest, largest], "bigint[]", [-largest, largest]],
  ["numbers", [3, 1, 2], "bigint[]", [3, 1, 2]],
  ["numbers of any size", int8s([1, 0, -(2 ** 33)]), "bigint[]", [1, 0, -(2 ** 33)]],
  ["no numbers", [], "bigint[]", []],
  ["ids and nulls", [null, id], "uuid[]", [null, id]],
  ["nothing but nulls", nullable([null, null]), "uuid[]", [null, null]],
  ["no ids", nullable([]), "uuid[]", []],
  ["texts that need quotes", words, "text[]", words],
  ["bytes", bytes, "bytea", bytes],
  ["lists of bytes", [bytes, null], "bytea[]", [bytes, null]],
  ["moments", [moment, null], "timestamptz[]", [moment, null]],
  ["truths", [true, false], "boolean[]", [true, false]],
  ["JSON, its inner names untouched", '{"a_b":[{"c_d":1}]}', "jsonb", { a_b: [{ c_d: 1 }] }],
  ["text of any language", "çüß 你好 🎈", "text", "çüß 你好 🎈"]
]

/** The SQLSTATE, whether the database counts as down, and whether to retry at once. */
const states: ReadonlyArray<readonly [state: string, unavailable: boolean, retryable: boolean]> = [
  ["40P01", true, true],
  ["55P03", true, true],
  ["40001", true, false],
  ["57014", true, false],
  ["57P01", true, false],
  ["57P03", true, false],
  ["53100", true, false],
  ["53300", true, false],
  ["08006", true, false],
  ["25006", true, false],
  ["23505", false, false],
  ["23503", false, false],
  ["22021", false, false],
  ["42601", false, false],
  ["P0001", false, false]
]

for (const database of databases) {
  describe.skipIf(database.skip)(`client on ${database.name}`, () => {
    layer(database.layer, { excludeTestServices: true })((it) => {
      for (const [name, parameter, type, back] of roundTrips) {
        it.effect(`carries ${name} (${type})`, () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            assert.deepStrictEqual(yield* sql`SELECT ${parameter}::${sql.literal(type)} AS the_value`, [
              { theValue: back }
            ])
          })
        )
      }

      it.effect("gives count(*) as a number", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          assert.deepStrictEqual(yield* sql`SELECT count(*) AS row_count FROM generate_series(1, 3)`, [{ rowCount: 3 }])
        })
      )

      it.effect("fails on a bigint that a number cannot hold, and goes on working", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const error = yield* Effect.flip(sql`SELECT 9007199254740993::bigint AS x`)
          assert.isFalse(isUnavailable(error))
          assert.deepStrictEqual(yield* sql`SELECT 1 AS x`, [{ x: 1 }])
        })
      )

      it.effect("gives the session its settings", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const rows = yield* sql<{ name: string; value: string }>`
            SELECT name, current_setting(name) AS value FROM unnest(${Object.keys(settings)}::text[]) AS name`
          assert.deepStrictEqual(Object.fromEntries(rows.map(({ name, value }) => [name, value])), settings)
        })
      )

      it.effect("is unavailable to a transaction whose connection ends, and works for the next one", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const ended = sql`SELECT pg_terminate_backend(pg_backend_pid())`.pipe(sql.withTransaction, orUnavailable)
          assert.strictEqual((yield* Effect.flip(ended))._tag, "Unavailable")
          // A part of it that has found that out by itself is a failure too, and no defect.
          const part = sql`SELECT pg_terminate_backend(pg_backend_pid())`.pipe(orUnavailable)
          const whole = part.pipe(sql.withTransaction, orUnavailable)
          assert.strictEqual((yield* Effect.flip(whole))._tag, "Unavailable")
          const rows = yield* sql`SELECT 1 AS one`.pipe(sql.withTransaction, orUnavailable)
          assert.deepStrictEqual(rows, [{ one: 1 }])
        })
      )

      it.effect("gives up on a lock after 2 s with an error that may be retried", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE TABLE held AS SELECT 1 AS id`
          const holder = yield* sql.reserve
          yield* holder.executeRaw("BEGIN", [])
          yield* holder.executeRaw("SELECT id FROM held FOR UPDATE", [])
          const error = yield* Effect.flip(sql`UPDATE held SET id = 2`)
          yield* holder.executeRaw("ROLLBACK", [])
          assert.strictEqual(error.reason._tag, "LockTimeoutError")
          assert.isTrue(isRetryable(error) && isUnavailable(error))
        })
      )

      for (const [state, unavailable, retryable] of states) {
        it.effect(`treats ${state} as ${unavailable ? "a database that is down" : "a defect"}`, () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const error = yield* Effect.flip(
              sql`DO ${sql.literal(`$$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${state}'; END $$`)}`
            )
            assert.deepStrictEqual([isUnavailable(error), isRetryable(error)], [unavailable, retryable])
          })
        )
      }
    })
  })
}
