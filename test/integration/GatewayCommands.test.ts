import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { SqlClient } from "effect/sql"
import { api, type Client, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

/** Users, each with an account and a socket after hello. */
const online = Effect.fnUntraced(function* (count: number) {
  const { url } = yield* Service
  const http = api(url)
  const accounts = yield* Effect.forEach(Array.from({ length: count }), () => http.register())
  const clients = yield* Effect.forEach(accounts, (account) =>
    Effect.tap(connect(url), (client) => client.ready(account.token))
  )
  return { http, url, accounts, clients }
})

/** Two people with a DM, both online. */
const pair = Effect.gen(function* () {
  const { accounts, clients, http, url } = yield* online(2)
  const [ann, bob] = accounts
  const [a, b] = clients
  if (ann === undefined || bob === undefined || a === undefined || b === undefined) return yield* Effect.die("nobody")
  const id = yield* http.dm(ann, bob)
  yield* a.event("conversation.added", id)
  yield* b.event("conversation.added", id)
  return { http, url, ann, bob, a, b, id }
})

let sends = 0
const message = (conversationId: string, body?: string) => {
  sends++
  return { conversationId, clientMessageId: `c${sends}`, body: body ?? `body ${sends}` }
}

/** Whoever of them is answered last, all that was published before has come. */
const settle = (...clients: ReadonlyArray<Client>) =>
  Effect.forEach(clients, (client) => client.command("ping"), { discard: true })

const unknown = "018f0000-0000-7000-8000-000000000000"

/** Keeps other writers out of a conversation until the latch is opened. */
const lockHead = Effect.fnUntraced(function* (conversationId: string) {
  const sql = yield* SqlClient.SqlClient
  const locked = yield* Latch.make()
  const release = yield* Latch.make()
  const holder = yield* Effect.forkChild(
    sql.withTransaction(
      sql`SELECT seq FROM conversation_heads WHERE conversation_id = ${conversationId}::uuid FOR UPDATE`.pipe(
        Effect.andThen(locked.open),
        Effect.andThen(release.await)
      )
    )
  )
  yield* locked.await
  return Effect.andThen(release.open, Fiber.join(holder))
})

layer(gatewayService(), { excludeTestServices: true })("commands", (it) => {
  it.effect("a send is answered once it is stored, and its event reaches all sockets of both members", () =>
    Effect.gen(function* () {
      const { a, ann, b, bob, http, id, url } = yield* pair
      const phone = yield* connect(url)
      yield* phone.ready((yield* http.login(ann.username, ann.password)).token)
      const sent = message(id)
      const ok = yield* a.ok("message.send", sent)
      assert.deepStrictEqual(Object.keys(ok).sort(), ["createdAt", "duplicate", "messageId", "seq"])
      assert.deepStrictEqual([ok.seq, ok.duplicate], [2, false])
      const events = [yield* a.seq(id, 2), yield* b.seq(id, 2), yield* phone.seq(id, 2)]
      const stored = yield* http.must("GET", `/v1/conversations/${id}/messages/${ok.messageId}`, { token: bob.token })
      for (const { json } of events) {
        assert.deepStrictEqual(json, {
          event: "message.created",
          conversationId: id,
          seq: 2,
          at: ok.createdAt,
          actorId: ann.id,
          data: { message: stored }
        })
      }
    })
  )

  it.effect("a send that is repeated over any transport is stored once", () =>
    Effect.gen(function* () {
      const { a, ann, b, http, id } = yield* pair
      const sent = message(id)
      const requests = Array.from({ length: 5 }, () => a.request("message.send", sent))
      const answers = yield* Effect.forEach(requests, (request) => a.answer(request))
      assert.deepStrictEqual(new Set(answers.map(({ ok }) => ok?.messageId)).size, 1)
      assert.strictEqual(answers.filter(({ ok }) => ok?.duplicate === false).length, 1)
      assert.isTrue((yield* http.post(ann, id, sent.clientMessageId, sent.body)).duplicate)
      const conflict = yield* a.error("message.send", { ...sent, body: "something else" })
      assert.deepStrictEqual([conflict.status, conflict.code], [409, "message-id-reused"])
      assert.isFalse((yield* b.ok("message.send", sent)).duplicate)
      yield* b.seq(id, 3)
      yield* settle(a, b)
      assert.deepStrictEqual(
        [a.seqs(id), b.seqs(id)],
        [
          [2, 3],
          [2, 3]
        ]
      )
    })
  )

  it.effect("commands of one conversation take effect in the order in which they were sent", () =>
    Effect.gen(function* () {
      const { a, ann, b, http, id } = yield* pair
      let head = 1
      let read = 0
      const marks: Array<number> = []
      const expected: Array<number> = []
      const requests: Array<number> = []
      // No two commands may change places: sending moves the read marker up to the message, and `force` moves it back.
      for (let round = 0; round < 100; round++) {
        for (let n = 0; n < (round * 7) % 4; n++) {
          requests.push(a.request("message.send", message(id)))
          expected.push(++head)
          read = head
        }
        const seq = Math.max(1, head - (round % 5))
        requests.push(a.request("read.mark", { conversationId: id, seq, force: true }))
        if (seq !== read) marks.push(seq)
        read = seq
      }
      const answers = yield* Effect.forEach(requests, (request) => a.answer(request))
      assert.deepStrictEqual(
        answers.flatMap(({ ok }) => (ok?.seq === undefined ? [] : [ok.seq])),
        expected
      )
      yield* settle(b)
      yield* b.seq(id, head)
      assert.deepStrictEqual(
        b.frames.filter(({ event }) => event === "read.marked").map(({ data }) => data?.seq),
        marks
      )
      const { me } = yield* Effect.map(a.ok("conversation.get", { conversationId: id }), (ok) => ({ me: ok.me }))
      assert.propertyVal(me, "readSeq", read)
      const bodies = (yield* http.history(ann, id)).map(({ body }) => Number(body.slice(5)))
      assert.deepStrictEqual(
        bodies,
        [...bodies].sort((x, y) => x - y)
      )
    })
  )

  it.effect("commands of different conversations do not wait for each other", () =>
    Effect.gen(function* () {
      const { a, ann, http, id } = yield* pair
      const other = yield* http.dm(ann, ann)
      const release = yield* lockHead(id)
      const stuck = a.request("message.send", message(id))
      const behind = a.request("read.mark", { conversationId: id, seq: 1 })
      assert.strictEqual((yield* a.ok("message.send", message(other))).seq, 2)
      assert.isFalse(a.frames.some((frame) => frame.id === stuck || frame.id === behind))
      yield* release
      assert.isDefined((yield* a.answer(stuck)).ok)
      assert.isDefined((yield* a.answer(behind)).ok)
      const order = a.frames.map((frame) => frame.id)
      assert.isBelow(order.indexOf(stuck), order.indexOf(behind))
    })
  )

  it.effect("typing and read markers reach the other members, and typing does not reach its sender", () =>
    Effect.gen(function* () {
      const { a, ann, b, http, id, url } = yield* pair
      const phone = yield* connect(url)
      yield* phone.ready((yield* http.login(ann.username, ann.password)).token)
      yield* http.post(ann, id, "m1")
      assert.deepStrictEqual(yield* a.ok("typing.start", { conversationId: id }), {})
      assert.deepStrictEqual((yield* b.event("typing.started", id)).json, {
        event: "typing.started",
        conversationId: id,
        data: { userId: ann.id }
      })
      assert.deepStrictEqual(yield* a.ok("typing.stop", { conversationId: id }), {})
      yield* b.event("typing.stopped", id)
      const marked = yield* b.ok("read.mark", { conversationId: id, seq: 1000 })
      assert.deepStrictEqual(marked, {})
      const event = yield* a.event("read.marked", id)
      assert.strictEqual(event.data?.seq, 2)
      yield* phone.event("read.marked", id)
      // A repetition changes nothing, and so sends nothing.
      yield* b.ok("read.mark", { conversationId: id, seq: 2 })
      yield* settle(a, phone)
      for (const client of [a, phone]) {
        assert.deepStrictEqual(
          client.frames.filter(({ event }) => event?.startsWith("typing") === true),
          []
        )
        assert.strictEqual(client.frames.filter(({ event }) => event === "read.marked").length, 1)
      }
    })
  )

  it.effect("threads are replied to and read, and polls are voted in", () =>
    Effect.gen(function* () {
      const { a, ann, b, bob, http, id, url } = yield* pair
      const phone = yield* connect(url)
      yield* phone.ready((yield* http.login(bob.username, bob.password)).token)
      const root = yield* a.ok("message.send", message(id))
      const reply = { ...message(id, `@${bob.username}`), threadRoot: root.messageId }
      const { messageId, seq } = yield* a.ok("message.send", reply)
      for (const client of [a, b, phone]) {
        const { json } = yield* client.seq(id, 3)
        assert.deepNestedInclude(Object(json), {
          "data.threadRoot": { messageId: root.messageId, seq: 2, threadReplyCount: 1 }
        })
      }
      const thread = { conversationId: id, messageId }
      assert.deepInclude(yield* b.ok("thread.list", thread), { replyCount: 1, readSeq: 2, unreadCount: 1 })
      assert.deepStrictEqual(yield* b.ok("thread.mark", { ...thread, seq }), {})
      const { json } = yield* phone.event("conversation.settings", id)
      assert.nestedInclude(Object(json), { "data.me.unreadCount": 1, "data.me.mentionCount": 0 })

      const payload = { question: "When?", options: ["now", "later"], multiple: true }
      const poll = yield* b.ok("message.send", { ...message(id, ""), type: "poll", payload })
      const vote = { conversationId: id, messageId: poll.messageId }
      assert.deepStrictEqual(yield* a.ok("message.vote", { ...vote, options: [1, 0] }), {})
      assert.deepStrictEqual(yield* a.ok("message.unvote", vote), {})
      for (const [at, votes] of [
        [5, [1, 1]],
        [6, [0, 0]]
      ] as const) {
        const voted = yield* b.seq(id, at)
        assert.deepStrictEqual(
          [voted.event, voted.json],
          [
            "poll.voted",
            {
              event: "poll.voted",
              conversationId: id,
              seq: at,
              at: Object(voted.json).at,
              actorId: ann.id,
              data: { messageId: poll.messageId, messageSeq: 4, votes }
            }
          ]
        )
      }
      assert.deepInclude(yield* a.ok("message.get", vote), { votes: [0, 0], myVote: [], changedSeq: 6 })
    })
  )

  it.effect("a new conversation reaches the sockets of its members before its events", () =>
    Effect.gen(function* () {
      const { accounts, clients } = yield* online(3)
      const [ann, bob, cem] = accounts
      const [a, b, c] = clients
      if (!(ann && bob && cem && a && b && c)) return yield* Effect.die("nobody")
      const made = yield* a.ok("conversation.create", { kind: "group", title: "Three", memberIds: [bob.id, cem.id] })
      const id = String(made.id)
      const requests = Array.from({ length: 30 }, () => a.request("message.send", message(id)))
      yield* Effect.forEach(requests, (request) => a.answer(request))
      for (const client of [a, b, c]) {
        const added = yield* client.event("conversation.added", id)
        const from = added.data?.conversation?.seq ?? 0
        assert.isAtLeast(from, 1)
        if (from < 31) yield* client.seq(id, 31)
        assert.deepStrictEqual(
          client.seqs(id),
          Array.from({ length: 31 - from }, (_, n) => from + 1 + n)
        )
        const names = client.frames.filter((frame) => frame.conversationId === id).map(({ event }) => event)
        assert.strictEqual(names[0], "conversation.added")
        assert.strictEqual(names.filter((name) => name === "conversation.added").length, 1)
      }
    })
  )

  it.effect("commands on another user's objects are answered as those on objects that do not exist", () =>
    Effect.gen(function* () {
      const { a, b, id } = yield* pair
      const { clients } = yield* online(1)
      const [stranger] = clients
      if (stranger === undefined) return yield* Effect.die("nobody")
      const sent = yield* a.ok("message.send", message(id))
      const ops: ReadonlyArray<readonly [string, object]> = [
        ["message.send", { clientMessageId: "x", body: "x" }],
        ["message.list", {}],
        ["message.get", { messageId: sent.messageId }],
        ["events.pull", { after: 0 }],
        ["read.mark", { seq: 1 }],
        ["typing.start", {}],
        ["typing.stop", {}],
        ["conversation.get", {}],
        ["member.list", {}]
      ]
      for (const [op, data] of ops) {
        const theirs = yield* stranger.error(op, { ...data, conversationId: id })
        const nobodys = yield* stranger.error(op, { ...data, conversationId: unknown })
        const noId = yield* stranger.error(op, { ...data, conversationId: "../etc/passwd" })
        assert.strictEqual(theirs.status, 404, op)
        assert.deepStrictEqual(theirs, nobodys)
        assert.deepStrictEqual(theirs, noId)
      }
      // A message of another conversation is not found in this one.
      const own = String((yield* stranger.ok("conversation.create", { kind: "group", title: "x", memberIds: [] })).id)
      const elsewhere = { conversationId: own, messageId: sent.messageId }
      assert.strictEqual((yield* stranger.error("message.get", elsewhere)).status, 404)
      assert.strictEqual(
        (yield* stranger.error("message.send", { ...message(own), replyTo: sent.messageId })).status,
        404
      )
      yield* a.ok("typing.start", { conversationId: id })
      yield* b.event("typing.started")
      yield* settle(stranger)
      assert.isFalse(stranger.frames.some((frame) => frame.conversationId === id))
    })
  )

  it.effect("unknown and invalid commands are answered with what is wrong, and the socket stays open", () =>
    Effect.gen(function* () {
      const { a, id } = yield* pair
      for (const op of ["no.such", "", "__proto__", "constructor", "toString", "auth.login", "MESSAGE.SEND"]) {
        const error = yield* a.error(op, { conversationId: id })
        assert.deepStrictEqual([error.status, error.errors?.map(({ path }) => path)], [400, ["op"]], op)
      }
      const good = message(id)
      const wrong: ReadonlyArray<readonly [string, unknown, string]> = [
        ["message.send", { ...good, conversationId: undefined }, "conversationId"],
        ["message.send", { ...good, conversationId: 7 }, "conversationId"],
        ["message.send", { ...good, body: undefined }, "body"],
        ["message.send", { ...good, body: 7 }, "body"],
        ["message.send", { ...good, body: "" }, "body"],
        ["message.send", { ...good, body: " \n\t " }, "body"],
        ["message.send", { ...good, body: "x".repeat(8001) }, "body"],
        ["message.send", { ...good, body: "a\u0000b" }, "body"],
        ["message.send", { ...good, body: "a\ud800b" }, "body"],
        ["message.send", { ...good, body: "\udc00" }, "body"],
        ["message.send", { ...good, clientMessageId: "" }, "clientMessageId"],
        ["message.send", { ...good, clientMessageId: "x".repeat(129) }, "clientMessageId"],
        ["message.send", { ...good, clientMessageId: "a\u0000" }, "clientMessageId"],
        ["message.send", { ...good, type: "system" }, "type"],
        ["message.send", { ...good, type: "nonsense" }, "type"],
        ["message.send", { ...good, attachments: Array(11).fill("a") }, "attachments"],
        ["message.send", { ...good, attachments: {} }, "attachments"],
        ["message.send", { ...good, replyTo: 5 }, "replyTo"],
        ["read.mark", { conversationId: id }, "seq"],
        ["read.mark", { conversationId: id, seq: -1 }, "seq"],
        ["read.mark", { conversationId: id, seq: 1.5 }, "seq"],
        ["read.mark", { conversationId: id, seq: 2 ** 53 }, "seq"],
        ["read.mark", { conversationId: id, seq: 1, force: "yes" }, "force"],
        ["events.pull", { conversationId: id, after: -1 }, "after"],
        ["events.pull", { conversationId: id, after: 0, limit: 201 }, "limit"],
        ["events.pull", { conversationId: id, after: 0, limit: 0 }, "limit"],
        ["message.list", { conversationId: id, before: 1, after: 1 }, "before"],
        ["message.list", { conversationId: id, before: "1" }, "before"],
        ["conversation.list", { cursor: "nonsense" }, "cursor"],
        ["conversation.create", { kind: "group", title: "", memberIds: [] }, "title"],
        ["conversation.create", { kind: "group", title: "a\u0000", memberIds: [] }, "title"]
      ]
      for (const [op, data, path] of wrong) {
        const error = yield* a.error(op, data)
        assert.strictEqual(error.type, "/problems/invalid-request", `${op} ${path}`)
        assert.deepStrictEqual(
          new Set(error.errors?.map((issue) => issue.path)),
          new Set([path]),
          JSON.stringify(data).slice(0, 200)
        )
      }
      for (const data of [7, "text", [], null, true]) {
        assert.strictEqual((yield* a.error("message.send", data)).status, 400)
      }
      const escaped = `{"id":"raw","op":"message.send","data":{"conversationId":"${id}","clientMessageId":"r","body":`
      a.raw(`${escaped}"\\ud83d"}}`)
      assert.strictEqual((yield* a.answer("raw")).error?.status, 400)
      a.raw(`${escaped}"\\u0000"}}`)
      assert.strictEqual((yield* a.answer("raw")).error?.status, 400)
      assert.deepStrictEqual((yield* a.ok("message.send", message(id, "😀 ok"))).seq, 2)
    })
  )

  it.effect("commands with names such as __proto__ reach no prototype", () =>
    Effect.gen(function* () {
      const { a, id } = yield* pair
      a.raw(
        `{"id":1,"op":"message.send","__proto__":{"op":"x"},"data":{"conversationId":"${id}","clientMessageId":"p","body":"p","__proto__":{"seq":9,"type":"system"},"constructor":{"prototype":{"polluted":1}}}}`
      )
      assert.strictEqual((yield* a.answer(1)).ok?.seq, 2)
      a.raw(`{"id":2,"op":"read.mark","data":{"__proto__":{"conversationId":"${id}","seq":1}}}`)
      assert.strictEqual((yield* a.answer(2)).error?.status, 400)
      assert.isFalse("polluted" in {})
    })
  )

  it.effect("ids are returned unchanged", () =>
    Effect.gen(function* () {
      const { a } = yield* pair
      for (const id of [0, -1, 2 ** 53 - 1, 1 - 2 ** 53, "", "x", "\u0000", "ü😀", "__proto__", "\ud800"]) {
        a.send({ id, op: "ping" })
        const answer = yield* a.next((frame) => frame.id === id)
        assert.deepStrictEqual(answer.json, { id, ok: {} })
      }
    })
  )

  it.effect("commands that hit a bug are answered with the id of the log line alone, and disturb nobody else", () =>
    Effect.gen(function* () {
      const { a, b, id } = yield* pair
      const sql = yield* SqlClient.SqlClient
      const { log } = yield* Service
      yield* sql`ALTER TABLE conversation_events RENAME TO lost`
      const error = yield* a.error("events.pull", { conversationId: id, after: 0 })
      yield* sql`ALTER TABLE lost RENAME TO conversation_events`
      assert.deepStrictEqual([error.status, error.type], [500, "/problems/internal"])
      assert.notInclude(JSON.stringify(a.frames.at(-1)?.json), "conversation_events")
      assert.isTrue(
        log.some(({ id, level }) => level === "ERROR" && JSON.stringify(a.frames.at(-1)).includes(String(id)))
      )
      assert.isDefined((yield* a.command("events.pull", { conversationId: id, after: 0 })).ok)
      assert.deepStrictEqual(yield* b.ok("ping"), {})
    })
  )

  it.effect("large answers make nobody a slow consumer", () =>
    Effect.gen(function* () {
      const { a, ann, http } = yield* pair
      const ids = yield* Effect.replicateEffect(http.group(ann), 4)
      const posts = ids.flatMap((id) => Array.from({ length: 80 }, (_, n) => [id, `large${n}`] as const))
      yield* Effect.forEach(posts, ([id, key]) => http.post(ann, id, key, "€".repeat(8000)), { concurrency: 32 })
      a.pause()
      const requests = [...ids, ...ids, ...ids].map((conversationId) =>
        a.request("events.pull", { conversationId, after: 0, limit: 200 })
      )
      // This is long enough to fill the kernel's buffers and the outbox.
      yield* Effect.sleep(1000)
      a.resume()
      for (const request of requests) assert.isDefined((yield* a.answer(request)).ok)
    })
  )
})

layer(gatewayService({ limits: { commandsInFlight: 3 } }), { excludeTestServices: true })(
  "commands in flight",
  (it) => {
    it.effect("are at most as many as allowed, and one more is refused with a time to wait", () =>
      Effect.gen(function* () {
        const { a, id } = yield* pair
        const release = yield* lockHead(id)
        const stuck = Array.from({ length: 3 }, () => a.request("message.send", message(id)))
        const error = yield* a.error("ping")
        assert.deepStrictEqual([error.status, error.type], [429, "/problems/rate-limited"])
        assert.isAbove(error.retryAfterMs ?? 0, 0)
        yield* release
        for (const request of stuck) assert.isDefined((yield* a.answer(request)).ok)
        assert.deepStrictEqual(yield* a.ok("ping"), {})
      })
    )

    it.effect("finish even after their socket has ended", () =>
      Effect.gen(function* () {
        const { a, ann, b, http, id } = yield* pair
        const release = yield* lockHead(id)
        a.request("message.send", message(id))
        a.request("message.send", message(id))
        // The commands have arrived when another socket of the same conversation waits behind them.
        yield* a.ok("ping")
        a.terminate()
        yield* release
        yield* b.seq(id, 3)
        assert.strictEqual((yield* http.history(ann, id)).length, 2)
      })
    )
  }
)
