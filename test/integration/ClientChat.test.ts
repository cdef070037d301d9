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
})
