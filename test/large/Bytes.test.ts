import * as NodeServices from "@effect/platform-node/NodeServices"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { migrate } from "../../src/layers/postgres/Migrations.ts"
import { layerServer } from "../../src/layers/postgres/Postgres.ts"
import { clientConfig } from "../../src/layers/postgres/PostgresConfig.ts"
import { makeSearchIndex } from "../../src/services/messages/search/SearchIndex.ts"
import { chat, entryOf, store, twoOfUs } from "../support/Chat.ts"
import { TestDatabase } from "../support/Database.ts"
import { finished } from "../support/Indexing.ts"
import { serversAreThere, startPostgresWith } from "../support/Servers.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"

/** Pairs of users, each with one message in flight. */
const pairs = 50

/** The messages, which are sent, indexed and vacuumed in so many rounds, as a server does both meanwhile. */
const rounds = 10
const perRound = 10_000

const total = rounds * perRound

/** A language of 5,000 words of 4 to 9 letters, in which a few are used much more than the others. */
const words = Array.from({ length: 5000 }, (_, n) => (n * 7919 + 104_729).toString(36).padEnd(4 + (n % 6), "en"))

/** A message of 120 characters. */
const bodyOf = (n: number) => {
  let body = ""
  for (let m = 1; body.length < 120; m++) {
    const place = ((n * 2_654_435_761 + m * 40_503) % 9973) / 9973
    body += `${words[Math.floor(place ** 3 * words.length)]} `
  }
  return body.slice(0, 119).padEnd(120, "x")
}

/** A database of a server that nothing else writes to, whose WAL has no whole pages. */
const server = Layer.effect(
  TestDatabase,
  Effect.gen(function* () {
    const { port } = yield* startPostgresWith({ autovacuum: "off", full_page_writes: "off" })
    const target = TestDatabase.of({
      host: "127.0.0.1",
      port,
      username: "postgres",
      database: "postgres",
      sslmode: "disable",
      maxConnections: 8
    })
    yield* Effect.provide(migrate(), Layer.merge(layerServer(target), NodeServices.layer))
    return target
  })
)
const client = PgClient.layerFrom(Effect.flatMap(TestDatabase, (target) => PgClient.make(clientConfig(target, false))))
const layer = chat.sql.pipe(Layer.provideMerge(client), Layer.provideMerge(server))

/** The bytes of each table with its indexes. */
const sizes = SqlClient.SqlClient.use((sql) =>
  Effect.map(
    sql<{ name: string; bytes: number; indexes: number }>`
      SELECT relname AS name, pg_total_relation_size(oid)::int AS bytes, pg_indexes_size(oid)::int AS indexes
      FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`,
    (rows) => new Map(rows.map((row) => [row.name, row]))
  )
)

/** Does something, and returns how many bytes of WAL it has written. */
const walOf = <A, E, R>(work: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [before] = yield* sql<{ lsn: string }>`SELECT pg_current_wal_insert_lsn()::text AS lsn`
    yield* work
    const [after] = yield* sql<{ bytes: number }>`
      SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), ${before?.lsn}::pg_lsn)::int AS bytes`
    return after?.bytes ?? Number.NaN
  })

const send = (to: ReadonlyArray<{ readonly id: ConversationId; readonly a: UserId }>, from: number) =>
  Effect.forEach(
    to,
    ({ a, id }, place) =>
      Effect.forEach(
        Array.from({ length: perRound / to.length }, (_, n) => from + n * to.length + place),
        (n) => store(entryOf(id, a, { body: bodyOf(n) })),
        { discard: true }
      ),
    { concurrency: "unbounded", discard: true }
  )

describe.skipIf(!serversAreThere)("the bytes of a message of 120 characters", () => {
  it.layer(layer, { timeout: longTestTimeout, excludeTestServices: true })("in its database", (it) => {
    it.effect(
      `are few, on the disk and in the write-ahead log, of ${total} messages`,
      () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const to = yield* Effect.replicateEffect(twoOfUs, pairs)
          const index = yield* makeSearchIndex()
          yield* finished(index)
          yield* sql`VACUUM`
          const before = yield* sizes
          const wal = { sent: 0, indexed: 0, vacuumed: 0 }
          for (let round = 0; round < rounds; round++) {
            wal.sent += yield* walOf(send(to, round * perRound))
            wal.indexed += yield* walOf(finished(index))
            wal.vacuumed += yield* walOf(sql`VACUUM`)
          }
          const after = yield* sizes
          const each = (bytes: number) => Math.round(bytes / total)
          const grown = Array.from(after, ([name, { bytes, indexes }]) => ({
            name,
            bytes: each(bytes - (before.get(name)?.bytes ?? 0)),
            indexes: each(indexes - (before.get(name)?.indexes ?? 0))
          })).filter(({ bytes }) => bytes > 0)
          const disk = grown.reduce((sum, { bytes }) => sum + bytes, 0)
          for (const { bytes, indexes, name } of grown) {
            process.stdout.write(`${name}: ${bytes} bytes a message, ${indexes} of them indexes\n`)
          }
          process.stdout.write(
            `WAL: ${each(wal.sent)} to send, ${each(wal.indexed)} to index, ${each(wal.vacuumed)} to vacuum\n`
          )
          assert.isAtMost(disk, 1200)
          assert.isAtMost(each(wal.sent), 1250)
          assert.isAtMost(each(wal.indexed), 1800)
        }),
      longTestTimeout
    )
  })
})
