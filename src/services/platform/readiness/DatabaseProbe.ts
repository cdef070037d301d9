import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { monotonicNow } from "../Monotonic.ts"
import { wordsOf } from "../Sql.ts"
import { DatabaseFaults } from "./DatabaseFaults.ts"

/** How often a database that other nodes may use is written to, in milliseconds; a commit waits for its standbys. */
const writeInterval = 5000

/** Fails with 25006 when the server is read-only, so that the pool of connections learns of it as well. */
const lookAnd = (andThen = "") => `DO $$ BEGIN
  IF pg_is_in_recovery() THEN
    RAISE EXCEPTION 'the server is a standby (in recovery), which is read-only' USING ERRCODE = '25006';
  ELSIF current_setting('transaction_read_only') = 'on' THEN
    RAISE EXCEPTION 'the server is read-only (default_transaction_read_only is on)' USING ERRCODE = '25006';
  END IF;
  ${andThen}
END $$`

const look = lookAnd()

/** Commits a few bytes to the write-ahead log as well. Nothing reads them. */
const commit = lookAnd("PERFORM pg_logical_emit_message(true, 'chat-service', 'probe');")

/**
 * Does what a send does, and undoes it: it locks the tables of the log, and writes a row so large that it needs new space
 * on the disk.
 */
const write = `DO $$ BEGIN
  LOCK TABLE conversation_heads, conversation_events, messages, change_feed IN ROW EXCLUSIVE MODE NOWAIT;
  INSERT INTO nodes (id, bus)
    SELECT gen_random_uuid(), string_agg(md5(random()::text), '') FROM generate_series(1, 8192);
  RAISE EXCEPTION 'done' USING ERRCODE = 'CH000';
EXCEPTION WHEN SQLSTATE 'CH000' THEN NULL;
END $$`

/**
 * Makes the probe that finds out whether the database can be written to. It looks at the settings of the server; after a
 * statement has failed for another reason it also writes, until that works; and if the database is `shared`, it commits
 * every five seconds. `waitsFor` says what it does right now.
 */
export const makeDatabaseProbe = Effect.fnUntraced(function* (shared: boolean) {
  const sql = yield* SqlClient.SqlClient
  const faults = yield* DatabaseFaults
  let doing = ""
  let committedAt = Number.NEGATIVE_INFINITY
  const step = (what: string, statement: string) =>
    Effect.suspend(() => {
      doing = what
      return sql.unsafe(statement)
    }).pipe(Effect.mapError((error) => ({ message: `${what} failed: ${wordsOf(error.reason)}` })))

  const probe = Effect.gen(function* () {
    const now = yield* monotonicNow
    if (shared && now - committedAt >= writeInterval) {
      yield* step("a commit", commit)
      committedAt = now
    } else yield* step("a look at the server", look)
    if (faults.suspected()) {
      yield* step("a write", write)
      faults.clear()
    }
  })
  return { probe, waitsFor: () => doing }
})
