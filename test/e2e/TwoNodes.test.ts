import { assert, describe, layer } from "@effect/vitest"
import { Context, Effect, Layer, Random, Schema } from "effect"
import { ReadinessReport } from "../../src/domain/Readiness.ts"
import { type Cluster, startCluster } from "../faults/Cluster.ts"
import { readConversations } from "../faults/Truth.ts"
import { type Account, api, type Client, connect } from "../support/Client.ts"
import { FaultClient } from "../support/FaultClient.ts"
import { violations } from "../support/History.ts"
import { serversAreThere } from "../support/Servers.ts"
import { patience, promptly } from "../support/TimeLimits.ts"

class TwoNodes extends Context.Service<TwoNodes, Cluster>()("chat/test/TwoNodes") {
  static readonly layer = Layer.effect(TwoNodes, startCluster())
}

/** Both nodes, as a client sees them. */
const nodes = TwoNodes.use(({ nodes: [a, b] }) =>
  Effect.succeed({
    a: { ...a, http: api(a.url) },
    b: { ...b, http: api(b.url) }
  })
)

/** Two new users with a DM and no other conversation. */
const couple = Effect.gen(function* () {
  const { a } = yield* nodes
  const ann = yield* a.http.register("ann")
  const bob = yield* a.http.register("bob")
  return { ann, bob, dm: yield* a.http.dm(ann, bob) }
})

const decodeReport = Schema.decodeUnknownSync(ReadinessReport)

const readiness = (url: string) =>
  Effect.map(api(url).ask("GET", "/ready"), ({ body, status }) => ({ code: status, ...decodeReport(body) }))

/** Waits until the readiness report of the node has that status. */
const says = (url: string, status: string) =>
  readiness(url).pipe(
    Effect.tap((report) => (report.status === status ? Effect.void : Effect.sleep(20))),
    Effect.repeat({ until: (report) => report.status === status }),
    Effect.timeout(patience)
  )

const bothSay = (status: string) =>
  Effect.flatMap(nodes, ({ a, b }) => Effect.all([says(a.url, status), says(b.url, status)], { concurrency: 2 }))

/** Stops a server while `use` runs, and waits until both nodes are ready again. */
const without = <A, E, R>(what: "postgres" | "nats" | "redis", use: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const cluster = yield* TwoNodes
    const server = cluster[what] ?? cluster.postgres
    yield* bothSay("ready")
    yield* server.kill
    const result = yield* use.pipe(Effect.ensuring(Effect.orDie(server.start)))
    yield* bothSay("ready")
    return result
  })

const millis = (effect: Effect.Effect<unknown>) =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(effect, () => performance.now() - start)
  })

const online = (url: string, { token }: Account, rest: object = {}) =>
  Effect.tap(connect(url), (client) => client.ready(token, rest))

const say = (client: Client, conversationId: string, clientMessageId: string) =>
  client.ok("message.send", { conversationId, clientMessageId, body: clientMessageId })

const title = `two nodes${serversAreThere ? "" : " (no PostgreSQL 15, NATS or Redis to start)"}`

describe.skipIf(!serversAreThere)(title, () => {
  layer(TwoNodes.layer, { excludeTestServices: true })((it) => {
    it.effect("are both ready, with all three servers", () =>
      Effect.gen(function* () {
        for (const { code, dependencies } of yield* bothSay("ready")) {
          assert.strictEqual(code, 200)
          const statuses = Object.entries(dependencies).map(([name, { status }]) => [name, status])
          assert.sameDeepMembers(statuses, [
            ["postgres", "up"],
            ["nats", "up"],
            ["redis", "up"],
            ["files", "in-process"],
            ["search-feed", "up"]
          ])
        }
      })
    )

    it.effect("deliver messages and typing from one node to the other", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const { ann, bob, dm } = yield* couple
        const onA = yield* online(a.url, ann)
        const onB = yield* online(b.url, bob)
        for (let n = 1; n <= 20; n++) {
          yield* say(onA, dm, `a${n}`)
          yield* say(onB, dm, `b${n}`)
        }
        const all = Array.from({ length: 40 }, (_, index) => index + 2)
        for (const client of [onA, onB]) {
          yield* client.seq(dm, 41)
          assert.deepStrictEqual(client.seqs(dm), all)
        }
        yield* onA.ok("typing.start", { conversationId: dm })
        assert.strictEqual((yield* onB.event("typing.started", dm)).data?.userId, ann.id)
      })
    )

    it.effect("resume for each other's clients, and reset those that missed too much", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const { ann, bob, dm } = yield* couple
        const before = yield* online(a.url, bob)
        yield* a.http.post(ann, dm, "m1")
        yield* before.seq(dm, 2)
        before.terminate()
        for (let n = 2; n <= 30; n++) yield* a.http.post(ann, dm, `m${n}`)
        const after = yield* online(b.url, bob, { cursors: { [dm]: 2 } })
        assert.deepStrictEqual(
          after.seqs(dm),
          Array.from({ length: 29 }, (_, index) => index + 3)
        )
        after.terminate()
        for (let n = 31; n <= 231; n++) yield* a.http.post(ann, dm, `m${n}`)
        const late = yield* online(b.url, bob, { cursors: { [dm]: 31 } })
        assert.strictEqual((yield* late.event("conversation.reset", dm)).data?.seq, 232)
        yield* a.http.post(ann, dm, "m232")
        yield* late.seq(dm, 233)
        assert.deepStrictEqual(late.seqs(dm), [233])
      })
    )

    it.effect("send a new conversation and its messages to a user on the other node", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const ann = yield* a.http.register("ann")
        const bob = yield* a.http.register("bob")
        const onB = yield* online(b.url, bob)
        const dm = yield* a.http.dm(ann, bob)
        yield* onB.event("conversation.added", dm)
        yield* a.http.post(ann, dm, "hello")
        assert.strictEqual((yield* onB.event("message.created", dm)).data?.message?.body, "hello")
      })
    )

    it.effect("lose nothing when a node is killed, and its client goes on at the other node", () =>
      Effect.gen(function* () {
        const cluster = yield* TwoNodes
        const { a, b } = yield* nodes
        const { ann, bob, dm } = yield* couple
        const clients = [new FaultClient(bob, [b, a], b), new FaultClient(ann, [a, b], a)]
        for (const client of clients) yield* Effect.forkScoped(Random.withSeed(client.life, client.name))
        const talk = Effect.forEach(clients, (client) => Effect.replicateEffect(client.send(dm), 60), {
          concurrency: 2
        })
        yield* Effect.all([talk, Effect.delay(b.server.kill, 100)], { concurrency: 2 })
        const arrived = () => clients.every(({ cursors }) => cursors.get(dm) === 121)
        yield* Effect.sleep(20).pipe(Effect.repeat({ until: arrived }), Effect.timeout(patience))
        assert.isAbove(clients[0]?.connections.length ?? 0, 1)
        for (const client of clients) yield* client.count([dm])
        const stored = (yield* readConversations(cluster)).filter(({ id }) => id === dm)
        assert.deepStrictEqual(violations(clients, stored), [])
        yield* b.server.start
      }).pipe(Effect.scoped)
    )

    it.effect("without NATS deliver at once on the same node, and within two seconds on the other one", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const { ann, bob, dm } = yield* couple
        const onA = yield* online(a.url, ann)
        const bobOnA = yield* online(a.url, bob)
        const bobOnB = yield* online(b.url, bob)
        const carl = yield* a.http.register("carl")
        const group = yield* a.http.group(ann, bob, carl)
        yield* bobOnB.event("conversation.added", group)
        yield* without(
          "nats",
          Effect.gen(function* () {
            for (const { code, dependencies } of yield* bothSay("degraded")) {
              assert.strictEqual(code, 200)
              assert.strictEqual(dependencies.nats?.status, "down")
              assert.strictEqual(dependencies.postgres?.status, "up")
            }
            yield* say(onA, dm, "m1")
            assert.isBelow(yield* millis(bobOnA.seq(dm, 2)), promptly(500))
            assert.isBelow(yield* millis(bobOnB.seq(dm, 2)), promptly(2500))
            const added = yield* a.http.dm(carl, bob)
            assert.isBelow(yield* millis(bobOnB.event("conversation.added", added)), promptly(2500))
            yield* onA.ok("member.remove", { conversationId: group, userId: bob.id })
            yield* say(onA, group, "g1")
            yield* bobOnB.event("conversation.removed", group)
            yield* say(onA, dm, "m2")
          })
        )
        yield* bobOnB.seq(dm, 3)
        yield* say(onA, dm, "m3")
        assert.isBelow(yield* millis(bobOnB.seq(dm, 4)), promptly(1000))
        assert.deepStrictEqual(bobOnB.seqs(dm), [2, 3, 4])
        assert.deepStrictEqual(bobOnB.seqs(group), [])
      })
    )

    it.effect("send nothing more to a removed member, also on the other node", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const [ann, bob, cat] = [
          yield* a.http.register("ann"),
          yield* a.http.register("bob"),
          yield* a.http.register("cat")
        ]
        const id = yield* a.http.group(ann, bob, cat)
        const onA = yield* online(a.url, ann)
        const [bobOnB, catOnB] = [yield* online(b.url, bob), yield* online(b.url, cat)]
        yield* onA.ok("member.remove", { conversationId: id, userId: bob.id })
        yield* say(onA, id, "m1")
        yield* bobOnB.event("conversation.removed", id)
        yield* catOnB.seq(id, 3)
        yield* onA.ok("member.add", { conversationId: id, userIds: [bob.id] })
        yield* bobOnB.event("conversation.added", id)
        yield* say(onA, id, "m2")
        yield* bobOnB.seq(id, 5)
        assert.deepStrictEqual(catOnB.seqs(id), [2, 3, 4, 5])
        assert.deepStrictEqual(bobOnB.seqs(id), [5])
      })
    )

    it.effect("close the sockets of a deleted account on both nodes", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const ann = yield* a.http.register("ann")
        const clients = [yield* online(a.url, ann), yield* online(b.url, ann)]
        yield* a.http.must("DELETE", "/v1/users/me", { token: ann.token, json: { password: ann.password } })
        for (const client of clients) assert.strictEqual((yield* client.closed).code, 4504)
        assert.strictEqual((yield* b.http.ask("GET", "/v1/users/me", { token: ann.token })).status, 401)
      })
    )

    it.effect("notice within seconds that NATS is frozen, catch up from the log, and go on when it works again", () =>
      Effect.gen(function* () {
        const { nats } = yield* TwoNodes
        const { a, b } = yield* nodes
        const { ann, bob, dm } = yield* couple
        const onA = yield* online(a.url, ann)
        const onB = yield* online(b.url, bob)
        yield* bothSay("ready")
        yield* nats?.freeze ?? Effect.void
        yield* Effect.gen(function* () {
          yield* say(onA, dm, "m1")
          assert.isBelow(yield* millis(onB.seq(dm, 2)), promptly(6000))
          yield* bothSay("degraded")
        }).pipe(Effect.ensuring(nats?.thaw ?? Effect.void))
        yield* bothSay("ready")
        yield* say(onA, dm, "m2")
        assert.isBelow(yield* millis(onB.seq(dm, 3)), promptly(1000))
        assert.deepStrictEqual(onB.seqs(dm), [2, 3])
      })
    )

    it.effect("work without Redis", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const { ann, bob, dm } = yield* couple
        const onA = yield* online(a.url, ann)
        const onB = yield* online(b.url, bob)
        yield* without(
          "redis",
          Effect.gen(function* () {
            for (const { code, dependencies } of yield* bothSay("degraded")) {
              assert.strictEqual(code, 200)
              assert.strictEqual(dependencies.redis?.status, "down")
            }
            yield* say(onA, dm, "m1")
            assert.isBelow(yield* millis(onB.seq(dm, 2)), promptly(1000))
            const late = yield* online(b.url, ann)
            yield* say(late, dm, "m2")
            yield* onA.seq(dm, 3)
          })
        )
      })
    )

    it.effect("are unavailable without PostgreSQL, and go on when it is back", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        const { ann, bob, dm } = yield* couple
        const onA = yield* online(a.url, ann)
        const onB = yield* online(b.url, bob)
        const message = { conversationId: dm, clientMessageId: "m1", body: "hello" }
        yield* without(
          "postgres",
          Effect.gen(function* () {
            for (const { code, dependencies } of yield* bothSay("unavailable")) {
              assert.strictEqual(code, 503)
              assert.strictEqual(dependencies.postgres?.status, "down")
            }
            assert.strictEqual((yield* onA.error("message.send", message)).type, "/problems/unavailable")
            const answer = yield* a.http.ask("GET", "/v1/conversations", { token: ann.token })
            assert.strictEqual(answer.status, 503)
          })
        )
        yield* onA.ok("message.send", message)
        yield* onB.seq(dm, 2)
        assert.isFalse(onA.isClosed)
      })
    )

    const ends = {
      "a logout": ({ a, on }: { a: ReturnType<typeof api>; on: Account }) =>
        a.must("POST", "/v1/auth/logout", { token: on.token }),
      "an ended session": ({ a, on }: { a: ReturnType<typeof api>; on: Account }) =>
        Effect.gen(function* () {
          const other = yield* a.login(on.username, on.password)
          yield* a.must("DELETE", `/v1/sessions/${on.sessionId}`, { token: other.token })
        }),
      "a changed password": ({ a, on }: { a: ReturnType<typeof api>; on: Account }) =>
        Effect.gen(function* () {
          const other = yield* a.login(on.username, on.password)
          const json = { currentPassword: on.password, newPassword: "another long password" }
          yield* a.must("POST", "/v1/auth/password", { token: other.token, json })
        })
    }

    /** Ends a session on one node, and waits until its socket on the other one is closed. */
    const closes = Effect.fnUntraced(function* (end: (typeof ends)["a logout"]) {
      const { a, b } = yield* nodes
      const on = yield* a.http.register("dora")
      const client = yield* online(b.url, on)
      assert.strictEqual((yield* b.http.ask("GET", "/v1/users/me", { token: on.token })).status, 200)
      yield* end({ a: a.http, on })
      const start = performance.now()
      const { code } = yield* client.closed
      const took = performance.now() - start
      assert.strictEqual(code, 4503)
      const answer = yield* b.http.ask("GET", "/v1/users/me", { token: on.token })
      assert.strictEqual(answer.status, 401)
      return took
    })

    for (const [what, end] of Object.entries(ends)) {
      it.effect(`close the sockets of each other's sessions after ${what}`, () =>
        Effect.gen(function* () {
          yield* bothSay("ready")
          assert.isBelow(yield* closes(end), promptly(1000))
        })
      )
    }

    it.effect(
      "close the sockets of each other's ended sessions without NATS, by reading the database once a second",
      () =>
        Effect.gen(function* () {
          const took = yield* without(
            "nats",
            Effect.andThen(
              bothSay("degraded"),
              Effect.forEach(Object.values(ends), (end) => closes(end))
            )
          )
          for (const each of took) assert.isBelow(each, promptly(1500))
        })
    )
  })

  layer(Layer.effect(TwoNodes, startCluster({ nats: false })), { excludeTestServices: true })((it) => {
    it.effect("without NATS between them are degraded, and say why", () =>
      Effect.gen(function* () {
        const { a, b } = yield* nodes
        for (const { code, dependencies } of yield* bothSay("degraded")) {
          assert.strictEqual(code, 200)
          assert.match(dependencies.nats?.detail ?? "", /shares no bus with it: configure nats/)
        }
        for (const { server } of [a, b]) {
          const lines = server.log.filter(({ text }) => text.includes("configure nats on every node"))
          assert.strictEqual(lines.length, 1, lines.map(({ text }) => text).join("\n"))
        }
      })
    )
  })
})
