import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

const start = Effect.gen(function* () {
  const { url } = yield* Service
  const http = api(url)
  const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
  const id = yield* http.dm(ann, bob)
  return { url, http, ann, bob, id }
})

layer(gatewayService(), { excludeTestServices: true })("changes of messages over a socket", (it) => {
  it.effect("both sockets get each event in order, and a client that reconnects gets what it missed", () =>
    Effect.gen(function* () {
      const { ann, bob, id, url } = yield* start
      const [anns, bobs] = [yield* connect(url), yield* connect(url)]
      yield* anns.ready(ann.token)
      yield* bobs.ready(bob.token)
      const { messageId } = yield* anns.ok("message.send", { conversationId: id, clientMessageId: "1", body: "first" })
      const one = { conversationId: id, messageId }
      yield* bobs.seq(id, 2)
      bobs.terminate()

      const edited = yield* anns.ok("message.edit", { ...one, body: "second" })
      assert.deepInclude(edited, { body: "second", revision: 2 })
      assert.deepStrictEqual(yield* anns.ok("reaction.add", { ...one, emoji: "👍" }), {})
      assert.deepStrictEqual(yield* anns.ok("message.pin", one), {})
      const { items } = yield* anns.ok("pin.list", { conversationId: id })
      assert.lengthOf(items as ReadonlyArray<unknown>, 1)
      assert.lengthOf((yield* anns.ok("message.revisions", one)).items as ReadonlyArray<unknown>, 2)
      yield* anns.ok("message.unpin", one)
      yield* anns.ok("reaction.remove", { ...one, emoji: "👍" })
      yield* anns.ok("message.delete", one)
      assert.strictEqual((yield* anns.error("message.edit", { ...one, body: "x" })).status, 409)
      assert.strictEqual((yield* anns.error("reaction.add", { ...one, emoji: "no" })).status, 400)
      yield* anns.seq(id, 8)

      const about = { messageId, messageSeq: 2 }
      const reaction = { ...about, emoji: "👍", userId: ann.id }
      const back = yield* connect(url)
      const frames = yield* back.ready(bob.token, { cursors: { [id]: 2 } })
      const replayed = frames.flatMap((frame) => (frame.seq === undefined ? [] : [frame.json]))
      const live = anns.frames.flatMap(({ json, seq }) => (seq !== undefined && seq > 2 ? [json] : []))
      const plain = (frames: ReadonlyArray<unknown>) =>
        frames.map((frame) => {
          const { data, event, seq } = frame as { event: string; seq: number; data: { message?: unknown } }
          return [seq, event, data.message === undefined ? data : "a message"]
        })
      const expected = [
        [3, "message.edited", "a message"],
        [4, "reaction.added", { ...reaction, count: 1 }],
        [5, "message.pinned", about],
        [6, "message.unpinned", about],
        [7, "reaction.removed", { ...reaction, count: 0 }],
        [8, "message.deleted", about]
      ]
      assert.deepStrictEqual<unknown>(plain(live), expected)
      assert.deepStrictEqual<unknown>(plain(replayed), expected)
      // A replayed edit has the message as it is now.
      assert.notInclude(JSON.stringify(replayed), "second")
      assert.include(JSON.stringify(replayed[0]), '"changedSeq":8')

      yield* anns.ok("message.send", { conversationId: id, clientMessageId: "2", body: "live again" })
      yield* back.seq(id, 9)
    })
  )

  it.effect("a message is hidden for one user alone, whose other devices learn it when they reconnect", () =>
    Effect.gen(function* () {
      const { ann, bob, http, id, url } = yield* start
      yield* http.post(ann, id, "1")
      const bobs = yield* connect(url)
      const [answer] = yield* bobs.ready(bob.token)
      const userSeq = answer?.ok?.userSeq
      const [message] = yield* http.history(bob, id)
      yield* bobs.ok("message.hide", { conversationId: id, messageId: message?.id })
      assert.lengthOf(yield* http.history(bob, id), 0)
      assert.lengthOf(yield* http.history(ann, id), 1)
      const other = yield* connect(url)
      const frames = yield* other.ready(bob.token, { cursors: { [id]: 2 }, userSeq })
      const settings = frames.find(({ event }) => event === "conversation.settings")
      assert.strictEqual(settings?.data?.me?.unreadCount, 0)
    })
  )

  it.effect("a message is forwarded to another conversation of the user", () =>
    Effect.gen(function* () {
      const { ann, bob, http, id, url } = yield* start
      const group = yield* http.group(bob, ann)
      yield* http.post(ann, id, "1", "pass it on")
      const bobs = yield* connect(url)
      yield* bobs.ready(bob.token)
      const [message] = yield* http.history(bob, id)
      const data = { conversationId: id, messageId: message?.id, toConversationId: group, clientMessageId: "copy" }
      assert.deepInclude(yield* bobs.ok("message.forward", data), { duplicate: false })
      const { data: event } = yield* bobs.event("message.created", group)
      assert.strictEqual(event?.message?.body, "pass it on")
      assert.deepInclude(yield* bobs.ok("message.forward", data), { duplicate: true })
    })
  )

  it.effect(
    "a member who joined later gets only the place of events about earlier messages, live and in a replay",
    () =>
      Effect.gen(function* () {
        const { ann, bob, http, url } = yield* start
        const late = yield* http.register("late")
        const id = yield* http.group(ann, bob)
        yield* http.post(ann, id, "early", "before your time")
        const [early] = yield* http.history(ann, id)
        const [bobs, anns] = [yield* connect(url), yield* connect(url)]
        yield* bobs.ready(bob.token)
        yield* anns.ready(ann.token)
        yield* anns.ok("member.add", { conversationId: id, userIds: [late.id] })
        const lates = yield* connect(url)
        yield* lates.ready(late.token)
        const one = { conversationId: id, messageId: early?.id }
        yield* anns.ok("message.send", { conversationId: id, clientMessageId: "re", body: "now", replyTo: early?.id })
        yield* anns.ok("message.edit", { ...one, body: "still before your time" })
        yield* anns.ok("reaction.add", { ...one, emoji: "👍" })
        yield* Effect.all([bobs.seq(id, 6), lates.seq(id, 6)])

        const back = yield* connect(url)
        yield* back.ready(late.token, { cursors: { [id]: 3 } })
        const place = { messageId: early?.id, messageSeq: 2 }
        for (const client of [lates, back]) {
          const frames = client.frames.filter(({ seq }) => seq !== undefined && seq > 3)
          const [reply, ...about] = frames.map(({ json }) => json as { event: string; data: unknown })
          assert.deepStrictEqual(
            about.map(({ data, event }) => [event, data]),
            [
              ["message.edited", place],
              ["reaction.added", place]
            ]
          )
          assert.include(JSON.stringify(reply), `"replyTo":{"messageId":"${early?.id}","seq":2,"senderId":null`)
          assert.notInclude(JSON.stringify(frames), "before your time")
        }
        assert.include(JSON.stringify(bobs.frames), "still before your time")
        const error = yield* lates.error("reaction.add", { ...one, emoji: "👍" })
        assert.strictEqual(error.status, 404)
      })
  )
})
