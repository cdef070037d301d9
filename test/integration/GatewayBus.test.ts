import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { ClientMessageId, ConversationId, UserId } from "../../src/domain/Ids.ts"
import type { Published } from "../../src/services/bus/Subjects.ts"
import { Messages } from "../../src/services/messages/Messages.ts"
import { type Account, api, connect } from "../support/Client.ts"
import { gatewayService, Service, Wire } from "../support/GatewayService.ts"
import { randomOf } from "../support/Random.ts"
import { patience } from "../support/TimeLimits.ts"

const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n)

let sends = 0

const send = (sender: Account, conversationId: string) =>
  Messages.use((messages) =>
    messages.send(UserId.make(sender.id), ConversationId.make(conversationId), {
      clientMessageId: ClientMessageId.make(`b${++sends}`),
      body: "x"
    })
  )

/** A group of two members with sockets, and the bus below them. */
const watched = Effect.gen(function* () {
  const { log, url } = yield* Service
  const wire = yield* Wire
  const http = api(url)
  const [ann, bob] = [yield* http.register(), yield* http.register()]
  const id = yield* http.group(ann, bob)
  const clients = [yield* connect(url), yield* connect(url)] as const
  yield* clients[0].ready(ann.token)
  yield* clients[1].ready(bob.token)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      wire.carry = Wire.healthy
    })
  )
  /** Changes how the bus carries the events of this conversation. */
  const meddle = (change: (event: Published, hand: (event: Published) => void) => void) => {
    wire.carry = (subject, events, hand) => {
      if (subject !== `conversation.${id}`) return hand(events)
      for (const event of events) change(event, (handed) => hand([handed]))
    }
  }
  return { ann, bob, clients, http, id, log, meddle, url, wire }
})

const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.tap(Effect.sleep(5)),
    Effect.repeat({ until: (reached) => reached }),
    Effect.timeout(patience),
    Effect.orDie
  )

const never = { repair: 600_000, repairDegraded: 600_000 }

layer(gatewayService({ timers: { ...never, gapWait: 50 } }), { excludeTestServices: true })("a bus that", (it) => {
  it.effect("loses an event: the hub reads it from the log before the next one", () =>
    Effect.gen(function* () {
      const { ann, clients, id, meddle } = yield* watched
      const stored = yield* send(ann, id)
      meddle((event, hand) => event.seq !== 4 && event.seq !== 5 && hand(event))
      for (let n = 0; n < 4; n++) yield* send(ann, id)
      for (const client of clients) {
        const last = yield* client.seq(id, 6)
        assert.deepStrictEqual(client.seqs(id), range(2, 6))
        assert.strictEqual(last.data?.message?.seq, 6)
        const messages = client.frames.map(({ data }) => data?.message?.seq).filter((seq) => seq !== undefined)
        assert.deepStrictEqual(messages, range(stored.seq, 6))
      }
    })
  )

  it.effect("swaps events: clients get them in order", () =>
    Effect.gen(function* () {
      const { ann, clients, id, meddle } = yield* watched
      const kept: Array<() => void> = []
      meddle((event, hand) => kept.push(() => hand(event)))
      for (let n = 0; n < 6; n++) yield* send(ann, id)
      yield* until(() => kept.length === 6)
      for (const hand of kept.reverse()) hand()
      for (const client of clients) {
        yield* client.seq(id, 7)
        assert.deepStrictEqual(client.seqs(id), range(2, 7))
      }
    })
  )

  it.effect("repeats events: clients get them once", () =>
    Effect.gen(function* () {
      const { ann, clients, id, meddle } = yield* watched
      const all: Array<() => void> = []
      meddle((event, hand) => {
        all.push(() => hand(event))
        for (const again of all) again()
      })
      for (let n = 0; n < 5; n++) yield* send(ann, id)
      for (const client of clients) {
        yield* client.seq(id, 6)
        yield* client.ok("ping")
        assert.deepStrictEqual(client.seqs(id), range(2, 6))
      }
    })
  )

  it.effect("loses an event before more events than can be held: clients get all of them", () =>
    Effect.gen(function* () {
      const { ann, clients, id, meddle } = yield* watched
      meddle((event, hand) => event.seq !== 2 && hand(event))
      yield* Effect.forEach(range(1, 700), () => send(ann, id), { concurrency: "unbounded" })
      for (const client of clients) {
        yield* client.seq(id, 701)
        assert.deepStrictEqual(client.seqs(id), range(2, 701))
      }
    })
  )

  it.effect("loses events again while a gap is filled: every gap is filled", () =>
    Effect.gen(function* () {
      const { ann, clients, id, meddle } = yield* watched
      meddle((event, hand) => event.seq !== null && event.seq % 2 === 1 && hand(event))
      yield* Effect.forEach(range(1, 60), () => Effect.andThen(send(ann, id), Effect.sleep(3)), { discard: true })
      for (const client of clients) {
        yield* client.seq(id, 61)
        assert.deepStrictEqual(client.seqs(id), range(2, 61))
      }
    })
  )

  it.effect("invents events: clients do not get them, and get all real ones", () =>
    Effect.gen(function* () {
      const { ann, clients, id, log, meddle } = yield* watched
      meddle((event, hand) => {
        hand(event)
        hand({ ...event, seq: 1000, json: `{"event":"message.created","conversationId":"${id}","seq":1000}` })
      })
      yield* send(ann, id)
      for (const client of clients) yield* client.seq(id, 2)
      yield* until(() => log.some(({ level }) => level === "ERROR"))
      meddle((event, hand) => hand(event))
      yield* send(ann, id)
      for (const client of clients) {
        yield* client.seq(id, 3)
        assert.deepStrictEqual(client.seqs(id), [2, 3])
      }
    })
  )

  it.effect.each([1, 2])("does all of that at random: clients get every event once, in order (seed %i)", (seed) =>
    Effect.gen(function* () {
      const { ann, bob, clients, id, meddle, url } = yield* watched
      const random = randomOf(seed)
      const late: Array<() => void> = []
      meddle((event, hand) => {
        const chance = random()
        if (chance < 0.15) return
        if (chance < 0.3) late.push(() => hand(event))
        else hand(event)
        if (chance > 0.85) hand(event)
        if (chance > 0.7) late.shift()?.()
      })
      const total = 500
      for (let sent = 0; sent < total; ) {
        const batch = Math.min(total - sent, 1 + Math.floor(random() * 25))
        yield* Effect.forEach(range(1, batch), () => send(random() < 0.5 ? ann : bob, id), { concurrency: "unbounded" })
        sent += batch
        if (random() < 0.3) {
          const visitor = yield* connect(url)
          yield* visitor.ready(bob.token, { cursors: { [id]: Math.max(1, sent - 20) } })
          visitor.terminate()
        }
      }
      // The last event shows the gap.
      meddle((event, hand) => hand(event))
      yield* send(ann, id)
      for (const client of clients) {
        yield* client.seq(id, total + 2)
        assert.deepStrictEqual(client.seqs(id), range(2, total + 2))
      }
    })
  )
})

layer(gatewayService({ timers: { repair: 200, sessionRecheck: 200 } }), { excludeTestServices: true })(
  "what the bus lost without a later event",
  (it) => {
    it.effect("is found by comparing heads, also the last event", () =>
      Effect.gen(function* () {
        const { ann, clients, id, meddle } = yield* watched
        meddle(() => {})
        yield* send(ann, id)
        yield* send(ann, id)
        for (const client of clients) {
          yield* client.seq(id, 3)
          assert.deepStrictEqual(client.seqs(id), [2, 3])
        }
      })
    )

    it.effect("is found after a comparison of heads has failed", () =>
      Effect.gen(function* () {
        const { ann, clients, id, log, meddle } = yield* watched
        const sql = yield* SqlClient.SqlClient
        yield* send(ann, id)
        yield* clients[0].seq(id, 2)
        const before = log.length
        yield* sql`ALTER TABLE conversation_heads RENAME TO lost`
        yield* until(() => log.slice(before).some(({ message }) => message === "comparison failed")).pipe(
          Effect.ensuring(Effect.orDie(sql`ALTER TABLE lost RENAME TO conversation_heads`))
        )
        meddle(() => {})
        yield* send(ann, id)
        yield* clients[0].seq(id, 3)
      })
    )

    it.effect("is found when it is a new conversation", () =>
      Effect.gen(function* () {
        const { ann, bob, clients, http, wire } = yield* watched
        wire.carry = () => {}
        const made = yield* http.group(ann, bob)
        yield* clients[1].event("conversation.added", made)
        yield* send(ann, made)
        yield* clients[1].seq(made, 2)
      })
    )

    it.effect("is found when it is the end of a session", () =>
      Effect.gen(function* () {
        const { ann, clients, http, wire } = yield* watched
        wire.carry = () => {}
        yield* http.must("POST", "/v1/auth/logout", { token: ann.token })
        assert.strictEqual((yield* clients[0].closed).code, 4503)
        assert.deepStrictEqual(yield* clients[1].ok("ping"), {})
      })
    )
  }
)
