import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ClientMessageId, ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Hub } from "../../src/realtime/Hub.ts"
import { Messages } from "../../src/services/messages/Messages.ts"
import { Gateway } from "../../src/ws/Gateway.ts"
import { type Account, api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { patience } from "../support/TimeLimits.ts"

const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n)

const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.tap(Effect.sleep(5)),
    Effect.repeat({ until: (reached) => reached }),
    Effect.timeout(patience),
    Effect.orDie
  )

setFlagsFromString("--expose-gc")
const collect: unknown = runInNewContext("gc")

/** The number of bytes in buffers. */
const buffered = () => {
  if (typeof collect === "function") collect()
  return process.memoryUsage().arrayBuffers
}

/** A message that fills the kernel's buffers: three bytes for each character. */
const large = "€".repeat(50_000)

let sends = 0

const send = (sender: Account, conversationId: string, body = large) =>
  Messages.use((messages) =>
    messages.send(UserId.make(sender.id), ConversationId.make(conversationId), {
      clientMessageId: ClientMessageId.make(`s${++sends}`),
      body
    })
  )

/** Ann sends, Bob reads slowly, Cem reads. */
const three = Effect.gen(function* () {
  const { url } = yield* Service
  const http = api(url)
  const [ann, bob, cem] = [yield* http.register(), yield* http.register(), yield* http.register()]
  const id = yield* http.group(ann, bob, cem)
  const [a, b, c] = [yield* connect(url), yield* connect(url), yield* connect(url)]
  yield* a.ready(ann.token)
  yield* b.ready(bob.token)
  yield* c.ready(cem.token)
  return { http, url, ann, bob, cem, a, b, c, id }
})

const limits = { outboxBytes: 400_000, messageLength: 100_000 }

layer(gatewayService({ limits }), { excludeTestServices: true })("a slow reader", (it) => {
  it.effect("loses nothing and delays nobody: events stop, and follow when it reads again", () =>
    Effect.gen(function* () {
      const { a, ann, b, c, http, id } = yield* three
      b.pause()
      for (let seq = 2; seq <= 61; seq++) {
        yield* send(ann, id)
        yield* c.seq(id, seq)
      }
      yield* a.ok("typing.start", { conversationId: id })
      yield* c.event("typing.started", id)
      yield* b.isClosed ? Effect.die("closed") : Effect.void
      b.resume()
      yield* b.seq(id, 61)
      assert.deepStrictEqual(b.seqs(id), range(2, 61))
      const dirty = b.frames.filter(({ event }) => event === "conversation.dirty")
      assert.strictEqual(dirty.length, 1)
      const seq = dirty[0]?.data?.seq ?? 0
      assert.deepStrictEqual(dirty[0]?.json, { event: "conversation.dirty", conversationId: id, data: { seq } })
      // Between the last body and the first one that was read again.
      const at = b.frames.findIndex(({ event }) => event === "conversation.dirty")
      assert.strictEqual(b.frames[at - 1]?.seq, seq - 1)
      assert.strictEqual(b.frames[at + 1]?.seq, seq)
      assert.isFalse(b.frames.some(({ event }) => event === "typing.started"))
      assert.deepStrictEqual((yield* http.history(ann, id)).length, 60)
      yield* send(ann, id, "live")
      yield* b.seq(id, 62)
      // Typing starts anew, because a user who goes on typing is not announced again so soon.
      yield* a.ok("typing.stop", { conversationId: id })
      yield* a.ok("typing.start", { conversationId: id })
      yield* b.event("typing.started", id)
      assert.strictEqual(b.frames.filter(({ event }) => event === "conversation.dirty").length, 1)
    })
  )

  it.effect("that missed too much gets a reset", () =>
    Effect.gen(function* () {
      const { ann, b, id } = yield* three
      b.pause()
      for (let n = 0; n < 40; n++) yield* send(ann, id)
      yield* Effect.forEach(range(1, 260), () => send(ann, id, "small"), { concurrency: 64 })
      b.resume()
      const reset = yield* b.event("conversation.reset", id)
      assert.deepStrictEqual(reset.json, { event: "conversation.reset", conversationId: id, data: { seq: 301 } })
      yield* send(ann, id, "live")
      yield* b.seq(id, 302)
      const seqs = b.seqs(id)
      assert.deepStrictEqual(seqs, [...range(2, seqs.length), 302])
    })
  )

  it.effect("gets one reset for every conversation, and catches up in each", () =>
    Effect.gen(function* () {
      const { ann, b, bob, http, id } = yield* three
      const others = yield* Effect.replicateEffect(http.group(ann, bob), 30)
      for (const other of others) yield* b.event("conversation.added", other)
      b.pause()
      for (let n = 0; n < 40; n++) yield* send(ann, id)
      for (let n = 0; n < 5; n++) for (const other of others) yield* send(ann, other, `small ${n}`)
      b.resume()
      for (const other of others) {
        yield* b.seq(other, 6)
        assert.deepStrictEqual(b.seqs(other), range(2, 6))
      }
      yield* b.seq(id, 41)
      assert.deepStrictEqual(b.seqs(id), range(2, 41))
      const dirty = b.frames.filter(({ event }) => event === "conversation.dirty").map((frame) => frame.conversationId)
      assert.deepStrictEqual([...dirty].sort(), [...others, id].sort())
    })
  )

  it.effect("that pauses again and again gets a steady stream of events in order", () =>
    Effect.gen(function* () {
      const { ann, b, c, id } = yield* three
      const total = 150
      const sending = Effect.forEach(range(1, total), () => Effect.andThen(send(ann, id), Effect.sleep(2)), {
        discard: true
      })
      const reading = Effect.gen(function* () {
        for (let seq = 2; seq <= total; seq += 25) {
          b.pause()
          yield* c.seq(id, Math.min(total + 1, seq + 35))
          b.resume()
          yield* b.seq(id, seq)
        }
      })
      yield* Effect.all([sending, reading], { concurrency: 2 })
      yield* b.seq(id, total + 1)
      assert.deepStrictEqual(b.seqs(id), range(2, total + 1))
      assert.deepStrictEqual(c.seqs(id), range(2, total + 1))
    })
  )

  it.effect("that asks for more than it reads costs the service only the answers in flight", () =>
    Effect.gen(function* () {
      const { ann, bob, c, id, url } = yield* three
      const slow = yield* Effect.replicateEffect(connect(url), 5)
      for (const client of slow) yield* client.ready(bob.token)
      for (let n = 0; n < 20; n++) yield* send(ann, id)
      yield* c.seq(id, 21)
      for (const client of slow) client.pause()
      const before = buffered()
      // Each answer has 3 MB: they would be 375 MB in total if the service made them for clients that do not read.
      const requests = slow.map((client) =>
        Array.from({ length: 25 }, () => client.request("events.pull", { conversationId: id, after: 0 }))
      )
      for (let n = 0; n < 10; n++) yield* c.ok("events.pull", { conversationId: id, after: 0 })
      assert.isBelow(buffered() - before, 150_000_000)
      const [one, ...others] = slow
      for (const client of others) client.terminate()
      one?.resume()
      // How many are refused, because too many wait or too much was read, depends on how fast the machine is.
      const first = (requests[0] ?? []).slice(0, 5)
      const answers = yield* Effect.forEach(first, (request) => one?.answer(request) ?? Effect.die("none"))
      assert.isNotEmpty(answers.filter(({ ok }) => ok !== undefined))
      for (const { error, ok } of answers)
        if (ok === undefined) assert.strictEqual(error?.type, "/problems/rate-limited")
    })
  )

  it.effect("that reconnects while it is behind loses nothing, and gets its settings", () =>
    Effect.gen(function* () {
      const { ann, bob, c, cem, http, id, url } = yield* three
      const calm = yield* http.group(ann, bob, cem)
      for (let n = 0; n < 100; n++) yield* send(ann, id)
      yield* send(ann, calm, "latest activity")
      yield* http.must("PUT", `/v1/conversations/${calm}/read`, { token: bob.token, json: { seq: 2 } })
      const client = yield* connect(url)
      client.pause()
      // The client is up to date in one conversation, which goes live at once; in the other one there is much to
      // replay.
      client.request("hello", { token: bob.token, cursors: { [id]: 1, [calm]: 2 }, userSeq: 0 })
      yield* c.seq(calm, 2)
      yield* Effect.sleep(300)
      for (let n = 0; n < 10; n++) yield* send(ann, calm)
      yield* c.seq(calm, 12)
      client.resume()
      yield* client.next(({ data }) => data?.resumed === true)
      yield* send(ann, calm)
      yield* client.seq(calm, 13)
      assert.deepStrictEqual(client.seqs(id), range(2, 101))
      assert.deepStrictEqual(client.seqs(calm), range(3, 13))
      const settings = client.frames.filter(({ event }) => event === "conversation.settings")
      assert.deepStrictEqual(settings.map((frame) => frame.conversationId).sort(), [id, calm].sort())
    })
  )
})

layer(gatewayService({ limits: { ...limits, outboxFrames: 64, commandsInFlight: 4 } }), { excludeTestServices: true })(
  "a reader that stops",
  (it) => {
    it.effect("and sends more commands is closed with 4003 when its outbox is full", () =>
      Effect.gen(function* () {
        const { ann, b, c, id } = yield* three
        b.pause()
        for (let n = 0; n < 40; n++) yield* send(ann, id)
        for (let n = 0; n < 500; n++) b.request("ping")
        yield* c.seq(id, 41)
        b.resume()
        assert.strictEqual((yield* b.closed).code, 4003)
        const seqs = b.seqs(id)
        assert.deepStrictEqual(seqs, range(2, seqs.length + 1))
        assert.deepStrictEqual(yield* c.ok("ping"), {})
      })
    )
  }
)

layer(gatewayService({ limits, timers: { writeStuck: 300 } }), { excludeTestServices: true })(
  "a reader that stops for too long",
  (it) => {
    it.effect("is closed with 4003, and its conversations are unfollowed", () =>
      Effect.gen(function* () {
        const { a, ann, b, c, id } = yield* three
        const gateway = yield* Gateway
        const hub = yield* Hub
        b.pause()
        for (let n = 0; n < 40; n++) yield* send(ann, id)
        yield* c.seq(id, 41)
        // The close frame cannot be sent either, so the connection is cut.
        yield* until(() => gateway.size() === 2)
        b.resume()
        assert.include([4003, 1006], (yield* b.closed).code)
        assert.strictEqual(hub.size(), 1)
        a.close()
        c.close()
        yield* until(() => gateway.size() === 0 && hub.size() === 0)
      })
    )
  }
)
