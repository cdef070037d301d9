import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { api, connect } from "../support/Client.ts"
import { type Node, startNode } from "../support/Node.ts"
import { sampleOf } from "../support/Samples.ts"
import { query, serversAreThere, startNats, startPostgres, startRedis } from "../support/Servers.ts"
import { patience } from "../support/TimeLimits.ts"

const database = "postgres"

/** A node on servers of its own, and what starts further ones. */
class First extends Context.Service<First, Effect.Success<typeof start>>()("chat/test/First") {
  static readonly layer = Layer.suspend(() => Layer.effect(First, start))
}

const start = Effect.gen(function* () {
  const [postgres, nats, redis] = yield* Effect.all([startPostgres, startNats, startRedis], { concurrency: 3 })
  const startOne = startNode({
    "postgres.host": "127.0.0.1",
    "postgres.port": postgres.port,
    "postgres.database": database,
    "redis.host": "127.0.0.1",
    "redis.port": redis.port,
    "nats.address": `nats://127.0.0.1:${nats.port}`,
    "limits.commands_per_second": 10_000,
    "limits.commands_burst": 10_000,
    // So that nothing repairs by itself what these tests look at.
    "timers.repair": 3600,
    "timers.heartbeat": 600,
    "timers.metrics_render": 0.001,
    "jwt.secret": "a-signing-key-of-more-than-32-bytes"
  })
  const first = yield* startOne
  const http = api(first.url)
  const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
  const dm = yield* http.dm(ann, bob)
  const sender = yield* connect(first.url)
  yield* sender.ready(ann.token)
  let sent = 0
  /** Sends a message, and returns its seq. */
  const send = Effect.suspend(() =>
    Effect.as(sender.ok("message.send", { conversationId: dm, clientMessageId: `m${++sent}`, body: "hello" }), sent + 1)
  )
  return { first, startOne, bob, dm, sender, send, run: (text: string) => query(postgres.port, database, text) }
})

const metric = (node: Node, series: string) =>
  Effect.promise(() => fetch(`${node.url}/metrics`).then((answer) => answer.text())).pipe(
    Effect.map((text) => sampleOf(text, series) ?? 0)
  )
const published = (node: Node) => metric(node, `chat_bus_events_total{outcome="sent"}`)
const repaired = (node: Node) =>
  Effect.all(["hole", "head"].map((cause) => metric(node, `chat_repaired_events_total{cause="${cause}"}`)))

/** Whether the first node publishes a message. */
const publishes = Effect.gen(function* () {
  const { first, send } = yield* First
  const before = yield* published(first)
  yield* send
  return (yield* published(first)) > before
})

const until = (wanted: boolean) =>
  publishes.pipe(Effect.repeat({ until: (found) => found === wanted }), Effect.timeout(patience))

describe.skipIf(!serversAreThere)("a second node", () => {
  layer(First.layer, { excludeTestServices: true })((it) => {
    it.effect("gets everything live from a node that was alone and wrote while it started", () =>
      Effect.gen(function* () {
        const { bob, dm, run, send, sender, startOne } = yield* First
        yield* until(false)
        const writing = yield* Effect.forkScoped(Effect.forever(send))
        const second = yield* startOne
        // It did not listen before the first one must have seen its announcement.
        assert.deepStrictEqual(
          yield* run("SELECT clock_timestamp() - max(started_at) >= interval '2 seconds' AS late FROM nodes"),
          [{ late: true }]
        )
        const receiver = yield* connect(second.url)
        yield* receiver.ready(bob.token)
        const { seq: from = 0 } = yield* receiver.event("message.created", dm)
        yield* receiver.seq(dm, from + 100)
        yield* Fiber.interrupt(writing)
        yield* sender.ok("typing.start", { conversationId: dm })
        yield* receiver.event("typing.started", dm)
        assert.deepStrictEqual(
          receiver.seqs(dm),
          Array.from({ length: receiver.seqs(dm).length }, (_, index) => from + index)
        )
        // Nothing had to be read from the log.
        assert.deepStrictEqual(yield* repaired(second), [0, 0])
      }).pipe(Effect.scoped)
    )

    it.effect("leaves a node that publishes no more, once it has stopped or is forgotten", () =>
      Effect.gen(function* () {
        const { run, startOne } = yield* First
        // The one of the last test was killed.
        yield* run("UPDATE nodes SET seen_at = seen_at - interval '20 minutes'")
        yield* until(false)
        const second = yield* startOne
        yield* until(true)
        second.kill("SIGTERM")
        assert.strictEqual(yield* second.exit, 0)
        yield* until(false)
      }).pipe(Effect.scoped)
    )

    it.effect("that was frozen and forgotten gets what was written meanwhile", () =>
      Effect.gen(function* () {
        const { bob, dm, first, run, send, startOne } = yield* First
        const second = yield* startOne
        const receiver = yield* connect(second.url)
        yield* receiver.ready(bob.token)
        second.kill("SIGSTOP")
        yield* run(`DELETE FROM nodes WHERE started_at = (SELECT max(started_at) FROM nodes)`)
        yield* until(false)
        const before = yield* published(first)
        for (let n = 0; n < 10; n++) yield* send
        const last = yield* send
        // After the next look that shows that nobody is there, the first node no longer has the event to send. It looks each
        // second, and announces itself every five.
        yield* run("UPDATE nodes SET started_at = clock_timestamp()")
        yield* run("SELECT FROM nodes WHERE seen_at > started_at + interval '4 seconds'").pipe(
          Effect.repeat({ until: (rows) => rows.length > 0 }),
          Effect.timeout(patience)
        )
        assert.strictEqual(yield* published(first), before)
        second.kill("SIGCONT")
        yield* receiver.seq(dm, last)
        yield* until(true)
      }).pipe(Effect.scoped)
    )
  })
})
