import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Redacted, Scope } from "effect"
import { lookMillis } from "../../src/services/bus/PubSub.ts"
import { monotonicNow } from "../../src/services/platform/Monotonic.ts"
import {
  calm,
  comesBack,
  eventOf,
  goesAway,
  listen,
  live,
  millis,
  seqs,
  someConversation,
  somePrefix,
  startNode,
  twoNodes
} from "../support/Bus.ts"
import { makeCertificate } from "../support/Certificates.ts"
import { fileOf, natsServerIsThere, startNatsServer } from "../support/NatsServer.ts"
import { makeNatsUser } from "../support/NatsUser.ts"
import { counting, sample } from "../support/Samples.ts"
import { startProxy } from "../support/TcpProxy.ts"
import { promptly } from "../support/TimeLimits.ts"

const start = (address: string) => Effect.scoped(startNode(address, somePrefix()))

describe.skipIf(!natsServerIsThere)(natsServerIsThere ? "NATS" : "NATS (no nats-server)", () => {
  live("says in one line, and without the password, why it cannot start", (lines) =>
    Effect.gen(function* () {
      const { message, reason } = yield* Effect.scoped(
        Effect.gen(function* () {
          const bus = yield* startNode("nats://me:hunter2@127.0.0.1:1, nats://me:hunter2@127.0.0.1:2", somePrefix())
          assert.isFalse(bus.healthy())
          return { message: lines.join(), reason: bus.reason() }
        })
      )
      assert.match(
        reason,
        /^nats\.address: cannot connect to NATS at 127\.0\.0\.1:1, 127\.0\.0\.1:2 \(connection refused\)/
      )
      for (const address of ["", "http://localhost", "me:hunter2@localhost", "nats://hunter2%@x", "nats://a/hunter2"]) {
        assert.match((yield* Effect.flip(start(address))).message, /^nats\.address must be one or more/, address)
      }
      assert.match((yield* Effect.flip(start("nats://a:hunter2@x,nats://b:hunter2@y"))).message, /same user/)

      const server = yield* startNatsServer(["--user", "me", "--pass", "hunter2"])
      const at = (user: string) => server.address.replace("//", `//${user}@`)
      for (const wrong of ["me:wrong-hunter2", "hunter2"]) {
        const refused = yield* Effect.flip(start(at(wrong)))
        assert.match(refused.message, /rejects the credentials/)
        assert.notInclude(refused.message, "hunter2")
      }
      yield* start(at("me:hunter2"))
      assert.notInclude(message + reason + lines.join(), "hunter2")
    })
  )

  live("starts without its server, and carries events once that is up", (lines) =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      yield* server.kill
      const { a, b } = yield* twoNodes(server.address)
      const { id, subject } = someConversation()
      const onB = yield* listen(b, subject)
      yield* a.publish(subject, [eventOf(id, 1)])
      assert.deepStrictEqual([a.healthy(), b.healthy()], [false, false])
      const back = yield* Effect.all([comesBack(a), comesBack(b)])
      yield* server.start
      yield* Effect.all(back, { concurrency: 2 })
      yield* a.publish(subject, [eventOf(id, 2)])
      assert.includeDeepMembers([[2], [1, 2]], [seqs(yield* onB.upTo(2))])
      assert.lengthOf(
        lines.filter((line) => line.includes("connected to NATS")),
        2
      )
    })
  )

  live("says when a server that started later does not carry its events", (lines) =>
    Effect.gen(function* () {
      const config = 'authorization { users = [{ user: u, password: p, permissions: { publish: "other" } }] }'
      const server = yield* startNatsServer([], config)
      yield* server.kill
      yield* startNode(server.address.replace("//", "//u:p@"), somePrefix())
      yield* server.start
      yield* Effect.repeat(Effect.sleep("10 millis"), {
        until: () => lines.some((line) => /NATS does not carry events.*no test event came/.test(line))
      })
    })
  )

  live("signs in with a username and a password of their own, and with a credentials file", () =>
    Effect.gen(function* () {
      const password = Redacted.make("hunter2")
      const server = yield* startNatsServer(["--user", "me", "--pass", "hunter2"])
      const begin = (address: string, more: NonNullable<Parameters<typeof startNode>[3]>) =>
        Effect.scoped(startNode(address, somePrefix(), undefined, more))
      yield* begin(server.address, { username: "me", password })
      const wrong = yield* Effect.flip(begin(server.address, { username: "you", password }))
      assert.match(wrong.message, /^nats\..* rejects the credentials/)
      const twice = yield* Effect.flip(begin("nats://me:hunter2@x", { username: "me", password }))
      assert.match(twice.message, /nats\.username .*exclude each other/)
      assert.match((yield* Effect.flip(begin(server.address, { password }))).message, /^nats\.password needs/)

      const { config, credentials } = makeNatsUser()
      const strict = yield* startNatsServer([], config)
      const good = yield* fileOf(credentials)
      yield* begin(strict.address, { credentialsFile: good })
      const other = yield* Effect.flip(
        begin(strict.address, { credentialsFile: yield* fileOf(makeNatsUser().credentials) })
      )
      assert.match(other.message, /rejects the credentials/)
      const broken = yield* Effect.flip(begin(strict.address, { credentialsFile: yield* fileOf("hunter2") }))
      assert.match(broken.message, /^nats\.credentials_file: the file does not hold/)
      const missing = yield* Effect.flip(begin(strict.address, { credentialsFile: "/nowhere/hunter2" }))
      assert.match(missing.message, /^nats\.credentials_file: .*ENOENT/)
      for (const { message } of [wrong, twice, other, broken, missing]) assert.notInclude(message, "hunter2")
    })
  )

  live("speaks TLS with files of its own", () =>
    Effect.gen(function* () {
      const { ca, cert, key } = yield* makeCertificate
      const server = yield* startNatsServer(["--tlsverify", "--tlscert", cert, "--tlskey", key, "--tlscacert", ca])
      const files = { tlsCaFile: ca, tlsCertFile: cert, tlsKeyFile: key }
      // The client library compares the name alone, not an IP address, with the certificate.
      const bus = yield* startNode(server.address.replace("127.0.0.1", "localhost"), somePrefix(), undefined, files)
      assert.isTrue(bus.healthy(), bus.reason())
      const without = yield* startNode(server.address, somePrefix())
      assert.isFalse(without.healthy())
    })
  )

  live("signs in with a token", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer(["--auth", "a/secret"])
      yield* start(server.address.replace("//", `//${encodeURIComponent("a/secret")}@`))
    })
  )

  live("does not start as a user who may not publish", () =>
    Effect.gen(function* () {
      const config = 'authorization { users = [{ user: u, password: p, permissions: { publish: "other" } }] }'
      const server = yield* startNatsServer([], config)
      const error = yield* Effect.flip(start(server.address.replace("//", "//u:p@")))
      assert.match(error.message, /^nats\.address: no test event came through NATS .* publish and subscribe to test-/)
    })
  )

  live("counts the events that were sent, and those that were dropped", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const bus = yield* startNode(server.address, somePrefix())
      const { id, subject } = someConversation()
      const events = (outcome: string) => sample(`chat_bus_events_total{outcome="${outcome}"}`)
      yield* bus.publish(subject, [eventOf(id, 1), eventOf(id, 2)])
      assert.deepStrictEqual([yield* events("sent"), yield* events("dropped")], [2, 0])
      yield* server.kill
      yield* goesAway(bus)
      yield* bus.publish(subject, [eventOf(id, 3)])
      assert.deepStrictEqual([yield* events("sent"), yield* events("dropped")], [2, 1])
    }).pipe(Effect.provide(counting))
  )

  live("publishes nothing while it is alone, and to a node that appears the last event of each subject", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const { a, b } = yield* twoNodes(server.address)
      const [one, two] = [someConversation(), someConversation()]
      const [onOne, onTwo] = [yield* listen(b, one.subject), yield* listen(b, two.subject)]
      const here = yield* listen(a, one.subject)
      const events = (outcome: string) => sample(`chat_bus_events_total{outcome="${outcome}"}`)
      const counts = Effect.all([events("sent"), events("skipped"), events("dropped")])
      const typing = { ...eventOf(one.id, 1), seq: null }

      a.seeAlone(true, yield* monotonicNow)
      yield* a.publish(two.subject, [eventOf(two.id, 1)])
      // The next look began after that: a node that it does not show will read the event from the log.
      a.seeAlone(true, yield* monotonicNow)
      for (const seq of [1, 2, 3]) yield* a.publish(one.subject, [eventOf(one.id, seq), typing])
      assert.deepStrictEqual(seqs(yield* here.next(6)), [1, null, 2, null, 3, null])
      assert.deepStrictEqual(yield* counts, [0, 7, 0])
      a.seeAlone(false, yield* monotonicNow)
      assert.deepStrictEqual(seqs(yield* onOne.next(1)), [3])
      yield* a.publish(one.subject, [eventOf(one.id, 4)])
      yield* a.publish(two.subject, [eventOf(two.id, 2)])
      assert.deepStrictEqual(seqs(yield* onOne.next(1)), [4])
      assert.deepStrictEqual(seqs(yield* onTwo.next(1)), [2])
      assert.deepStrictEqual(yield* counts, [3, 7, 0])

      // A look that is older says nothing about now.
      a.seeAlone(true, yield* monotonicNow)
      yield* a.publish(two.subject, [eventOf(two.id, 3)])
      a.seeAlone(true, (yield* monotonicNow) - lookMillis)
      yield* a.publish(one.subject, [eventOf(one.id, 5)])
      assert.deepStrictEqual(seqs(yield* onOne.next(1)), [5])
      assert.deepStrictEqual(seqs(yield* onTwo.next(1)), [3])
      assert.deepStrictEqual(yield* counts, [5, 8, 0])
    }).pipe(Effect.provide(counting))
  )

  live("publishes all the same while nodes of release 0.1.0 may run", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const a = yield* startNode(server.address, prefix, undefined, { acceptUnsigned: true })
      const b = yield* startNode(server.address, prefix)
      const { id, subject } = someConversation()
      const onB = yield* listen(b, subject)
      a.seeAlone(true, yield* monotonicNow)
      yield* a.publish(subject, [eventOf(id, 1)])
      assert.deepStrictEqual(seqs(yield* onB.next(1)), [1])
    })
  )

  live("works without its server, and with it again", (lines) =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const { a, b } = yield* twoNodes(server.address)
      const { id, subject } = someConversation()
      const onA = yield* listen(a, subject)
      const onB = yield* listen(b, subject)
      yield* a.publish(subject, [eventOf(id, 1)])
      assert.deepStrictEqual([seqs(yield* onA.next(1)), seqs(yield* onB.next(1))], [[1], [1]])

      yield* server.kill
      yield* Effect.all([goesAway(a), goesAway(b)])
      const publishing = yield* millis(
        Effect.forEach([2, 3, 4], (seq) => a.publish(subject, [eventOf(id, seq)]), { discard: true })
      )
      assert.isBelow(publishing, promptly(100))
      assert.deepStrictEqual(seqs(yield* onA.soFar), [2, 3, 4], "this node's subscribers miss nothing")
      const other = someConversation()
      const late = yield* listen(b, other.subject)
      const back = yield* Effect.all([comesBack(a), comesBack(b)])
      yield* server.start
      yield* Effect.all(back, { concurrency: 2 })
      assert.deepStrictEqual([a.healthy(), b.healthy()], [true, true])

      yield* a.publish(other.subject, [eventOf(other.id, 1)])
      assert.deepStrictEqual(seqs(yield* late.next(1)), [1], "subscribed while NATS was down")
      yield* a.publish(subject, [eventOf(id, 5)])
      // Event 4 arrives too if B reconnects before A publishes the last event that NATS did not get.
      assert.includeDeepMembers([[5], [4, 5]], [seqs(yield* onB.upTo(5))])
      const changes = lines
        .filter((line) => /the connection to NATS/.test(line))
        .map((line) => /lost|back/.exec(line)?.[0])
      assert.deepStrictEqual(changes.sort(), ["back", "back", "lost", "lost"])
    })
  )

  live("sends to other nodes the last event that NATS did not get", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const proxy = yield* startProxy(server.port)
      const prefix = somePrefix()
      const a = yield* startNode(`127.0.0.1:${proxy.port}`, prefix)
      const b = yield* startNode(server.address, prefix)
      const { id, subject } = someConversation()
      const onB = yield* listen(b, subject)
      yield* proxy.cut
      yield* goesAway(a)
      yield* a.publish(subject, [eventOf(id, 1), eventOf(id, 2)])
      yield* a.publish(subject, [eventOf(id, 3), { ...eventOf(id, 0), seq: null }])
      yield* proxy.heal
      assert.deepStrictEqual(seqs(yield* onB.next(1)), [3])
    })
  )

  live("drops events that a frozen server does not accept, and never waits for it", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const a = yield* startNode(server.address, prefix, calm)
      const b = yield* startNode(server.address, prefix, calm)
      const { id, subject } = someConversation()
      const onA = yield* listen(a, subject)
      const onB = yield* listen(b, subject)
      yield* server.freeze
      const events = Array.from({ length: 3000 }, (_, index) => eventOf(id, index + 1, 10_000))
      assert.isBelow(yield* millis(Effect.forEach(events, (event) => a.publish(subject, [event]))), promptly(2000))
      assert.lengthOf(yield* onA.soFar, 3000)
      const { subject: other } = someConversation()
      assert.isBelow(yield* millis(Effect.scoped(listen(a, other))), promptly(1500), "subscribing")
      yield* server.thaw
      yield* Effect.scoped(listen(a, other))
      yield* a.publish(subject, [eventOf(id, 3001)])
      const onOther = seqs(yield* onB.upTo(3000))
      const sent = onOther.length - 2
      assert.deepStrictEqual(onOther, [...seqs(events.slice(0, sent)), 3001, 3000], "the first ones, then the last")
      assert.closeTo(sent * 10_000, 8 * 1024 * 1024, 500_000, "bytes kept for the server")
    })
  )

  live("notices a frozen server, and goes on when it thaws", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const { a, b } = yield* twoNodes(server.address)
      const { id, subject } = someConversation()
      const onB = yield* listen(b, subject)
      yield* server.freeze
      assert.isBelow(yield* millis(Effect.all([goesAway(a), goesAway(b)])), promptly(2000))
      const back = yield* Effect.all([comesBack(a), comesBack(b)])
      // This is longer than one attempt to connect.
      yield* Effect.sleep("1500 millis")
      yield* server.thaw
      yield* Effect.all(back, { concurrency: 2 })
      yield* a.publish(subject, [eventOf(id, 1)])
      assert.deepStrictEqual(seqs(yield* onB.next(1)), [1])
    })
  )

  live("moves to another server when its own accepts nothing and the buffers are full", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const [first, second] = yield* Effect.all([startProxy(server.port), startProxy(server.port)])
      const prefix = somePrefix()
      const a = yield* startNode(`nats://127.0.0.1:${first.port},127.0.0.1:${second.port}`, prefix)
      const b = yield* startNode(server.address, prefix)
      const { id, subject } = someConversation()
      const onB = yield* listen(b, subject)
      const back = yield* comesBack(a)
      yield* first.connections() > 0 ? first.stall : second.stall
      const noise = someConversation()
      for (let seq = 1; seq <= 2000; seq++) yield* a.publish(noise.subject, [eventOf(noise.id, seq, 10_000)])
      yield* back
      yield* a.publish(subject, [eventOf(id, 1)])
      assert.deepStrictEqual(seqs(yield* onB.next(1)), [1])
    })
  )

  live("ends within a second, after sending what was published, also with a frozen server", () =>
    Effect.gen(function* () {
      const server = yield* startNatsServer()
      const prefix = somePrefix()
      const b = yield* startNode(server.address, prefix, calm)
      const { id, subject } = someConversation()
      const onB = yield* listen(b, subject)
      for (const frozen of [false, true]) {
        const scope = yield* Scope.make()
        const a = yield* startNode(server.address, prefix).pipe(Scope.provide(scope))
        if (frozen) yield* server.freeze
        yield* Effect.forEach([1, 2, 3], (seq) => a.publish(subject, [eventOf(id, seq)]))
        assert.isBelow(yield* millis(Scope.close(scope, Exit.void)), promptly(1000))
        if (!frozen) assert.deepStrictEqual(seqs(yield* onB.next(3)), [1, 2, 3])
      }
    })
  )
})
