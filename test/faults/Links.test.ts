import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { api, type Client, connect } from "../support/Client.ts"
import { serversAreThere } from "../support/Servers.ts"
import { startCluster } from "./Cluster.ts"

const name = `a link that dies${serversAreThere ? "" : " (no PostgreSQL 15, NATS or Redis to start)"}`

/** Ann and Bob, who have a DM; Ann is on node `a` and Bob on node `b`. */
const scene = Effect.gen(function* () {
  const cluster = yield* startCluster()
  const [a, b] = cluster.nodes
  const http = { a: api(a.url), b: api(b.url) }
  const ann = yield* http.a.register("ann")
  const bob = yield* http.a.register("bob")
  const dm = yield* http.a.dm(ann, bob)
  const onA = yield* connect(a.url)
  yield* onA.ready(ann.token)
  const onB = yield* connect(b.url)
  yield* onB.ready(bob.token)
  return { a, b, http, ann, bob, dm, onA, onB }
})

/** Repeats the command until it succeeds, and returns how long that took, in milliseconds. */
const persist = (client: Client, op: string, data: unknown) =>
  Effect.gen(function* () {
    const start = performance.now()
    while ((yield* client.command(op, data)).ok === undefined) yield* Effect.sleep(200)
    return performance.now() - start
  })

describe.skipIf(!serversAreThere)(name, () => {
  it.live(
    "silently between a node and PostgreSQL stops nothing for longer than half a minute",
    () =>
      Effect.gen(function* () {
        const { a, ann, dm, http, onA } = yield* scene
        // The pool has several connections, so that later requests find dead ones too.
        const list = http.a.ask("GET", "/v1/conversations", { token: ann.token })
        yield* Effect.replicateEffect(list, 40, { concurrency: 10, discard: true })
        const before = a.links.postgres.connections()
        assert.isAbove(before, 1)
        yield* a.links.postgres.forget
        assert.strictEqual(a.links.postgres.connections(), 0)
        const works = Effect.gen(function* () {
          const sends = persist(onA, "message.send", { conversationId: dm, clientMessageId: "m1", body: "hello" })
          const reads = persist(onA, "read.mark", { conversationId: dm, seq: 1 })
          const lists = Effect.replicateEffect(list, before, { concurrency: before })
          return yield* Effect.all([sends, reads, lists], { concurrency: 3 })
        })
        yield* Effect.timeout(works, "30 seconds")
        // Each of the dead connections has been found.
        const took = yield* persist(onA, "message.send", { conversationId: dm, clientMessageId: "m2", body: "hello" })
        assert.isBelow(took, 2000)
      }).pipe(Effect.scoped),
    90_000
  )

  it.live(
    "silently between a node and PostgreSQL does not hide from the node which sessions end",
    () =>
      Effect.gen(function* () {
        const { a, ann, b, http, onA } = yield* scene
        yield* a.links.nats?.refuse ?? Effect.void
        yield* a.links.postgres.forget
        yield* http.b.must("POST", "/v1/auth/logout", { token: ann.token })
        const closed = Effect.repeat(Effect.sleep(20), { until: () => onA.isClosed })
        yield* Effect.timeout(closed, "30 seconds")
        assert.strictEqual((yield* onA.closed).code, 4503)
        assert.strictEqual((yield* api(b.url).ask("GET", "/v1/users/me", { token: ann.token })).status, 401)
      }).pipe(Effect.scoped),
    90_000
  )

  it.live(
    "between one of the nodes and NATS delays events by seconds, and no longer once it is back",
    () =>
      Effect.gen(function* () {
        const { a, dm, onA, onB } = yield* scene
        yield* a.links.nats?.refuse ?? Effect.void
        for (const seq of [2, 3]) {
          yield* onA.ok("message.send", { conversationId: dm, clientMessageId: `m${seq}`, body: "hello" })
          const start = performance.now()
          yield* onB.seq(dm, seq)
          assert.isBelow(performance.now() - start, 6000)
        }
        // The last event before the link works again is found too, although the nodes compare heads rarely from then
        // on.
        yield* onA.ok("message.send", { conversationId: dm, clientMessageId: "m4", body: "hello" })
        yield* a.links.nats?.heal ?? Effect.void
        const start = performance.now()
        yield* onB.seq(dm, 4)
        assert.isBelow(performance.now() - start, 15_000)
        assert.deepStrictEqual(onB.seqs(dm), [2, 3, 4])
      }).pipe(Effect.scoped),
    90_000
  )
})
