import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { ClientMessageId, ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Hub } from "../../src/realtime/Hub.ts"
import { membershipChanged, PubSub } from "../../src/services/bus/PubSub.ts"
import { userSubject } from "../../src/services/bus/Subjects.ts"
import { Conversations } from "../../src/services/conversations/Conversations.ts"
import { Messages } from "../../src/services/messages/Messages.ts"
import { type Account, api, type Client, connect } from "../support/Client.ts"
import { Gate, gatewayService, Service, Wire } from "../support/GatewayService.ts"
import { randomOf } from "../support/Random.ts"
import { patience } from "../support/TimeLimits.ts"

const start = Effect.gen(function* () {
  const { url } = yield* Service
  const http = api(url)
  const ann = yield* http.register("ann")
  return { url, http, ann }
})

let sends = 0

/** Appends `count` messages to a conversation, as fast as the log accepts them. */
const fill = Effect.fnUntraced(function* (sender: Account, conversationId: string, count: number) {
  const messages = yield* Messages
  yield* Effect.forEach(
    Array.from({ length: count }, () => ++sends),
    (n) =>
      messages.send(UserId.make(sender.id), ConversationId.make(conversationId), {
        clientMessageId: ClientMessageId.make(`f${n}`),
        body: `body ${n}`
      }),
    { concurrency: 256, discard: true }
  )
})

const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n)

/** Reconnects with cursors, and returns the frames between the answer and the last `ready`. */
const comeBack = Effect.fnUntraced(function* (account: Account, cursors: Record<string, number>, userSeq?: number) {
  const { url } = yield* Service
  const client = yield* connect(url)
  const [answer, ...frames] = yield* client.ready(account.token, {
    cursors,
    ...(userSeq !== undefined && { userSeq })
  })
  assert.deepStrictEqual(frames.at(-1)?.json, { event: "ready", data: { resumed: true, done: true } })
  return { client, answer, frames: frames.slice(0, -1) }
})

/** Checks that the socket is live: the next message arrives, and nothing else. */
const isLive = Effect.fnUntraced(function* (client: Client, sender: Account, conversationId: string, before: number) {
  const seen = client.seqs(conversationId).length
  yield* fill(sender, conversationId, 2)
  yield* client.seq(conversationId, before + 2)
  assert.deepStrictEqual(client.seqs(conversationId).slice(seen), [before + 1, before + 2])
})

layer(gatewayService(), { excludeTestServices: true })("a client that resumes", (it) => {
  it.effect("and has missed nothing gets only new events", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const id = yield* http.group(ann)
      yield* fill(ann, id, 10)
      const { client, frames } = yield* comeBack(ann, { [id]: 11 })
      assert.deepStrictEqual(frames, [])
      yield* isLive(client, ann, id, 11)
    })
  )

  it.effect("gets the events that it missed, in order and as they were sent", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const id = yield* http.group(ann)
      const other = yield* http.group(ann)
      yield* fill(ann, id, 30)
      yield* fill(ann, other, 5)
      const { client, frames } = yield* comeBack(ann, { [id]: 12, [other]: 0 })
      assert.deepStrictEqual(client.seqs(id), range(13, 31))
      assert.deepStrictEqual(client.seqs(other), range(1, 6))
      assert.strictEqual(frames.length, 25)
      const page = yield* client.ok("events.pull", { conversationId: id, after: 12 })
      assert.deepStrictEqual(
        frames.filter((frame) => frame.conversationId === id).map(({ json }) => json),
        page.items
      )
      yield* isLive(client, ann, id, 31)
      yield* isLive(client, ann, other, 6)
    })
  )

  it.effect("gets 200 missed events, and a reset for 201", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const id = yield* http.group(ann)
      yield* fill(ann, id, 250)
      const all = yield* comeBack(ann, { [id]: 51 })
      assert.deepStrictEqual(all.client.seqs(id), range(52, 251))
      const { client, frames } = yield* comeBack(ann, { [id]: 50 })
      assert.deepStrictEqual(
        frames.map(({ json }) => json),
        [{ event: "conversation.reset", conversationId: id, data: { seq: 251 } }]
      )
      yield* isLive(client, ann, id, 251)
    })
  )

  it.effect("with a cursor beyond the head gets a reset", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const id = yield* http.group(ann)
      const { client, frames } = yield* comeBack(ann, { [id]: 1000 })
      assert.deepStrictEqual(
        frames.map(({ json }) => json),
        [{ event: "conversation.reset", conversationId: id, data: { seq: 1 } }]
      )
      yield* isLive(client, ann, id, 1)
    })
  )

  it.effect("learns which conversations its user has left, and which are new", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const bob = yield* http.register("bob")
      const kept = yield* http.dm(ann, bob)
      const theirs = yield* http.group(bob)
      const unknown = "018f0000-0000-7000-8000-000000000000"
      const news = [yield* http.group(ann), yield* http.group(bob, ann)]
      yield* fill(bob, news[1] ?? "", 3)
      const { client, frames } = yield* comeBack(ann, { [kept]: 1, [theirs]: 1, [unknown]: 7 })
      const of = (event: string) => frames.filter((frame) => frame.event === event)
      assert.deepStrictEqual(
        of("conversation.removed")
          .map(({ json }) => JSON.stringify(json))
          .sort(),
        [theirs, unknown]
          .map((id) => JSON.stringify({ event: "conversation.removed", conversationId: id, data: {} }))
          .sort()
      )
      const added = of("conversation.added")
      assert.deepStrictEqual(added.map((frame) => frame.conversationId).sort(), [...news].sort())
      for (const frame of added) {
        const conversation = yield* http.must("GET", `/v1/conversations/${frame.conversationId}`, { token: ann.token })
        assert.deepStrictEqual(frame.json, {
          event: "conversation.added",
          conversationId: frame.conversationId,
          data: { conversation }
        })
      }
      assert.strictEqual(frames.length, 4)
      yield* isLive(client, bob, news[1] ?? "", 4)
      yield* isLive(client, ann, kept, 1)
    })
  )

  it.effect("after a removal gets the same event as an open socket, and nothing more", () =>
    Effect.gen(function* () {
      const { ann, http, url } = yield* start
      const sql = yield* SqlClient.SqlClient
      const pubsub = yield* PubSub
      const bob = yield* http.register("bob")
      const id = ConversationId.make(yield* http.group(ann, bob))
      const there = yield* connect(url)
      yield* there.ready(bob.token)
      yield* sql`UPDATE conversation_members SET left_seq = 2 WHERE conversation_id = ${id} AND user_id = ${bob.id}`
      yield* pubsub.publish(userSubject(UserId.make(bob.id)), [membershipChanged(id)])
      assert.deepStrictEqual((yield* there.event("conversation.removed")).json, {
        event: "conversation.removed",
        conversationId: id,
        data: {}
      })
      yield* fill(ann, id, 3)
      const back = yield* comeBack(bob, { [id]: 1 })
      assert.deepStrictEqual(
        back.frames.map(({ event }) => event),
        ["conversation.removed"]
      )
      yield* fill(ann, id, 1)
      yield* there.command("ping")
      yield* back.client.command("ping")
      assert.deepStrictEqual([...there.seqs(id), ...back.client.seqs(id)], [])
      assert.strictEqual((yield* there.error("events.pull", { conversationId: id, after: 0 })).status, 404)
    })
  )

  it.effect("with thousands of cursors of other conversations learns that it has none of them", () =>
    Effect.gen(function* () {
      const { ann } = yield* start
      const ids = range(1, 5000).map((n) => `018f0000-0000-7000-8000-${String(n).padStart(12, "0")}`)
      const { client, frames } = yield* comeBack(ann, Object.fromEntries(ids.map((id) => [id, 1])))
      assert.deepStrictEqual(frames.map((frame) => frame.conversationId).sort(), ids)
      assert.deepStrictEqual(yield* client.ok("ping"), {})
    })
  )

  it.effect("without any cursor gets all of its conversations as new", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const ids = yield* Effect.replicateEffect(http.group(ann), 60)
      const { client, frames } = yield* comeBack(ann, {})
      assert.deepStrictEqual(frames.map((frame) => [frame.event, frame.conversationId]).sort(), [
        ...ids.map((id) => ["conversation.added", id]).sort()
      ])
      yield* isLive(client, ann, ids[0] ?? "", 1)
    })
  )

  it.effect("gets at most 2,000 events in total, and resets for the rest", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const ids = yield* Effect.replicateEffect(http.group(ann), 13)
      for (const id of ids) yield* fill(ann, id, 180)
      const { client, frames } = yield* comeBack(ann, Object.fromEntries(ids.map((id) => [id, 1])))
      const reset = frames.filter(({ event }) => event === "conversation.reset").map((frame) => frame.conversationId)
      const replayed = ids.filter((id) => !reset.includes(id))
      assert.strictEqual(replayed.length, 11)
      assert.strictEqual(frames.length, 11 * 180 + 2)
      for (const id of replayed) assert.deepStrictEqual(client.seqs(id), range(2, 181))
      // The conversations with the latest activity come first.
      assert.deepStrictEqual([...reset].sort(), ids.slice(0, 2).sort())
      for (const id of ids) yield* isLive(client, ann, id, 181)
    })
  )

  it.effect("gets the changes of its user's own state", () =>
    Effect.gen(function* () {
      const { ann, http } = yield* start
      const bob = yield* http.register("bob")
      const [one = "", two = ""] = [yield* http.dm(ann, bob), yield* http.group(bob, ann)]
      yield* fill(bob, one, 5)
      yield* fill(bob, two, 5)
      const first = yield* comeBack(ann, { [one]: 6, [two]: 6 })
      const userSeq = Number(first.answer?.ok?.userSeq)
      assert.deepStrictEqual(first.frames, [])
      yield* http.must("PUT", `/v1/conversations/${one}/read`, { token: ann.token, json: { seq: 4 } })
      const { answer, client, frames } = yield* comeBack(ann, { [one]: 6, [two]: 6 }, userSeq)
      assert.strictEqual(frames.length, 1)
      assert.strictEqual(frames[0]?.event, "conversation.settings")
      assert.strictEqual(frames[0]?.conversationId, one)
      const { me } = yield* client.ok("conversation.get", { conversationId: one })
      assert.deepStrictEqual(frames[0]?.json, { event: "conversation.settings", conversationId: one, data: { me } })
      assert.deepStrictEqual(frames[0]?.data?.me, { readSeq: 4, unreadCount: 2 })
      const nothing = yield* comeBack(ann, { [one]: 6, [two]: 6 }, Number(answer?.ok?.userSeq))
      assert.deepStrictEqual(nothing.frames, [])
      yield* isLive(client, bob, one, 6)
    })
  )

  it.effect("gets the drafts of its user's other devices, also live", () =>
    Effect.gen(function* () {
      const { ann, http, url } = yield* start
      const [one = "", two = ""] = [yield* http.group(ann), yield* http.group(ann)]
      const [phone, laptop] = [yield* connect(url), yield* connect(url)]
      const [answer] = yield* phone.ready(ann.token)
      yield* laptop.ready(ann.token)
      yield* phone.ok("draft.set", { conversationId: one, body: "half a" })
      for (const client of [phone, laptop]) {
        const { json } = yield* client.event("draft.updated", one)
        assert.nestedPropertyVal(json, "data.draft.body", "half a")
      }
      yield* phone.ok("draft.set", { conversationId: two, body: "gone" })
      yield* phone.ok("draft.clear", { conversationId: two })
      assert.propertyVal((yield* phone.ok("draft.list")).items, "length", 1)
      const { frames } = yield* comeBack(ann, { [one]: 1, [two]: 1 }, Number(answer?.ok?.userSeq))
      assert.deepStrictEqual(
        frames.map(({ conversationId, event }) => [event, conversationId]),
        [
          ["draft.updated", one],
          ["draft.updated", two]
        ]
      )
      assert.nestedPropertyVal(frames[1]?.json, "data.draft", null)
    })
  )

  it.effect("gets the saved messages of its user's other devices, also live", () =>
    Effect.gen(function* () {
      const { ann, http, url } = yield* start
      const id = yield* http.group(ann)
      const [phone, laptop] = [yield* connect(url), yield* connect(url)]
      const [answer] = yield* phone.ready(ann.token)
      yield* laptop.ready(ann.token)
      const { messageId } = yield* phone.ok("message.send", {
        conversationId: id,
        clientMessageId: "saved",
        body: "worth keeping"
      })
      yield* phone.ok("message.star", { conversationId: id, messageId })
      const updated = { event: "star.updated", conversationId: id, data: { messageId, messageSeq: 2, starred: true } }
      for (const client of [phone, laptop]) {
        assert.deepStrictEqual((yield* client.event("star.updated", id)).json, updated)
      }
      assert.propertyVal((yield* phone.ok("star.list")).items, "length", 1)
      const { frames } = yield* comeBack(ann, { [id]: 2 }, Number(answer?.ok?.userSeq))
      assert.deepStrictEqual(
        frames.map(({ json }) => json),
        [updated]
      )
    })
  )

  it.effect("is served by a node that has not received the last events yet", () =>
    Effect.gen(function* () {
      const { ann, http, url } = yield* start
      const wire = yield* Wire
      const id = yield* http.group(ann)
      const watching = yield* connect(url)
      yield* watching.ready(ann.token)
      // The bus holds back events that other nodes have already received.
      const late: Array<() => void> = []
      wire.carry = (_subject, events, hand) => late.push(() => hand(events))
      yield* fill(ann, id, 3)
      const { client, frames } = yield* comeBack(ann, { [id]: 4 })
      assert.deepStrictEqual(frames, [])
      const behind = yield* comeBack(ann, { [id]: 2 })
      assert.deepStrictEqual(behind.client.seqs(id), [3, 4])
      wire.carry = Wire.healthy
      for (const hand of late) hand()
      yield* fill(ann, id, 2)
      for (const each of [watching, client, behind.client]) yield* each.seq(id, 6)
      assert.deepStrictEqual(watching.seqs(id), range(2, 6))
      assert.deepStrictEqual(client.seqs(id), range(5, 6))
      assert.deepStrictEqual(behind.client.seqs(id), range(3, 6))
    })
  )

  it.effect("misses and repeats nothing that is sent between any two steps of hello", () =>
    Effect.gen(function* () {
      const { ann, http, url } = yield* start
      const gate = yield* Gate
      const messages = yield* Messages
      const id = yield* http.group(ann)
      let head = 1
      for (const cursors of [undefined, "now", "before"] as const) {
        for (const read of ["memberships", "heads"] as const) {
          yield* fill(ann, id, 3)
          head += 3
          const from = cursors === "now" ? head : head - 2
          const client = yield* connect(url)
          gate[read] = Effect.orDie(Effect.provideService(fill(ann, id, 5), Messages, messages))
          // A conversation that nobody followed so far; the read is what the hello waits for.
          yield* client.ready(ann.token, cursors === undefined ? {} : { cursors: { [id]: from } })
          gate[read] = Effect.void
          head += 5
          yield* isLive(client, ann, id, head)
          head += 2
          const listed = client.frames.flatMap((frame) => frame.data?.conversations ?? [])[0]?.seq
          assert.deepStrictEqual(client.seqs(id), range((listed ?? from) + 1, head), `${cursors} ${read}`)
          client.terminate()
          yield* until(Effect.map(Hub, (hub) => hub.size() === 0))
        }
      }
    })
  )
})

const until = <R>(condition: Effect.Effect<boolean, never, R>) =>
  condition.pipe(
    Effect.tap(Effect.sleep(5)),
    Effect.repeat({ until: (reached) => reached }),
    Effect.timeout(patience),
    Effect.orDie
  )

/** A client that reconnects again and again, and keeps its cursors as a client should. */
class Traveller {
  readonly cursors = new Map<string, number>()
  readonly wrong: Array<string> = []
  resets = 0
  connections = 0
  events = 0

  /** Adds the events that arrived over one connection. */
  take(client: Client): void {
    for (const { conversationId = "", data, event, seq } of client.frames) {
      if (event === "conversation.reset") {
        this.resets++
        this.cursors.set(conversationId, data?.seq ?? 0)
      } else if (event === "conversation.added" || event === "ready") {
        for (const each of [...(data?.conversations ?? []), ...(data?.conversation ? [data.conversation] : [])])
          this.cursors.set(each.id, each.seq)
      } else if (seq !== undefined) {
        const last = this.cursors.get(conversationId)
        if (last !== undefined && seq !== last + 1) this.wrong.push(`${conversationId}: ${seq} after ${last}`)
        if (last === undefined) this.wrong.push(`${conversationId}: ${seq} of what is unknown`)
        if (event === "message.created" && data?.message?.seq !== seq)
          this.wrong.push(`${seq} is ${data?.message?.seq}`)
        this.cursors.set(conversationId, seq)
        this.events++
      }
    }
    if (client.isClosed) this.connections++
  }
}

layer(gatewayService({ limits: { messageLength: 8000 } }), { excludeTestServices: true })("a race", (it) => {
  it.effect.each([1, 2])("of senders and of clients that reconnect loses and repeats nothing (seed %i)", (seed) =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const conversations = yield* Conversations
      const people = yield* Effect.replicateEffect(http.register("p"), 6)
      const [owner] = people
      if (owner === undefined) return yield* Effect.die("nobody")
      const ids = yield* Effect.replicateEffect(http.group(owner, ...people.slice(1)), 4)
      const perConversation = 300
      let sending = ids.length
      const senders = Effect.forEach(
        ids,
        (id) =>
          Effect.gen(function* () {
            const random = randomOf(seed * 100 + ids.indexOf(id))
            for (let left = perConversation; left > 0; ) {
              const batch = Math.min(left, 1 + Math.floor(random() ** 3 * 30))
              const sender = people[Math.floor(random() * people.length)] ?? owner
              yield* fill(sender, id, batch)
              left -= batch
            }
            sending--
          }),
        { concurrency: "unbounded" }
      )
      const coming = Effect.forEach(
        people.flatMap((person, n) => [
          { person, random: randomOf(seed * 1000 + n) },
          { person, random: randomOf(seed * 2000 + n) }
        ]),
        ({ person, random }) =>
          Effect.gen(function* () {
            const traveller = new Traveller()
            for (let last = false; !last; ) {
              last = sending === 0
              const client = yield* connect(url)
              const known = traveller.connections > 0 ? { cursors: Object.fromEntries(traveller.cursors) } : {}
              if (last) {
                yield* client.ready(person.token, known)
              } else {
                // The connection is cut anywhere: in the greeting, in a replay, or among live events.
                const enough = 1 + Math.floor(random() ** 2 * 120)
                client.request("hello", { token: person.token, ...known })
                yield* client.next(() => client.frames.length >= enough || sending === 0)
                if (random() < 0.5) client.terminate()
                else client.close()
                yield* client.closed
              }
              traveller.take(client)
            }
            return traveller
          }),
        { concurrency: "unbounded" }
      )
      const [travellers] = yield* Effect.all([coming, senders], { concurrency: 2 })
      for (const { cursors, wrong } of travellers) {
        assert.deepStrictEqual(wrong, [])
        for (const id of ids) assert.strictEqual(cursors.get(id), perConversation + 1)
      }
      const sum = (of: (traveller: Traveller) => number) => travellers.reduce((total, each) => total + of(each), 0)
      // Checks that there was a race: the clients reconnected often, and mostly got the events that they had missed.
      assert.isAbove(
        sum(({ connections }) => connections),
        travellers.length * 3
      )
      assert.isAbove(
        sum(({ events }) => events),
        1000
      )
      assert.strictEqual((yield* conversations.memberships(UserId.make(owner.id))).memberships.length, ids.length)
    })
  )
})
