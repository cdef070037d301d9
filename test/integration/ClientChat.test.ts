import { isDeepStrictEqual } from "node:util"
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { Chat } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"

const clientOf = (name: string) =>
  Effect.gen(function* () {
    const { signIn, url } = yield* TestService
    const tokens = yield* signIn(name)
    const chat = yield* Effect.acquireRelease(
      Effect.sync(() => new Chat({ url, tokens })),
      (it) => Effect.promise(() => it.close())
    )
    yield* Effect.promise(() => chat.ready())
    return chat
  })

/** Waits for a state that satisfies the condition. */
const until = (chat: Chat, fits: (state: Chat["state"]) => boolean) =>
  Effect.callback<void>((resume) => {
    const stop = chat.subscribe((state) => {
      if (fits(state)) resume(Effect.void)
    })
    return Effect.sync(stop)
  }).pipe(Effect.timeout(patience))

layer(TestService.layer(), { excludeTestServices: true })("the client, without Effect", (it) => {
  it.effect("lets two people talk, and both have the state that a fetch gives", () =>
    Effect.gen(function* () {
      const [ann, bob] = [yield* clientOf("ann"), yield* clientOf("bob")]
      const dm = yield* Effect.promise(() => ann.ask("conversation.create", { kind: "dm", userId: bob.userId }))
      yield* Effect.promise(() => Promise.all([ann.open(dm.id), bob.open(dm.id)]))
      const first = yield* Effect.promise(() => ann.send(dm.id, "Hello Bob"))
      assert.isFalse(first.duplicate)
      yield* Effect.promise(() => bob.send(dm.id, "Hello Ann", { replyTo: first.messageId }))
      for (const chat of [ann, bob]) {
        yield* until(chat, ({ conversations }) => conversations.get(dm.id)?.messages?.length === 2)
        yield* Effect.promise(() => chat.markRead(dm.id))
        yield* until(chat, ({ conversations }) => conversations.get(dm.id)?.conversation.me.unreadCount === 0)
        const held = chat.state.conversations.get(dm.id)
        const fetched = yield* Effect.promise(() => chat.ask("conversation.get", { conversationId: dm.id }))
        assert.deepStrictEqual(held?.conversation, fetched)
        const { items } = yield* Effect.promise(() => chat.ask("message.list", { conversationId: dm.id }))
        assert.deepStrictEqual(held?.messages, items)
        assert.deepStrictEqual(chat.state.sending, [])
      }
    }).pipe(Effect.scoped)
  )

  it.effect("lets somebody without an account in, who makes one later", () =>
    Effect.gen(function* () {
      const { url } = yield* TestService
      const run = <A>(ask: () => Promise<A>) => Effect.promise(ask)
      const ann = yield* clientOf("ann")
      const group = { kind: "group", title: "Open", memberIds: [] } as const
      const { id } = yield* run(() => ann.ask("conversation.create", group))
      const inviteTo = (guests: boolean) =>
        Effect.map(
          run(() => ann.ask("invite.create", { conversationId: id, guests })),
          ({ code }) => code
        )
      const join = (code: string, displayName: string) =>
        Effect.tryPromise({ try: () => Chat.joinAsGuest(url, { code, displayName }), catch: (error) => error })
      const code = yield* inviteTo(true)
      assert.propertyVal(yield* Effect.flip(join(yield* inviteTo(false), "Gus")), "_tag", "NotFound")
      assert.propertyVal(yield* Effect.flip(join(code, " ")), "_tag", "InvalidRequest")
      const tokens = yield* join(code, "Gus")
      const gus = yield* Effect.acquireRelease(
        Effect.sync(() => new Chat({ url, tokens })),
        (it) => Effect.promise(() => it.close())
      )
      yield* run(() => gus.send(id, "Hello"))
      assert.strictEqual(gus.state.me?.kind, "guest")
      const account = { username: "gus", email: "gus@example.com", password: "correct horse" }
      const taken = yield* Effect.flip(Effect.tryPromise(() => gus.claim({ ...account, username: "ann" })))
      assert.propertyVal(taken.cause, "code", "username-taken")
      const me = yield* run(() => gus.claim(account))
      assert.deepInclude(me, { id: tokens.user.id, username: "gus", displayName: "Gus" })
      assert.deepStrictEqual(gus.state.me, me)
      const again = yield* run(() => Chat.login(url, { login: "gus", password: "correct horse" }))
      assert.strictEqual(again.user.id, me.id)
    }).pipe(Effect.scoped)
  )

  it.effect("keeps up with every kind of change that others make", () =>
    Effect.gen(function* () {
      const [ann, bob, eve] = [yield* clientOf("ann2"), yield* clientOf("bob2"), yield* clientOf("eve2")]
      const run = <A>(ask: () => Promise<A>) => Effect.promise(ask)
      const group = yield* run(() =>
        ann.ask("conversation.create", { kind: "group", title: "Plans", memberIds: [bob.userId] })
      )
      const conversationId = group.id
      yield* run(() => bob.open(conversationId))
      const one = yield* run(() => ann.send(conversationId, "one, @bob2"))
      const two = yield* run(() => ann.send(conversationId, "two", { replyTo: one.messageId }))
      const three = yield* run(() => ann.send(conversationId, "three", { replyTo: two.messageId }))
      const of = ({ messageId }: { readonly messageId: string }) => ({ conversationId, messageId })
      const changes: ReadonlyArray<() => Promise<unknown>> = [
        () => ann.ask("message.edit", { ...of(one), body: "one, edited" }),
        () => ann.ask("message.delete", of(two)),
        () => ann.ask("reaction.add", { ...of(one), emoji: "👍" }),
        () => bob.ask("reaction.add", { ...of(one), emoji: "👍" }),
        () => ann.ask("reaction.add", { ...of(one), emoji: "🎉" }),
        () => ann.ask("reaction.remove", { ...of(one), emoji: "🎉" }),
        () => ann.ask("message.pin", of(three)),
        () => ann.send(conversationId, "in the thread", { threadRoot: three.messageId }),
        () => ann.ask("conversation.update", { conversationId, title: "Better plans" }),
        () => ann.ask("member.add", { conversationId, userIds: [eve.userId] }),
        () => eve.send(conversationId, "hello all"),
        () => ann.ask("member.update", { conversationId, userId: bob.userId, role: "admin" }),
        () => bob.ask("conversation.settings", { conversationId, archived: true, notify: "none" }),
        () => ann.ask("member.remove", { conversationId, userId: eve.userId }),
        () => bob.ask("read.mark", { conversationId, seq: three.seq })
      ]
      for (const change of changes) {
        yield* run(change)
        const fetched = yield* run(() => bob.ask("conversation.get", { conversationId }))
        const { items } = yield* run(() => bob.ask("message.list", { conversationId }))
        yield* until(bob, ({ conversations }) => {
          const held = conversations.get(conversationId)
          return isDeepStrictEqual([held?.conversation, held?.messages], [fetched, items])
        }).pipe(
          Effect.catch(() =>
            Effect.sync(() => {
              const held = bob.state.conversations.get(conversationId)
              assert.deepStrictEqual([held?.conversation, held?.messages], [fetched, items], String(change))
            })
          )
        )
      }
    }).pipe(Effect.scoped)
  )

  it.effect("has methods for what a user does in a conversation, and calls back for its events", () =>
    Effect.gen(function* () {
      const [ann, bob] = [yield* clientOf("ann3"), yield* clientOf("bob3")]
      const run = <A>(ask: () => Promise<A>) => Effect.promise(ask)
      const group = yield* run(() =>
        ann.ask("conversation.create", { kind: "group", title: "Plans", memberIds: [bob.userId] })
      )
      const [mine, theirs] = [ann.conversation(group.id), bob.conversation(group.id)]
      assert.strictEqual(ann.conversation(group.id), mine)
      const heard: Array<string> = []
      const both = yield* Deferred.make<void>()
      const stop = theirs.on("message.created", ({ data }) => {
        const last = bob.state.conversations.get(group.id)?.conversation.lastMessage?.body
        heard.push(`${data.message.body}, and the state has ${last}`)
        if (heard.length === 2) Deferred.doneUnsafe(both, Effect.void)
      })
      yield* run(() => theirs.open())
      const one = yield* run(() => mine.send("one plan"))
      yield* run(() => mine.reply(one.messageId, "a reply"))
      yield* Effect.timeout(Deferred.await(both), patience)
      assert.deepStrictEqual(heard, ["one plan, and the state has one plan", "a reply, and the state has a reply"])
      stop()
      yield* run(() => mine.edit(one.messageId, "one better plan"))
      yield* run(() => theirs.react(one.messageId, "👍"))
      yield* run(() => mine.pin(one.messageId))
      yield* run(() => theirs.star(one.messageId))
      yield* run(() => theirs.thread(one.messageId).send("in the thread"))
      yield* until(bob, () => {
        const [first] = theirs.state?.messages ?? []
        return first?.pinned === true && first.reactions[0]?.count === 1 && first.threadReplyCount === 1
      })
      const thread = yield* run(() => theirs.thread(one.messageId).list())
      assert.deepStrictEqual(
        thread.items.map(({ body }) => body),
        ["in the thread"]
      )
      const found = yield* run(() => theirs.search("better"))
      assert.deepStrictEqual(
        found.items.map(({ id }) => id),
        [one.messageId]
      )
      assert.lengthOf((yield* run(() => theirs.pins())).items, 1)
      yield* run(() => theirs.markRead())
      yield* run(() => mine.typing())
      yield* until(bob, () => theirs.state?.typing.has(ann.userId) === true)
      yield* run(() => mine.typing(false))
      yield* run(() => theirs.unreact(one.messageId, "👍"))
      yield* run(() => mine.unpin(one.messageId))
      yield* run(() => theirs.unstar(one.messageId))
      yield* run(() => mine.delete(one.messageId))
      yield* until(bob, () => (theirs.state?.messages?.[0]?.deletedAt ?? null) !== null)
      const poll = { question: "When?", options: ["today", "tomorrow"] }
      const { messageId } = yield* run(() => mine.send("", { type: "poll", payload: poll }))
      yield* run(() => theirs.vote(messageId, [1]))
      yield* until(ann, () => mine.state !== undefined)
      assert.deepStrictEqual((yield* run(() => theirs.list())).items.at(-1)?.myVote, [1])
      yield* run(() => theirs.vote(messageId, []))
      yield* run(() => theirs.hide(messageId))
      assert.isFalse((yield* run(() => theirs.list())).items.some(({ id }) => id === messageId))
    }).pipe(Effect.scoped)
  )

  it.effect("asks once for a conversation that does not exist, and says so", () =>
    Effect.gen(function* () {
      const ann = yield* clientOf("ann4")
      for (const id of ["00000000-0000-4000-8000-000000000000", "no id at all"]) {
        const failure = yield* Effect.flip(Effect.tryPromise({ try: () => ann.open(id), catch: (error) => error }))
        assert.instanceOf(failure, Error)
        assert.strictEqual(failure.name, "NotFound")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("says what is wrong with a login or a registration, and when there is no service", () =>
    Effect.gen(function* () {
      const { url } = yield* TestService
      const failureOf = (call: () => Promise<unknown>) =>
        Effect.flip(Effect.tryPromise({ try: call, catch: (error) => error }))
      const account = { username: "no spaces please", email: "nowhere", displayName: "Ann", password: "correct horse" }
      const refused = yield* failureOf(() => Chat.register(url, account))
      assert.propertyVal(refused, "_tag", "InvalidRequest")
      assert.sameMembers(
        JSON.parse(JSON.stringify(refused)).errors.map(({ path }: { readonly path: string }) => path),
        ["email", "username"]
      )
      const unknown = yield* failureOf(() => Chat.login(url, { login: "nobody", password: "correct horse" }))
      assert.propertyVal(unknown, "_tag", "Unauthenticated")
      const nowhere = yield* failureOf(() =>
        Chat.login("http://127.0.0.1:9", { login: "ann", password: "correct horse" })
      )
      assert.propertyVal(nowhere, "_tag", "ConnectionLost")
      const page = yield* failureOf(() => Chat.login(`${url}/docs`, { login: "ann", password: "correct horse" }))
      assert.propertyVal(page, "_tag", "ConnectionLost")
    })
  )

  it.effect("survives a listener that throws, and reports that as an uncaught error", () =>
    Effect.gen(function* () {
      const ann = yield* clientOf("ann5")
      const uncaught = yield* Effect.callback<unknown>((resume) => {
        const listeners = process.listeners("uncaughtException")
        process.removeAllListeners("uncaughtException")
        process.once("uncaughtException", (error) => {
          for (const listener of listeners) process.on("uncaughtException", listener)
          stop()
          resume(Effect.succeed(error))
        })
        const stop = ann.subscribe(() => {
          throw new Error("a fault of the app")
        })
      })
      assert.propertyVal(uncaught, "message", "a fault of the app")
      yield* Effect.promise(() => ann.ask("user.me", undefined))
    }).pipe(Effect.scoped)
  )
})
