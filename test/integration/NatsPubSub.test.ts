import { assert, describe } from "@effect/vitest"
import { connect, type Msg, type MsgHdrs } from "@nats-io/transport-node"
import { Clock, Effect, Queue, Redacted, Schema, Tracer } from "effect"
import type { Subject } from "../../src/services/bus/Subjects.ts"
import {
  calm,
  eventOf,
  jwtSection,
  listen,
  live,
  millis,
  seqs,
  someConversation,
  somePrefix,
  startNode,
  twoNodes
} from "../support/Bus.ts"
import { freePort, natsServerIsThere, startNatsServer } from "../support/NatsServer.ts"
import { makeSteppingClock } from "../support/SteppingClock.ts"
import { startProxy } from "../support/TcpProxy.ts"
import { promptly } from "../support/TimeLimits.ts"

/** A NATS client that is not a node of the service. */
const stranger = (server: { readonly port: number }) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ port: server.port })),
    (connection) => Effect.promise(() => connection.close())
  )

const otherKey = Redacted.make("the key of the nodes of another service")

const Connections = Schema.Struct({
  connections: Schema.Array(Schema.Struct({ subscriptions_list: Schema.optionalKey(Schema.Array(Schema.String)) }))
})

describe.skipIf(!natsServerIsThere)(natsServerIsThere ? "PubSub on NATS" : "PubSub on NATS (no nats-server)", () => {
  live("two nodes hear each other and themselves, once and in order", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const { a, b } = yield* twoNodes(server.address)
      const outsider = yield* startNode(server.address, somePrefix())
      const { id, subject } = someConversation()
      const on = yield* Effect.forEach([a, b, outsider], (node) => listen(node, subject))
      for (let seq = 1; seq <= 300; seq += 3) {
        yield* a.publish(subject, [eventOf(id, seq), eventOf(id, seq + 1)])
        yield* b.publish(subject, [{ ...eventOf(id, seq + 2), except: null, event: "from b" }])
      }
      for (const heard of on.slice(0, 2)) {
        const events = yield* heard.next(300)
        const byA = events.filter(({ event }) => event !== "from b")
        assert.deepStrictEqual(
          seqs(byA),
          Array.from({ length: 200 }, (_, n) => n + 1 + Math.floor(n / 2))
        )
        const byB = events.filter(({ event }) => event === "from b")
        assert.deepStrictEqual(
          seqs(byB),
          Array.from({ length: 100 }, (_, n) => 3 * n + 3)
        )
        assert.deepStrictEqual(byA[0], eventOf(id, 1))
      }
      yield* Effect.scoped(listen(a, someConversation().subject))
      for (const heard of on) assert.isEmpty(yield* heard.soFar)
    })
  )

  live("a subject has one subscription while anyone needs it", () =>
    Effect.gen(function* () {
      const monitor = yield* freePort
      const server = yield* startNatsServer(["-m", String(monitor)])
      const prefix = somePrefix()
      const a = yield* startNode(server.address, prefix)
      const b = yield* startNode(server.address, prefix)
      const { id, subject } = someConversation()
      const subscriptions = Effect.gen(function* () {
        // The server has processed the unsubscription of this node too.
        yield* Effect.scoped(listen(b, someConversation().subject))
        yield* Effect.scoped(listen(b, someConversation().subject))
        const answer = yield* Effect.promise(() => fetch(`http://127.0.0.1:${monitor}/connz?subs=1`))
        const { connections } = yield* Effect.promise(() => answer.json()).pipe(
          Effect.flatMap(Schema.decodeUnknownEffect(Connections))
        )
        const all = connections.flatMap(({ subscriptions_list }) => subscriptions_list ?? [])
        return all.filter((name) => name === `${prefix}.${subject}`).length
      })
      const first = listen(b, subject)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const one = yield* first
          yield* Effect.scoped(
            Effect.gen(function* () {
              const two = yield* listen(b, subject)
              assert.strictEqual(yield* subscriptions, 1)
              yield* a.publish(subject, [eventOf(id, 1)])
              assert.deepStrictEqual([seqs(yield* one.next(1)), seqs(yield* two.next(1))], [[1], [1]])
            })
          )
          assert.strictEqual(yield* subscriptions, 1)
          yield* a.publish(subject, [eventOf(id, 2)])
          assert.deepStrictEqual(seqs(yield* one.next(1)), [2])
        })
      )
      assert.strictEqual(yield* subscriptions, 0)
      const again = yield* listen(b, subject)
      yield* a.publish(subject, [eventOf(id, 3)])
      assert.deepStrictEqual(seqs(yield* again.next(1)), [3])
    })
  )

  live("500 subscriptions need fewer than 500 round trips", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const proxy = yield* startProxy(server.port)
      const a = yield* startNode(`127.0.0.1:${proxy.port}`, somePrefix(), calm)
      yield* proxy.delay(50)
      const subjects = Array.from({ length: 500 }, () => someConversation().subject)
      const took = yield* millis(
        Effect.forEach(subjects, (subject) => listen(a, subject), { concurrency: 64 }).pipe(Effect.scoped)
      )
      assert.isBelow(took, promptly(2500))
      assert.isAbove(took, 100, "but each is confirmed")
    })
  )

  live("ignores messages of others, and says so once", (lines) =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const a = yield* startNode(server.address, prefix, calm, { acceptUnsigned: true })
      const { id, subject } = someConversation()
      const heard = yield* listen(a, subject)
      const other = yield* stranger(server)
      const garbage = [
        "",
        "1",
        "2\nx",
        "2\n\t\t\t\t\t{}",
        "2\ne\tnope\t\t\t\t{}",
        `2\ne\t${id}\t-1\t\t\t{}`,
        `2\ne\t${id}\t1\t\t-1\t{}`,
        `2\ne\t${id}\t1\t\t\t`,
        `1\nok\t${id}\t7\t\t{"x":1}`
      ]
      for (const text of garbage) other.publish(`${prefix}.${subject}`, text)
      other.publish(`${prefix}.${subject}`, `2\nok\t${id}\t7\t\t3\t{"x":1}`)
      assert.deepStrictEqual(yield* heard.next(1), [
        { event: "ok", conversationId: id, seq: 7, except: null, refersTo: 3, json: '{"x":1}' }
      ])
      assert.lengthOf(
        lines.filter((line) => line.includes("not an event of this service")),
        1
      )
    })
  )

  live("refuses messages that no node has signed, and says so once", (lines) =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const a = yield* startNode(server.address, prefix)
      const b = yield* startNode(server.address, prefix)
      const withOtherKey = yield* startNode(server.address, prefix, calm, {}, { secret: otherKey })
      const upgrading = yield* startNode(server.address, prefix, calm, { acceptUnsigned: true })
      const { id, subject } = someConversation()
      const { id: elsewhereId, subject: elsewhere } = someConversation()
      const [onB, onUpgrading] = [yield* listen(b, subject), yield* listen(upgrading, subject)]
      const onOtherKey = yield* listen(withOtherKey, subject)
      const other = yield* stranger(server)
      const sent = yield* Queue.unbounded<Msg>()
      other.subscribe(`${prefix}.${elsewhere}`, { callback: (_, message) => void Queue.offerUnsafe(sent, message) })
      yield* Effect.promise(() => other.flush())
      yield* a.publish(elsewhere, [eventOf(elsewhereId, 1)])
      const { data, headers } = yield* Queue.take(sent)
      assert.isDefined(headers)

      const to = `${prefix}.${subject}`
      other.publish(to, data)
      other.publish(to, data, { headers })
      other.publish(to, Buffer.from(Buffer.from(data).toString().replaceAll(elsewhereId, id)), { headers })
      yield* withOtherKey.publish(subject, [eventOf(id, 2)])
      yield* Effect.promise(() => other.flush())
      yield* a.publish(subject, [eventOf(id, 99)])

      assert.deepStrictEqual(seqs(yield* onB.upTo(99)), [99])
      assert.deepStrictEqual(seqs(yield* onUpgrading.upTo(99)), [1, 99])
      assert.deepStrictEqual(seqs(yield* onOtherKey.soFar), [2])
      const said = lines.filter((line) => line.includes("that no node has signed"))
      // Each of the three nodes that refuse says it once.
      assert.lengthOf(said, 3)
      const warned = lines.filter((line) => line.includes("nats.accept_unsigned is true"))
      assert.lengthOf(warned, 1, "the node that accepts them says so when it starts")
    })
  )

  live("takes only durable events of messages that are not of the last minute, and says so once", (lines) =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const { clock, step } = yield* makeSteppingClock
      const a = yield* Effect.provideService(startNode(server.address, prefix), Clock.Clock, clock)
      const b = yield* startNode(server.address, prefix)
      const { id, subject } = someConversation()
      const onB = yield* listen(b, subject)
      const typing = { ...eventOf(id, 0), event: "typing.started", seq: null }
      let seq = 0
      // What was recorded is the same as what a node sends whose clock is behind.
      for (const by of [-50_000, -20_000, 120_000, 20_000, -70_000]) {
        yield* step(by)
        yield* a.publish(subject, [typing, eventOf(id, ++seq)])
      }
      assert.deepStrictEqual(seqs(yield* onB.upTo(seq)), [null, 1, 2, null, 3, 4, null, 5])
      assert.lengthOf(
        lines.filter((line) => line.includes("are not of the last minute")),
        1
      )
    })
  )

  live("accepts the keys of jwt.previous_secrets, and signs with jwt.secret", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const before = yield* startNode(server.address, prefix, calm)
      const between = yield* startNode(server.address, prefix, calm, {}, { previousSecrets: [otherKey] })
      const { secret } = jwtSection()
      assert.isDefined(secret)
      const after = yield* startNode(server.address, prefix, calm, {}, { secret: otherKey, previousSecrets: [secret] })
      const { id, subject } = someConversation()
      const [onBetween, onAfter] = [yield* listen(between, subject), yield* listen(after, subject)]
      yield* before.publish(subject, [eventOf(id, 1)])
      assert.deepStrictEqual(seqs(yield* onBetween.next(1)), [1])
      assert.deepStrictEqual(seqs(yield* onAfter.next(1)), [1])
      yield* after.publish(subject, [eventOf(id, 2)])
      assert.deepStrictEqual(seqs(yield* onBetween.next(1)), [2])
    })
  )

  live("splits publishes that are too big for the server, and leaves out events that cannot be split", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer([], "max_payload: 2048")
      const { a, b } = yield* twoNodes(server.address)
      const { id, subject } = someConversation()
      const onA = yield* listen(a, subject)
      const onB = yield* listen(b, subject)
      const events = [1, 2, 3, 4, 5, 6, 7].map((seq) => eventOf(id, seq, seq === 4 ? 3000 : 400))
      yield* a.publish(subject, events)
      assert.deepStrictEqual(seqs(yield* onA.next(7)), [1, 2, 3, 4, 5, 6, 7])
      assert.deepStrictEqual(seqs(yield* onB.next(6)), [1, 2, 3, 5, 6, 7])
    })
  )

  live("carries the trace in a header", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const a = yield* startNode(server.address, prefix)
      const { id, subject } = someConversation()
      const other = yield* stranger(server)
      const carried = yield* Queue.unbounded<MsgHdrs | undefined>()
      other.subscribe(`${prefix}.>`, {
        callback: (_, message) => {
          Queue.offerUnsafe(carried, message.headers)
        }
      })
      yield* Effect.promise(() => other.flush())
      const publish = a.publish(subject, [eventOf(id, 1)])
      yield* publish
      yield* Effect.withSpan(publish, "send", {
        parent: Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
      }).pipe(Effect.withTracer(Tracer.nativeTracer))
      const [without, within] = yield* Queue.takeN(carried, 2)
      assert.strictEqual(without?.get("traceparent"), "")
      assert.match(within?.get("traceparent") ?? "", /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
    })
  )

  live("knows no wildcards", (lines) =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const a = yield* startNode(server.address, somePrefix())
      for (const id of ["*", ">", "", "x.y"]) {
        const subject: Subject = JSON.parse(JSON.stringify(`conversation.${id}`))
        yield* a.publish(subject, [eventOf(someConversation().id, 1)])
        const exit = yield* Effect.exit(Effect.scoped(listen(a, subject)))
        assert.strictEqual(exit._tag, "Failure", id)
      }
      assert.lengthOf(
        lines.filter((line) => line.includes("did not publish")),
        1
      )
    })
  )
})
