import { hash, randomUUID, randomUUIDv7 } from "node:crypto"
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, Layer, References } from "effect"
import pg from "pg"
import { ClientMessageId, MessageId, UserId } from "../src/domain/Ids.ts"
import { migrate } from "../src/layers/postgres/Migrations.ts"
import { layerServer } from "../src/layers/postgres/Postgres.ts"
import { PubSub } from "../src/services/bus/PubSub.ts"
import { Log } from "../src/services/log/Log.ts"
import * as LogSql from "../src/services/log/LogSql.ts"
import type { Bench } from "./Compare.ts"
import { conversationOf, makePairs } from "./Data.ts"
import type { Verdict } from "./Goals.ts"
import { body } from "./Load.ts"
import { BenchError, freshDatabase, query } from "./Postgres.ts"

/** Producers, each with one message in flight in a conversation of its own, and rows of each bare insert. */
const producers = 64

const entryOf = (index: number, senderId: UserId) => ({
  id: MessageId.make(randomUUIDv7()),
  conversationId: conversationOf(index + 1),
  senderId,
  clientMessageId: ClientMessageId.make(randomUUID()),
  requestHash: hash("sha256", body, "hex"),
  type: "text" as const,
  body,
  replyTo: null,
  extra: null
})

/** Runs `work` again and again in `producers` fibers, and returns how many times a second it was done. */
const perSecond = <E, R>(fibers: number, ms: number, work: (fiber: number) => Effect.Effect<unknown, E, R>) =>
  Effect.suspend(() => {
    const until = performance.now() + ms
    let done = 0
    return Effect.forEach(
      Array.from({ length: fibers }, (_, fiber) => fiber),
      (fiber) =>
        work(fiber).pipe(
          Effect.tap(() => Effect.sync(() => done++)),
          Effect.repeat({ while: () => performance.now() < until })
        ),
      { concurrency: "unbounded", discard: true }
    ).pipe(Effect.map(() => done / (ms / 1000)))
  })

/** Inserts 64 rows with one statement, as `unnest` allows, into a table with the two keys that a message needs. */
const bareInsert = (client: pg.Client) => {
  let seq = 0
  return Effect.tryPromise({
    try: () => {
      const rows = Array.from({ length: producers }, (_, index) => index)
      seq++
      return client.query({
        name: "insert",
        text: `INSERT INTO bare (conversation, sender, client_id, body, seq)
          SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[])`,
        values: [
          rows.map((index) => conversationOf(index + 1)),
          rows.map((index) => `sender ${index}`),
          rows.map(() => randomUUID()),
          rows.map(() => body),
          rows.map(() => seq)
        ]
      })
    },
    catch: (error) => new BenchError({ message: `persist: ${error instanceof Error ? error.message : "no insert"}` })
  })
}

const connect = (database: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ host: "127.0.0.1", user: "postgres", database })
      await client.connect()
      await client.query(`CREATE TABLE bare (conversation uuid NOT NULL, seq bigint NOT NULL, sender text NOT NULL,
        client_id text NOT NULL, body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (conversation, seq), UNIQUE (sender, client_id))`)
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

/** The rows a second that the log stores, called in this process, beside a bare insert of as many. */
export const persist = Effect.fnUntraced(function* ({ lengths, quick, rounds }: Bench) {
  const database = yield* freshDatabase("chat_bench_persist")
  const target = {
    host: "127.0.0.1",
    port: 5432,
    username: "postgres",
    database,
    sslmode: "disable" as const,
    maxConnections: 4
  }
  const server = Layer.merge(layerServer(target), NodeServices.layer)
  const measured = Effect.gen(function* () {
    yield* Effect.orDie(migrate())
    const members = yield* makePairs(database, producers)
    const senders = members.filter((_, index) => index % 2 === 0).map(({ user }) => UserId.make(user))
    const log = yield* Log
    const insert = bareInsert(yield* connect(database))
    const stored = Effect.map(query("SELECT count(*)::int AS rows FROM messages", database), ([row]) =>
      Number(row?.rows)
    )
    const append = Effect.fnUntraced(function* (ms: number) {
      const before = yield* stored
      yield* perSecond(producers, ms, (index) => {
        const sender = senders[index]
        // Each time another entry: one that is repeated is a duplicate, which is answered and not stored.
        const appended = Effect.suspend(() => (sender === undefined ? Effect.void : log.append(entryOf(index, sender))))
        return Effect.orDie(appended)
      })
      return ((yield* stored) - before) / (ms / 1000)
    })
    const bare = (ms: number) =>
      Effect.map(
        perSecond(1, ms, () => insert),
        (batches) => batches * producers
      )
    yield* append(lengths.warmMs)
    yield* bare(lengths.warmMs)
    const values: Array<number> = []
    for (let round = 1; round <= (quick ? 1 : rounds); round++) {
      // After a checkpoint, so that neither pays for the pages of the other.
      yield* query("CHECKPOINT")
      const floor = yield* bare(lengths.measureMs)
      yield* query("CHECKPOINT")
      const rows = yield* append(lengths.measureMs)
      yield* Console.log(
        `round ${round}: ${rows.toFixed(0)} rows a second of the log, ${floor.toFixed(0)} of the bare insert`
      )
      values.push(rows / floor)
    }
    return values
  })
  const values = yield* measured.pipe(
    Effect.provide(LogSql.layer.pipe(Layer.provideMerge(PubSub.layer), Layer.provideMerge(server))),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.catchTag("PostgresError", ({ message }) => Effect.fail(new BenchError({ message })))
  )
  const verdict: Verdict = {
    what: `persisted rows a second to a bare insert of ${producers}`,
    unit: "",
    values,
    goal: { side: "at least", must: 0.35, aim: 0.6 }
  }
  return [verdict]
})
