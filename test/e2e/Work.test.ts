import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { monotonicNow } from "../../src/services/platform/Monotonic.ts"
import { api, connect } from "../support/Client.ts"
import { startNatsServer } from "../support/NatsServer.ts"
import { startNode } from "../support/Node.ts"
import { freePort, query, redisCommand, serversAreThere, startPostgresWith, startRedis } from "../support/Servers.ts"
import { patience } from "../support/TimeLimits.ts"

const database = "postgres"

/** The settings under which PostgreSQL counts every statement, and writes the same WAL each time. */
const countingExactly = {
  shared_preload_libraries: "pg_stat_statements",
  "pg_stat_statements.track": "all",
  autovacuum: "off",
  // Without it, the first change of a page after a checkpoint writes the whole page.
  full_page_writes: "off"
}

/** A node on a PostgreSQL, a NATS and a Redis that nothing else uses, with a direct conversation of two users. */
const start = Effect.gen(function* () {
  const monitor = yield* freePort
  const [postgres, nats, redis] = yield* Effect.all(
    [startPostgresWith(countingExactly), startNatsServer(["-m", String(monitor)]), startRedis],
    { concurrency: 3 }
  )
  yield* query(postgres.port, database, "CREATE EXTENSION pg_stat_statements")
  const startOne = startNode({
    "postgres.host": "127.0.0.1",
    "postgres.port": postgres.port,
    "postgres.database": database,
    "redis.host": "127.0.0.1",
    "redis.port": redis.port,
    "nats.address": nats.address,
    "limits.commands_per_second": 10_000,
    "limits.commands_burst": 10_000,
    "jwt.secret": "a-signing-key-of-more-than-32-bytes"
  })
  const node = yield* startOne
  const http = api(node.url)
  const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
  const dm = yield* http.dm(ann, bob)
  const [sender, receiver] = [yield* connect(node.url), yield* connect(node.url)]
  yield* sender.ready(ann.token)
  yield* receiver.ready(bob.token)
  let sent = 0
  const send = Effect.gen(function* () {
    const data = { conversationId: dm, clientMessageId: `lone-${++sent}`, body: "b".repeat(200) }
    yield* sender.ok("message.send", data)
    return yield* receiver.event("message.created", dm)
  })
  return { postgres, redis, monitor, ann, dm, send, startOne }
})

class Running extends Context.Service<Running, Effect.Success<typeof start>>()("chat/test/Running") {
  static readonly layer = Layer.effect(Running, start)
}

const Statement = Schema.Struct({
  query: Schema.String,
  toplevel: Schema.Boolean,
  calls: Schema.Int,
  compiled: Schema.Int,
  buffers: Schema.Int,
  wal: Schema.Int
})
const decodeStatements = Schema.decodeUnknownSync(Schema.Array(Statement))

const statements = Running.use(({ postgres }) =>
  Effect.map(
    query(
      postgres.port,
      database,
      `SELECT query, toplevel, calls::int, jit_functions::int AS compiled, (shared_blks_hit + shared_blks_read)::int AS buffers, wal_bytes::int AS wal
        FROM pg_stat_statements`
    ),
    decodeStatements
  )
)

const decodeTraffic = Schema.decodeUnknownSync(Schema.Struct({ in_msgs: Schema.Int, in_bytes: Schema.Int }))

/** What was published to NATS. */
const traffic = Running.use(({ monitor }) =>
  Effect.promise(() =>
    fetch(`http://127.0.0.1:${monitor}/varz`)
      .then((answer) => answer.json())
      .then((json) => decodeTraffic(json))
  )
)

/** How often each command of Redis was called. */
const commands = Running.use(({ redis }) =>
  Effect.map(
    redisCommand(redis.port, "INFO", "commandstats"),
    (text) =>
      new Map(
        [...String(text).matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name = "", calls]) => [name, Number(calls)])
      )
  )
)

/** How long messages gather before they are indexed, in milliseconds. */
const gatheringMs = 5000

/** How many messages are counted. What runs by itself, once a second or less often, runs fewer times meanwhile. */
const count = 100

/** Marks a statement that this test repeats. */
const byThisTest = "by this test"

/** Waits until the search index has all messages, so that its work is counted with theirs. */
const indexed = Running.use(({ postgres }) =>
  query(
    postgres.port,
    database,
    `SELECT /* ${byThisTest} */ FROM conversation_heads h LEFT JOIN search_heads s USING (conversation_id)
      WHERE h.seq > COALESCE(s.seq, 0)`
  ).pipe(
    Effect.repeat({ until: (rows) => rows.length === 0, schedule: Schedule.spaced("100 millis") }),
    Effect.timeout(patience)
  )
)

/**
 * What runs by itself inside of functions, whatever is sent: the probe of the database, which commits every five seconds, and
 * the looks at the change feed.
 */
const byItself = /pg_logical_emit_message|pg_control_system|change_feed_(consumers|state)|FROM change_feed /

/** The statements that ran for each message, and the work of one call of a function. */
const counted = (times: number) =>
  Effect.map(statements, (all) => {
    const often = all.filter(({ calls, query }) => calls >= times && !query.includes(byThisTest))
    const one = (name: string) => all.find(({ query, toplevel }) => toplevel && query.includes(`${name}(`))
    return {
      sent: often.filter(({ toplevel }) => toplevel).map(({ query }) => /(\w+)\(/.exec(query)?.[1]),
      inner: often.filter(({ query, toplevel }) => !toplevel && !byItself.test(query)),
      compiled: all.filter(({ compiled }) => compiled > 0).map(({ query }) => query),
      wal: all.reduce((sum, { toplevel, wal }) => sum + (toplevel ? wal : 0), 0),
      calls: (part: string) =>
        all.reduce((sum, { calls, query, toplevel }) => sum + (toplevel && query.includes(part) ? calls : 0), 0),
      of: (name: string) => {
        const { buffers = Number.NaN, calls = 1, wal = Number.NaN } = one(name) ?? {}
        return { buffers: buffers / calls, wal: wal / calls }
      }
    }
  })

const resetCounts = Running.use(({ postgres }) => query(postgres.port, database, "SELECT pg_stat_statements_reset()"))

describe.skipIf(!serversAreThere)("the work", () => {
  layer(Running.layer, { excludeTestServices: true })((it) => {
    it.effect("of a message by itself is one statement, no message of NATS and no command of Redis", () =>
      Effect.gen(function* () {
        const { send } = yield* Running
        // The first ones make plans, extend tables and load catalogs.
        for (let i = 0; i < 20; i++) yield* send
        yield* indexed
        yield* resetCounts
        const before = { nats: yield* traffic, redis: yield* commands }
        const from = yield* monotonicNow
        for (let i = 0; i < count; i++) yield* send
        const after = { nats: yield* traffic, redis: yield* commands }
        yield* indexed
        const turns = 1 + Math.floor(((yield* monotonicNow) - from) / gatheringMs)
        const work = yield* counted(count)

        // One transaction of one statement: its round trip and its commit are most of what a lone message costs.
        assert.deepStrictEqual(work.sent, ["append_message"])
        // Is the sender a member? Lock the head, look again, look up the client message id, insert, move the head with its
        // row of the change feed, and move the marker of the sender.
        assert.isAtMost(work.inner.length, 7, work.inner.map(({ query }) => query).join("\n"))
        // Two or three for each lookup and each of five indexes, and two for the row of the change feed: 30 to 35, by how many
        // old versions of rows are passed.
        assert.isAtMost(work.of("append_message").buffers, 38)
        // The row of 200 bytes and its index entries are 700, the lock and the new version of the head 150, the marker 80,
        // and the row of the change feed with its index entry 190.
        assert.isAtMost(work.of("append_message").wal, 1135)
        // The words of the message and their index are as much again, and are written for many messages at once. To delete
        // the row of the change feed is 60.
        assert.isAtMost(work.wal / count, 2130)

        // Those that have gathered are indexed in one step.
        for (const part of [
          "take_changes(",
          "pg_try_advisory_xact_lock(",
          "FROM messages y",
          "INTO message_words",
          "move_consumer("
        ])
          assert.isAtMost(work.calls(part), turns, part)
        assert.isAtLeast(work.calls("INTO message_words"), 1)

        // A plan that PostgreSQL takes for a dear one it compiles, which costs more than hundreds of messages.
        assert.deepStrictEqual(work.compiled, [])

        // The node knows that it is alone, except while a look at the database takes a second.
        assert.isBelow(after.nats.in_msgs - before.nats.in_msgs, count / 2)
        // Redis has no part in a message. Beats of presence and checks of readiness are in between.
        for (const [name, calls] of after.redis) {
          assert.strictEqual(Math.floor((calls - (before.redis.get(name) ?? 0)) / count), 0, name)
        }

        // A body of 200 bytes, five ids, three times, and the names of the fields.
        const event = yield* send
        assert.isAtMost(JSON.stringify(event.json).length, 900)
      })
    )

    it.effect("of a batch is shared by its messages", () =>
      Effect.gen(function* () {
        const { ann, dm, postgres } = yield* Running
        const size = 64
        const batch = query(
          postgres.port,
          database,
          `SELECT a.outcome FROM append_messages(false, array_fill($1::uuid, ARRAY[$3::int]),
              array_fill($2::uuid, ARRAY[$3]), ARRAY(SELECT gen_random_uuid() FROM generate_series(1, $3)),
              ARRAY(SELECT gen_random_uuid()::text FROM generate_series(1, $3)),
              array_fill('\\x00'::bytea, ARRAY[$3]), array_fill('text'::text, ARRAY[$3]),
              array_fill(repeat('b', 200), ARRAY[$3]), array_fill(NULL::uuid, ARRAY[$3])) a`,
          [dm, ann.id, size]
        )
        yield* batch
        yield* resetCounts
        assert.deepStrictEqual(new Set((yield* batch).map(({ outcome }) => outcome)), new Set(["stored"]))
        const work = yield* counted(1)
        // Look up the members and the client message ids, and lock the heads; insert, move heads and markers, and write to
        // the change feed; put the answer together.
        assert.isAtMost(work.inner.length, 3, work.inner.map(({ query }) => query).join("\n"))
        const { buffers, wal } = work.of("append_messages")
        assert.isAtMost(buffers / size, 29)
        // The row and its index entries: the head, its row of the change feed and the marker are written once.
        assert.isAtMost(wal / size, 745)
      })
    )

    it.effect("of a message with a second node is one message of NATS", () =>
      Effect.gen(function* () {
        const { send, startOne } = yield* Running
        yield* startOne
        for (let i = 0; i < 20; i++) yield* send
        const before = yield* traffic
        for (let i = 0; i < count; i++) yield* send
        // The node acknowledges a message without waiting for NATS.
        const after = yield* traffic.pipe(
          Effect.repeat({ until: (now) => now.in_msgs >= before.in_msgs + count }),
          Effect.timeout(patience)
        )
        // The hubs of all nodes get a message by one publication, whoever listens. Beats of the nodes are in between.
        assert.strictEqual(Math.floor((after.in_msgs - before.in_msgs) / count), 1)
        // The event as clients get it (850), with what nodes add for each other.
        assert.isAtMost((after.in_bytes - before.in_bytes) / count, 1050)
      }).pipe(Effect.scoped)
    )
  })
})
