import { randomUUID } from "node:crypto"
import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { FilePlace } from "../platform/FilePlace.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"

/** How long the silence of a node may last before it counts as dead, in seconds. */
const silence = 15
/**
 * A node may believe to be alone only if its last announcement is at most this old, in seconds. Whoever starts before that belief
 * ends then sees it alive, and waits.
 */
const recent = 10

/**
 * For how many seconds of silence other nodes still publish for a node. It may only have lost the database: its sockets get
 * what comes over the bus.
 */
const memory = 600

/**
 * The other live nodes: how many of them share no bus with this one, whether one has lost it, whether all keep files in the
 * same place, and how many there are; whether there is none, not even one that may only have lost the database; and whether
 * this node has announced itself to those that start.
 */
export const Others = Schema.Struct({
  strangers: Schema.Number,
  cut_off: Schema.Boolean,
  share_files: Schema.Boolean,
  live: Schema.Number,
  alone: Schema.Boolean,
  announced: Schema.Boolean
})
export type Others = typeof Others.Type

/** Makes the statements with which this node uses the table of all nodes. The clock of the database alone counts. */
export const makeNodeTable = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { nats } = yield* Settings
  const files = (yield* FilePlace) ?? null
  const id = randomUUID()
  const bus = nats === undefined ? `in-process ${id}` : `nats ${nats.prefix}`

  return {
    /** Says that this node is alive. Returns false if others may have forgotten it, or never knew it. */
    announce: (cutOff: boolean) =>
      sql<{ readonly known: boolean }>`
        WITH own AS (SELECT FROM nodes WHERE id = ${id}::uuid AND seen_at > now() - make_interval(secs => ${memory / 2}::int))
        INSERT INTO nodes (id, bus, cut_off, files) VALUES (${id}::uuid, ${bus}, ${cutOff}, ${files}::text)
        ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), cut_off = EXCLUDED.cut_off
        RETURNING EXISTS (SELECT FROM own) AS known`.pipe(
        Effect.map(([row]) => row?.known === true),
        orUnavailable
      ),
    /** Takes this node out of the table, and those that nobody has heard of for a day. */
    forget: sql`DELETE FROM nodes WHERE id = ${id}::uuid OR seen_at < now() - interval '1 day'`,
    /** The row of `Others`. */
    askForOthers: sql`SELECT count(*) FILTER (WHERE live AND bus <> ${bus}) AS strangers,
        COALESCE(bool_or(cut_off) FILTER (WHERE live AND bus = ${bus} AND NOT own), false) AS cut_off,
        count(DISTINCT files) FILTER (WHERE live) < 2 AS share_files,
        count(*) FILTER (WHERE live AND NOT own) AS live,
        COALESCE(bool_and(own), true) AS alone,
        COALESCE(bool_or(own AND seen_at > now() - make_interval(secs => ${recent}::int)), false) AS announced
      FROM (SELECT *, id = ${id}::uuid AS own, seen_at > now() - make_interval(secs => ${silence}::int) AS live
        FROM nodes WHERE seen_at > now() - make_interval(secs => ${memory}::int)) AS n`
  }
})
