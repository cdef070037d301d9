import { isDeepStrictEqual } from "node:util"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Chat } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"

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

/** Waits for a state that fits. */
const until = (chat: Chat, fits: (state: Chat["state"]) => boolean) =>
  Effect.callback<void>((resume) => {
    const stop = chat.subscribe((state) => {
      if (fits(state)) resume(Effect.void)
    })
    return Effect.sync(stop)
  }).pipe(Effect.timeout("10 seconds"))

layer(TestService.layer(), { excludeTestServices: true })("the client, without Effect", (it) => {
  it.effect("lets two people talk and shows both what a fetch shows", () =>
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
})
