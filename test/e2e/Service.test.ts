import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { api, type Client, connect } from "../support/Client.ts"
import { isRunning } from "../support/EmbeddedService.ts"
import { dataDirectory, type Node, postgresOf, startNode } from "../support/Node.ts"
import { patience, promptly } from "../support/TimeLimits.ts"

/** Two users who talk. */
const twoTalk = Effect.fnUntraced(function* ({ url }: Node) {
  const http = api(url)
  const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
  const [a, b] = [yield* connect(url), yield* connect(url)]
  yield* a.ready(ann.token)
  const id = yield* http.dm(ann, bob)
  yield* b.ready(bob.token)
  yield* a.event("conversation.added", id)
  return { http, ann, bob, a, b, id }
})

/** How many seconds a node serves everything after SIGTERM, in the test of that. */
const lameDuck = 8

let sends = 0
const say = (client: Client, conversationId: string, body: string) =>
  client.ok("message.send", { conversationId, clientMessageId: `e${++sends}`, body })

describe("the service, started on an empty directory", () => {
  it.live("lets two people talk over sockets and HTTP, and keeps everything across a restart", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const first = yield* Effect.scoped(
        Effect.gen(function* () {
          const node = yield* startNode({ "data.dir": dataDir })
          const { a, ann, b, bob, http, id } = yield* twoTalk(node)
          yield* say(a, id, "Hello Bob")
          assert.strictEqual((yield* b.seq(id, 2)).data?.message?.body, "Hello Bob")
          yield* say(b, id, "Hello Ann 😀")
          assert.strictEqual((yield* a.seq(id, 3)).data?.message?.body, "Hello Ann 😀")
          yield* http.post(ann, id, "over-http", "and over HTTP")
          yield* a.seq(id, 4)
          yield* b.seq(id, 4)
          yield* b.ok("read.mark", { conversationId: id, seq: 4 })
          assert.strictEqual((yield* a.event("read.marked", id)).data?.userId, bob.id)
          const ready = yield* http.ask("GET", "/ready")
          assert.strictEqual(ready.status, 200)
          const history = yield* http.history(bob, id)
          assert.deepStrictEqual(
            history.map(({ body, seq }) => [seq, body]),
            [
              [2, "Hello Bob"],
              [3, "Hello Ann 😀"],
              [4, "and over HTTP"]
            ]
          )
          const notes = yield* http.group(ann)
          const soon = new Date((yield* Clock.currentTimeMillis) + 2000).toISOString()
          const scheduled = { conversationId: notes, sendAt: soon, body: "sent by the next start" }
          yield* http.must("POST", "/v1/scheduled-messages", { token: ann.token, json: scheduled })
          const postgres = postgresOf(dataDir)
          assert.isAbove(postgres.length, 1)
          const since = yield* Clock.currentTimeMillis
          node.kill("SIGTERM")
          assert.strictEqual(yield* node.exit, 0)
          assert.isBelow((yield* Clock.currentTimeMillis) - since, promptly(10_000))
          assert.deepStrictEqual(postgres.filter(isRunning), [])
          for (const secret of [ann.token, ann.password, "Hello Bob", "over HTTP"]) {
            assert.isFalse(JSON.stringify([node.log, node.said]).includes(secret), "a secret in the log")
          }
          return { ann, id, history, notes }
        })
      )
      const node = yield* startNode({ "data.dir": dataDir })
      const http = api(node.url)
      // The signing key is kept, so the token is still valid.
      assert.deepStrictEqual(yield* http.history(first.ann, first.id), first.history)
      const again = yield* http.login(first.ann.username, first.ann.password)
      const client = yield* connect(node.url)
      yield* client.ready(again.token, { cursors: { [first.id]: 2 } })
      assert.deepStrictEqual(client.seqs(first.id), [3, 4])
      assert.strictEqual((yield* say(client, first.id, "back again")).seq, 5)
      const sent = yield* http.history(first.ann, first.notes).pipe(
        Effect.tap(() => Effect.sleep(50)),
        Effect.repeat({ until: (messages) => messages.length > 0 })
      )
      assert.deepStrictEqual(
        sent.map(({ body }) => body),
        ["sent by the next start"]
      )
    }).pipe(Effect.scoped)
  )

  it.live("drains on SIGTERM: it is not ready, asks clients to reconnect, and loses no command in flight", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const node = yield* startNode({ "data.dir": dataDir, "timers.drain": 1 })
      const { a, ann, b, http, id } = yield* twoTalk(node)
      const silent = yield* connect(node.url)
      // A socket that reads and answers nothing must not delay the stop.
      const deaf = yield* connect(node.url)
      yield* deaf.ready(ann.token)
      deaf.pause()
      const postgres = postgresOf(dataDir)
      const since = yield* Clock.currentTimeMillis
      node.kill("SIGTERM")
      const { data } = yield* a.event("reconnect")
      assert.isTrue(data?.afterMs !== undefined && data.afterMs >= 0 && data.afterMs <= 1000)
      yield* b.event("reconnect")
      const ready = yield* http.ask("GET", "/ready")
      assert.strictEqual(ready.status, 503)
      assert.propertyVal(ready.body, "status", "draining")
      assert.strictEqual((yield* http.ask("GET", "/health")).status, 200)
      assert.strictEqual((yield* Effect.flip(connect(node.url))).status, 503)
      // Commands that arrive during the drain are still carried out.
      assert.strictEqual((yield* say(a, id, "last words")).seq, 2)
      yield* b.seq(id, 2)
      for (const client of [a, b, silent]) assert.strictEqual((yield* client.closed).code, 4005)
      assert.strictEqual(yield* node.exit, 0)
      assert.isBelow((yield* Clock.currentTimeMillis) - since, promptly(10_000))
      assert.deepStrictEqual(postgres.filter(isRunning), [])
      assert.deepStrictEqual(
        node.log.filter(({ level, status }) => level === "ERROR" && status !== 503),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.live("still serves everything for shutdown.lame_duck while /ready answers 503, and then drains", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const node = yield* startNode({
        "data.dir": dataDir,
        "timers.drain": 0,
        "shutdown.lame_duck": lameDuck,
        "shutdown.timeout": 60
      })
      const { a, ann, b, http, id } = yield* twoTalk(node)
      const since = yield* Clock.currentTimeMillis
      node.kill("SIGTERM")
      const ready = http.ask("GET", "/ready")
      yield* Effect.repeat(ready, { until: ({ status }) => status === 503 })
      assert.propertyVal((yield* ready).body, "status", "draining")
      const late = yield* connect(node.url)
      yield* late.ready(ann.token)
      assert.strictEqual((yield* say(a, id, "by socket")).seq, 2)
      yield* b.seq(id, 2)
      yield* http.post(ann, id, "late", "by HTTP")
      yield* late.seq(id, 3)
      assert.isBelow((yield* Clock.currentTimeMillis) - since, lameDuck * 1000, "else it proves nothing")
      for (const client of [a, b, late]) assert.strictEqual((yield* client.closed).code, 4005)
      assert.isAtLeast((yield* Clock.currentTimeMillis) - since, lameDuck * 1000)
      assert.strictEqual(yield* node.exit, 0)
      assert.isBelow((yield* Clock.currentTimeMillis) - since, promptly(10_000))
    }).pipe(Effect.scoped)
  )

  it.live("stops when npm, which runs it, gets a signal, and leaves no process behind", () =>
    Effect.gen(function* () {
      const dataDir = yield* dataDirectory
      const node = yield* startNode({ "data.dir": dataDir, "timers.drain": 0 }, { command: ["npm", "start"] })
      const client = yield* connect(node.url)
      const [postmaster = 0] = postgresOf(dataDir)
      const since = yield* Clock.currentTimeMillis
      node.kill("SIGTERM")
      assert.strictEqual((yield* client.closed).code, 4005)
      assert.strictEqual(yield* node.exit, 0)
      assert.isBelow((yield* Clock.currentTimeMillis) - since, promptly(10_000))
      yield* Effect.sync(() => isRunning(postmaster)).pipe(
        Effect.tap(Effect.sleep(20)),
        Effect.repeat({ while: (running) => running }),
        Effect.timeout(patience)
      )
      assert.strictEqual((yield* Effect.exit(Effect.promise(() => fetch(`${node.url}/health`))))._tag, "Failure")
    }).pipe(Effect.scoped)
  )
})
