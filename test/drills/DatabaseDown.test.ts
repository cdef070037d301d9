import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { api, connect } from "../support/Client.ts"
import { dataDirectory, postgresOf, startNode } from "../support/Node.ts"
import { serversAreThere, startPostgres } from "../support/Servers.ts"
import { promptly } from "../support/TimeLimits.ts"

let sends = 0
const message = (conversationId: string) => ({ conversationId, clientMessageId: `d${++sends}`, body: `body ${sends}` })

const elapsed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const since = yield* Clock.currentTimeMillis
    const value = yield* effect
    return { value, ms: (yield* Clock.currentTimeMillis) - since }
  })

describe.skipIf(!serversAreThere)("a PostgreSQL that goes down", () => {
  it.live.each(["killed", "frozen"] as const)(
    "%s: sends are answered with unavailable, sockets stay open, and everything works again when it is back",
    (how) =>
      Effect.gen(function* () {
        const postgres = yield* startPostgres
        const node = yield* startNode({
          "postgres.host": "127.0.0.1",
          "postgres.port": postgres.port,
          "postgres.database": "chat_e2e",
          "server.origin": "http://localhost:8080",
          "jwt.secret": "a secret for this test alone, 32 bytes or more"
        })
        const http = api(node.url)
        const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
        const id = yield* http.dm(ann, bob)
        const [a, b] = [yield* connect(node.url), yield* connect(node.url)]
        yield* a.ready(ann.token)
        yield* b.ready(bob.token)
        yield* a.ok("message.send", message(id))
        yield* b.seq(id, 2)
        const readiness = Effect.map(http.ask("GET", "/ready"), ({ status }) => status)
        const until = (status: number) =>
          readiness.pipe(Effect.repeat({ until: (seen) => seen === status, schedule: Schedule.spaced(50) }), elapsed)

        yield* how === "killed" ? postgres.kill : postgres.freeze
        const notReady = yield* until(503)
        assert.isBelow(notReady.ms, promptly(3500))
        const report = yield* http.ask("GET", "/ready")
        assert.propertyVal(report.body, "status", "unavailable")
        assert.strictEqual((yield* http.ask("GET", "/health")).status, 200)

        const lost = Array.from({ length: 5 }, () => message(id))
        const { ms, value } = yield* elapsed(
          Effect.all(
            {
              sends: Effect.forEach(lost, (each) => a.error("message.send", each), { concurrency: "unbounded" }),
              post: http.ask("POST", `/v1/conversations/${id}/messages`, {
                token: ann.token,
                json: { clientMessageId: "over-http", body: "x" }
              })
            },
            { concurrency: 2 }
          )
        )
        assert.isBelow(ms, promptly(12_500))
        for (const { status, type } of value.sends)
          assert.deepStrictEqual([status, type], [503, "/problems/unavailable"])
        assert.strictEqual(value.post.status, 503)
        const said = node.log.find(({ message }) => message === "appends fail: the database does not answer")
        assert.match(String(said?.reason), how === "killed" ? /terminated|closed|ECONN/ : /./)
        assert.notMatch(String(said?.reason), /Error$/)
        assert.deepStrictEqual(yield* a.ok("ping"), {})
        assert.deepStrictEqual(yield* b.ok("ping"), {})

        yield* how === "killed" ? Effect.orDie(postgres.start) : postgres.thaw
        const healed = yield* until(200)
        assert.isBelow(healed.ms, promptly(15_000))
        // The same ids are sent again: whether or not they were stored before, they are stored once now.
        const retried = yield* Effect.forEach(lost, (each) =>
          a.ok("message.send", each).pipe(
            Effect.catchDefect(() => Effect.fail("not yet")),
            Effect.retry({ schedule: Schedule.spaced(200), times: 50 })
          )
        )
        const seqs = retried.map(({ seq }) => Number(seq))
        const history = yield* http.history(bob, id)
        assert.deepStrictEqual(
          history.map(({ seq }) => seq),
          history.map((_, n) => n + 2)
        )
        const wanted = [...lost.map(({ clientMessageId }) => clientMessageId)]
        assert.deepStrictEqual(
          history.filter(({ clientMessageId }) => wanted.includes(clientMessageId)).map(({ seq }) => seq),
          [...seqs].sort((x, y) => x - y)
        )
        const head = history.at(-1)?.seq ?? 0
        if (!b.seqs(id).includes(head)) yield* b.seq(id, head)
        assert.deepStrictEqual(b.seqs(id), [...history.map(({ seq }) => seq)])
        const later = yield* connect(node.url)
        yield* later.ready(bob.token, { cursors: { [id]: 1 } })
        assert.deepStrictEqual(later.seqs(id), b.seqs(id))
        assert.isFalse(a.isClosed || b.isClosed)
        node.kill("SIGTERM")
        assert.strictEqual(yield* node.exit, 0)
      }).pipe(Effect.scoped)
  )

  it.live.each(["a server", "embedded"] as const)(
    "%s, frozen: neither delays the stop of the service nor hides it from sockets",
    (kind) =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const postgres = kind === "embedded" ? undefined : yield* startPostgres
        const timeout = 6
        const node = yield* startNode({
          "data.dir": dataDir,
          ...(postgres !== undefined && {
            "postgres.host": "127.0.0.1",
            "postgres.port": postgres.port,
            "server.origin": "http://localhost:8080",
            "jwt.secret": "a secret for this test alone, 32 bytes or more"
          }),
          "shutdown.lame_duck": 2,
          "shutdown.timeout": timeout,
          "timers.drain": 0.5
        })
        const http = api(node.url)
        const ann = yield* http.register("ann")
        const id = yield* http.dm(ann, ann)
        const a = yield* connect(node.url)
        yield* a.ready(ann.token)
        const embedded = postgresOf(dataDir)
        const each = (signal: NodeJS.Signals) =>
          Effect.sync(() => {
            for (const pid of embedded) process.kill(pid, signal)
          })
        yield* postgres?.freeze ?? each("SIGSTOP")
        yield* Effect.addFinalizer(() => postgres?.thaw ?? each("SIGCONT"))
        for (let n = 0; n < 5; n++) a.request("message.send", message(id))
        yield* Effect.forkChild(http.ask("GET", "/v1/conversations", { token: ann.token }))
        const { ms, value } = yield* elapsed(
          Effect.suspend(() => {
            node.kill("SIGTERM")
            return node.exit
          })
        )
        assert.strictEqual((yield* a.closed).code, 4005)
        assert.isBelow(ms, promptly(timeout * 1000))
        // The requests in flight could not be finished, so the end need not be clean, but the process ends.
        assert.include([0, 1], value)
      }).pipe(Effect.scoped)
  )
})
