import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Schedule } from "effect"
import { ClientMessageId, ConversationId, MessageId, UserId } from "../../src/domain/Ids.ts"
import type { Published } from "../../src/services/bus/Subjects.ts"
import { Members } from "../../src/services/conversations/Members.ts"
import { Messages } from "../../src/services/messages/Messages.ts"
import { Typing } from "../../src/services/presence/Typing.ts"
import { type Account, api, type Client, connect } from "../support/Client.ts"
import { Gate, gatewayService, Service, Wire } from "../support/GatewayService.ts"
import { patience } from "../support/TimeLimits.ts"

let sends = 0

const send = (sender: Account, conversationId: string, replyTo?: string) =>
  Messages.use((messages) =>
    messages.send(UserId.make(sender.id), ConversationId.make(conversationId), {
      clientMessageId: ClientMessageId.make(`g${++sends}`),
      body: "x",
      ...(replyTo !== undefined && { replyTo: MessageId.make(replyTo) })
    })
  )

const remove = (actor: Account, conversationId: string, member: Account) =>
  Members.use((members) =>
    members.remove(UserId.make(actor.id), ConversationId.make(conversationId), UserId.make(member.id))
  )

const add = (actor: Account, conversationId: string, member: Account) =>
  Members.use((members) =>
    members.add(UserId.make(actor.id), ConversationId.make(conversationId), [UserId.make(member.id)])
  )

const headOf = ({ id: userId }: Account, id: string) =>
  Messages.use((messages) =>
    Effect.map(
      messages.events(UserId.make(userId), ConversationId.make(id), { after: 0, limit: 1 }),
      ({ head }) => head
    )
  )

const types = (account: Account, conversationId: string) =>
  Typing.use((typing) => typing.start(UserId.make(account.id), ConversationId.make(conversationId)))

/** A group of three members with sockets, and the bus below them. */
const watched = Effect.gen(function* () {
  const { url } = yield* Service
  const wire = yield* Wire
  const http = api(url)
  const [ann, bob, cat] = [yield* http.register("ann"), yield* http.register("bob"), yield* http.register("cat")]
  const id = yield* http.group(ann, bob, cat)
  const online = (account: Account, rest: object = {}) =>
    Effect.tap(connect(url), (client) => client.ready(account.token, rest))
  const clients = { ann: yield* online(ann), bob: yield* online(bob), cat: yield* online(cat) }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      wire.carry = Wire.healthy
    })
  )
  /** Chooses which events of this conversation, and which signals to bob, the bus carries from now on. */
  const carry = (wants: (event: Published) => boolean) => {
    wire.carry = (subject, events, hand) => {
      const mine = subject === `conversation.${id}` || subject === `user.${bob.id}`
      hand(mine ? events.filter(wants) : events)
    }
  }
  /**
   * Holds the events back and loses the signals. The returned function waits until `count` events are held and then
   * delivers them.
   */
  const keep = () => {
    const kept: Array<() => void> = []
    wire.carry = (subject, events, hand) => {
      if (subject === `conversation.${id}`) kept.push(...events.map((event) => () => hand([event])))
      else if (subject !== `user.${bob.id}`) hand(events)
    }
    return (count: number, order = (hands: ReadonlyArray<() => void>) => hands) =>
      Effect.sync(() => kept.length >= count).pipe(
        Effect.repeat({ until: (all) => all, schedule: Schedule.spaced(5) }),
        Effect.andThen(
          Effect.sync(() => {
            wire.carry = Wire.healthy
            for (const hand of order(kept)) hand()
          })
        )
      )
  }
  return { ann, bob, cat, carry, clients, http, id, keep, online, url }
})

/** Whether the event of that seq arrived as an event, or with the conversation when it was added again. */
const hasSeq = (client: Client, id: string, seq: number) =>
  client.next(
    (frame) => frame.conversationId === id && (frame.seq === seq || frame.data?.conversation?.seq === seq),
    `${seq}`
  )

/** Checks that nothing of the conversation arrived after `conversation.removed`, and no seq from `leftSeq` on. */
const heardNothing = Effect.fnUntraced(function* (client: Client, id: string, leftSeq: number) {
  yield* client.ok("ping")
  const mine = client.frames.filter((frame) => frame.conversationId === id)
  assert.strictEqual(mine.at(-1)?.event, "conversation.removed")
  assert.deepStrictEqual(
    client.seqs(id).filter((seq) => seq >= leftSeq),
    []
  )
  assert.strictEqual((yield* client.error("events.pull", { conversationId: id, after: 0 })).status, 404)
})

const never = { repair: 600_000, repairDegraded: 600_000 }

layer(gatewayService({ timers: { ...never, gapWait: 30 } }), { excludeTestServices: true })(
  "a removed member",
  (it) => {
    it.effect("gets `conversation.removed` and nothing after it, while the others get `member.left`", () =>
      Effect.gen(function* () {
        const { ann, bob, clients, id } = yield* watched
        yield* send(ann, id)
        yield* clients.bob.seq(id, 2)
        yield* remove(ann, id, bob)
        yield* clients.bob.event("conversation.removed", id)
        yield* send(ann, id)
        yield* types(ann, id)
        yield* clients.cat.event("typing.started", id)
        for (const client of [clients.ann, clients.cat]) {
          const left = yield* client.seq(id, 3)
          assert.strictEqual(left.event, "member.left")
          yield* client.seq(id, 4)
        }
        yield* heardNothing(clients.bob, id, 3)
      })
    )

    it.effect("gets the same when the signal is lost", () =>
      Effect.gen(function* () {
        const { ann, bob, carry, clients, id } = yield* watched
        carry(({ event }) => event !== "membership.changed")
        yield* remove(ann, id, bob)
        yield* send(ann, id)
        yield* clients.bob.event("conversation.removed", id)
        yield* clients.cat.seq(id, 3)
        yield* heardNothing(clients.bob, id, 2)
      })
    )

    it.effect("gets the same when the event is lost, and when both are", () =>
      Effect.gen(function* () {
        for (const lost of [["member.left"], ["member.left", "membership.changed"]]) {
          const { ann, bob, carry, clients, id } = yield* watched
          carry(({ event }) => !lost.includes(event))
          yield* remove(ann, id, bob)
          yield* send(ann, id)
          yield* clients.bob.event("conversation.removed", id)
          yield* clients.cat.seq(id, 3)
          assert.deepStrictEqual(clients.cat.seqs(id), [2, 3])
          yield* types(ann, id)
          yield* clients.cat.event("typing.started", id)
          yield* heardNothing(clients.bob, id, 2)
        }
      })
    )

    it.effect("gets the same when both are lost, and only typing and markers follow", () =>
      Effect.gen(function* () {
        for (const follows of ["typing.started", "read.marked"]) {
          const { ann, bob, carry, clients, id } = yield* watched
          carry(({ event }) => event !== "member.left" && event !== "membership.changed")
          yield* remove(ann, id, bob)
          if (follows === "typing.started") yield* types(ann, id)
          else yield* clients.ann.ok("read.mark", { conversationId: id, seq: 2 })
          yield* clients.cat.event(follows, id)
          yield* clients.bob.event("conversation.removed", id)
          yield* heardNothing(clients.bob, id, 2)
          assert.isFalse(clients.bob.frames.some(({ event }) => event === follows))
          assert.deepStrictEqual(clients.cat.seqs(id), [2])
        }
      })
    )

    it.effect("gets the same when later events overtake it", () =>
      Effect.gen(function* () {
        const { ann, bob, clients, id, keep } = yield* watched
        const hand = keep()
        yield* remove(ann, id, bob)
        yield* send(ann, id)
        yield* send(ann, id)
        yield* hand(3, (kept) => kept.toReversed())
        yield* clients.cat.seq(id, 4)
        assert.deepStrictEqual(clients.cat.seqs(id), [2, 3, 4])
        yield* clients.bob.event("conversation.removed", id)
        yield* heardNothing(clients.bob, id, 2)
      })
    )

    it.effect("gets the same while the socket catches up", () =>
      Effect.gen(function* () {
        const { ann, bob, carry, clients, id, url } = yield* watched
        const gate = yield* Gate
        clients.bob.terminate()
        yield* send(ann, id)
        for (const cursor of [1, 2, 3]) {
          // The member is removed after the memberships were read and before the hub follows the conversation.
          const [reached, opened] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
          const read = gate.memberships
          gate.memberships = Effect.void
          gate.heads = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(opened))
          for (const client of [clients.ann, clients.cat]) client.terminate()
          const client = yield* connect(url)
          carry(({ event }) => event !== "membership.changed")
          client.request("hello", { token: bob.token, cursors: { [id]: cursor } })
          yield* Deferred.await(reached)
          yield* remove(ann, id, bob)
          const leftSeq = yield* headOf(ann, id)
          gate.heads = Effect.void
          gate.memberships = read
          yield* Deferred.succeed(opened, undefined)
          yield* client.event("ready")
          yield* send(ann, id)
          yield* client.event("conversation.removed", id)
          yield* heardNothing(client, id, leftSeq)
          yield* add(ann, id, bob)
        }
      })
    )

    it.effect("who is added again gets both events, and sees messages from there on", () =>
      Effect.gen(function* () {
        const { ann, bob, clients, id, keep } = yield* watched
        const { messageId } = yield* send(ann, id)
        for (const client of Object.values(clients)) yield* client.seq(id, 2)
        // This holds however late the signal arrives.
        const hand = keep()
        yield* remove(ann, id, bob)
        yield* add(ann, id, bob)
        yield* hand(2)
        yield* clients.bob.event("conversation.removed", id)
        const added = yield* clients.bob.event("conversation.added", id)
        assert.strictEqual(added.data?.conversation?.seq, 4)
        yield* send(ann, id, messageId)
        const reply = yield* clients.bob.seq(id, 5)
        assert.include(JSON.stringify(reply.json), '"hidden":true')
        assert.deepStrictEqual(clients.bob.seqs(id), [2, 5])
        const seen = yield* clients.cat.seq(id, 5)
        assert.notInclude(JSON.stringify(seen.json), '"hidden":true')
      })
    )

    it.effect("who is added again misses nothing with historyForNewMembers all", () =>
      Effect.gen(function* () {
        const { ann, bob, clients, http, id } = yield* watched
        yield* http.must("PATCH", `/v1/conversations/${id}`, {
          token: ann.token,
          json: { historyForNewMembers: "all" }
        })
        yield* clients.bob.seq(id, 2)
        for (const _ of [1, 2, 3]) {
          yield* remove(ann, id, bob)
          yield* add(ann, id, bob)
          yield* clients.bob.event("conversation.removed", id)
          yield* clients.bob.event("conversation.added", id)
        }
        yield* send(ann, id)
        yield* hasSeq(clients.bob, id, 9)
        yield* send(ann, id)
        yield* hasSeq(clients.bob, id, 10)
      })
    )
  }
)

layer(gatewayService({ timers: { repair: 60, repairDegraded: 60 } }), { excludeTestServices: true })(
  "a change of membership that the bus lost",
  (it) => {
    it.effect("is found when heads are compared: removed, joined, and removed and joined", () =>
      Effect.gen(function* () {
        const { ann, bob, carry, clients, http, id } = yield* watched
        carry(() => false)
        yield* remove(ann, id, bob)
        yield* clients.bob.event("conversation.removed", id)
        yield* add(ann, id, bob)
        yield* clients.bob.event("conversation.added", id)
        yield* Effect.all([remove(ann, id, bob), add(ann, id, bob)])
        yield* clients.bob.event("conversation.removed", id)
        yield* clients.bob.event("conversation.added", id)
        yield* send(ann, id)
        yield* hasSeq(clients.bob, id, 6)
        const code = yield* http.must("POST", `/v1/conversations/${id}/invites`, { token: ann.token, json: {} })
        assert.property(code, "code")
      })
    )
  }
)

layer(gatewayService(), { excludeTestServices: true })("a member", (it) => {
  it.effect("may leave, and join by an invite, with commands", () =>
    Effect.gen(function* () {
      const { ann, bob, clients, http, id, online } = yield* watched
      const dan = yield* http.register("dan")
      const onDan = yield* online(dan)
      const { code } = yield* clients.ann.ok("invite.create", { conversationId: id, maxUses: 1 })
      yield* onDan.ok("invite.accept", { code })
      assert.strictEqual((yield* onDan.event("conversation.added", id)).data?.conversation?.seq, 2)
      assert.strictEqual((yield* clients.cat.seq(id, 2)).event, "member.joined")
      yield* clients.bob.ok("member.leave", { conversationId: id })
      yield* clients.bob.event("conversation.removed", id)
      assert.strictEqual((yield* onDan.seq(id, 3)).event, "member.left")
      const promoted = yield* clients.ann.ok("member.update", { conversationId: id, userId: dan.id, role: "admin" })
      assert.strictEqual(promoted.role, "admin")
      const { items } = yield* onDan.ok("member.add", { conversationId: id, userIds: [bob.id] })
      assert.lengthOf(items as ReadonlyArray<unknown>, 1)
      yield* clients.bob.event("conversation.added", id)
      yield* onDan.ok("conversation.update", { conversationId: id, title: "New" })
      assert.strictEqual((yield* clients.bob.seq(id, 6)).event, "conversation.updated")
      assert.strictEqual(
        (yield* clients.bob.error("conversation.update", { conversationId: id, title: "x" })).status,
        403
      )
      yield* onDan.ok("member.remove", { conversationId: id, userId: bob.id })
      yield* send(ann, id)
      yield* onDan.seq(id, 8)
    })
  )

  it.effect("changes the settings on all devices of the user, live and after a reconnect", () =>
    Effect.gen(function* () {
      const { bob, clients, id, online } = yield* watched
      const second = yield* online(bob)
      const first = yield* connect((yield* Service).url)
      const answer = yield* first.hello(bob.token, { cursors: { [id]: 1 } })
      const me = yield* clients.bob.ok("conversation.settings", { conversationId: id, pinned: true })
      assert.strictEqual(me.pinned, true)
      const received = yield* second.event("conversation.settings", id)
      assert.include(JSON.stringify(received.json), '"pinned":true')
      const late = yield* online(bob, { cursors: { [id]: 1 }, userSeq: answer.ok?.userSeq })
      assert.include(JSON.stringify((yield* late.event("conversation.settings", id)).json), '"pinned":true')
      yield* clients.cat.ok("ping")
      assert.isFalse(clients.cat.frames.some(({ event }) => event === "conversation.settings"))
    })
  )

  it.effect("who deletes the account leaves the group, and loses all sockets for good", () =>
    Effect.gen(function* () {
      const { ann, bob, clients, http, id, online } = yield* watched
      const second = yield* online(bob)
      const remove = (password: string) => http.ask("DELETE", "/v1/users/me", { token: bob.token, json: { password } })
      assert.strictEqual((yield* remove("wrong horse")).status, 403)
      assert.strictEqual((yield* http.ask("DELETE", "/v1/users/me", { token: bob.token })).status, 400)
      assert.strictEqual((yield* remove(bob.password)).status, 204)
      for (const client of [clients.bob, second]) assert.strictEqual((yield* client.closed).code, 4504)
      assert.strictEqual((yield* clients.cat.seq(id, 2)).event, "member.left")
      assert.strictEqual((yield* http.ask("GET", "/v1/users/me", { token: bob.token })).status, 401)
      const { body } = yield* http.ask("GET", `/v1/users/${bob.id}`, { token: ann.token })
      assert.include(JSON.stringify(body), '"displayName":"Deleted user"')
      yield* clients.cat.error("user.delete", { password: "wrong horse" })
      clients.cat.request("user.delete", { password: "correct horse" })
      assert.strictEqual((yield* clients.cat.closed).code, 4504)
    })
  )

  it.effect("who is removed no longer sees who is online", () =>
    Effect.gen(function* () {
      const { ann, bob, clients, id } = yield* watched
      const { items } = yield* clients.bob.ok("presence.subscribe", { userIds: [ann.id] })
      assert.include(JSON.stringify(items), '"online"')
      yield* remove(ann, id, bob)
      const received = yield* clients.bob.event("presence.changed")
      assert.include(JSON.stringify(received.json), '"status":"offline","lastSeenAt":null')
      yield* clients.ann.ok("presence.set", { status: "dnd" })
      const { items: later } = yield* clients.bob.ok("presence.subscribe", { userIds: [ann.id] })
      assert.include(JSON.stringify(later), '"offline"')
    })
  )

  it.effect("gets the same events on a stream as on a socket", () =>
    Effect.gen(function* () {
      const { ann, bob, id, url } = yield* watched
      const abort = new AbortController()
      yield* Effect.addFinalizer(() => Effect.sync(() => abort.abort()))
      const response = yield* Effect.promise(() =>
        fetch(`${url}/v1/events`, { signal: abort.signal, headers: { authorization: `Bearer ${bob.token}` } })
      )
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      let text = ""
      const until = (part: string) =>
        Effect.promise(async () => {
          while (!text.includes(part)) text += (await reader?.read())?.value ?? ""
        }).pipe(Effect.timeout(patience))
      yield* until("event: ready")
      yield* send(ann, id)
      yield* until('"seq":2')
      yield* remove(ann, id, bob)
      yield* until("event: conversation.removed")
      yield* send(ann, id)
      yield* add(ann, id, bob)
      yield* until("event: conversation.added")
      yield* send(ann, id)
      yield* until('"seq":6,')
      assert.notInclude(text, "member.left")
      assert.deepStrictEqual(
        [...text.matchAll(/^data: \{"event":"[^"]+","conversationId":"[^"]+","seq":(\d+)/gm)].map(([, seq]) =>
          Number(seq)
        ),
        [2, 6]
      )
    })
  )
})

layer(gatewayService({ limits: { groupMembers: 4 } }), { excludeTestServices: true })("a full group", (it) => {
  it.effect("takes no more members, however many come at once", () =>
    Effect.gen(function* () {
      const { ann, clients, http, id, url } = yield* watched
      const others = yield* Effect.replicateEffect(http.register(), 4)
      const { code } = yield* clients.ann.ok("invite.create", { conversationId: id })
      const answers = yield* Effect.forEach(
        others,
        ({ token }) => http.ask("POST", `/v1/invites/${String(code)}/accept`, { token }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers.map(({ status }) => status).toSorted(), [201, 409, 409, 409])
      const refused = yield* clients.ann.error("member.add", {
        conversationId: id,
        userIds: others.map((other) => other.id)
      })
      assert.strictEqual(refused.code, "group-full")
      const made = yield* api(url).ask("POST", "/v1/conversations", {
        token: ann.token,
        json: { kind: "group", title: "x", memberIds: others.map((other) => other.id) }
      })
      assert.strictEqual(made.status, 400)
    })
  )
})

layer(gatewayService({ timers: { ...never, presenceBatch: 20 } }), { excludeTestServices: true })("a DM", (it) => {
  const ofDm = (client: Client, id: string) =>
    client.frames
      .filter(
        (frame) => frame.conversationId === id && (frame.event === "conversation.added" || frame.seq !== undefined)
      )
      .map((frame) => [frame.event, frame.seq ?? frame.data?.conversation?.seq])

  it.effect("reaches the other user with its first message, followed by the events of its log", () =>
    Effect.gen(function* () {
      const { ann, bob, clients, http, online, url } = yield* watched
      const id = yield* http.openDm(ann, bob)
      yield* clients.ann.next((frame) => frame.conversationId === id, "for the user who opened it")
      const knows = yield* online(bob, { cursors: { [id]: 1 } })
      yield* types(ann, id)
      yield* clients.ann.ok("conversation.update", { conversationId: id, messageLifetimeSeconds: 3600 })
      yield* clients.ann.seq(id, 2)
      const late = yield* connect(url)
      const ready = yield* late.ready(bob.token)
      assert.notInclude(JSON.stringify(ready), id)
      const sync = yield* http.must("POST", "/v1/sync", { token: bob.token, json: { cursors: { [id]: 1 } } })
      assert.notInclude(JSON.stringify(sync), id, "neither added nor removed")
      assert.strictEqual((yield* http.ask("GET", `/v1/conversations/${id}`, { token: bob.token })).status, 200)
      assert.deepStrictEqual(
        [clients.bob, knows, late].flatMap((client) => ofDm(client, id)),
        []
      )
      const first = yield* http.post(ann, id, "first", "hello")
      yield* http.post(ann, id, "second", "hello again")
      for (const client of [clients.bob, knows, late]) {
        yield* client.seq(id, first.message.seq + 1)
        assert.deepStrictEqual(ofDm(client, id), [
          ["conversation.added", 1],
          ["conversation.updated", 2],
          ["message.created", 3],
          ["message.created", 4]
        ])
      }
      assert.deepStrictEqual(
        ofDm(clients.ann, id).map(([event]) => event),
        ["conversation.added", "conversation.updated", "message.created", "message.created"]
      )
      const offline = yield* online(bob)
      assert.include(JSON.stringify(offline.frames), id)
    })
  )

  it.effect("reaches a user who opens it too, and a sender who has not opened it", () =>
    Effect.gen(function* () {
      const { ann, bob, cat, clients, http } = yield* watched
      const opened = yield* http.openDm(ann, bob)
      assert.strictEqual(yield* http.openDm(bob, ann), opened)
      yield* clients.bob.next((frame) => frame.conversationId === opened, "for the second one too")
      const sent = yield* http.openDm(ann, cat)
      yield* http.post(cat, sent, "first", "found by its id")
      yield* clients.cat.seq(sent, 2)
      assert.deepStrictEqual(ofDm(clients.cat, sent), [
        ["conversation.added", 1],
        ["message.created", 2]
      ])
    })
  )

  it.effect("gives no presence while it is empty, and a block ends presence at once", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
      const [a, b] = [yield* connect(url), yield* connect(url)]
      yield* a.ready(ann.token)
      yield* b.ready(bob.token)
      const id = yield* http.openDm(ann, bob)
      const seen = (client: Client, { id }: Account) =>
        Effect.map(client.ok("presence.subscribe", { userIds: [id] }), (answer) => JSON.stringify(answer))
      assert.include(yield* seen(a, bob), "offline")
      assert.include(yield* seen(b, ann), "offline")
      yield* http.post(ann, id, "first", "hello")
      assert.include(yield* seen(a, bob), "online")
      assert.include(yield* seen(b, ann), "online")
      yield* http.must("PUT", `/v1/users/me/blocks/${bob.id}`, { token: ann.token })
      for (const client of [a, b]) yield* client.event("presence.changed")
      assert.include(yield* seen(a, bob), "offline")
      assert.include(yield* seen(b, ann), "offline")
    })
  )
})
