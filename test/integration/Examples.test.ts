import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { assert, layer } from "@effect/vitest"
import { ConversationId, Messages, Unavailable, UserId } from "chat-service/services"
import { TestService } from "chat-service/testing"
import { Effect, Layer, Queue, Stream } from "effect"
import { echo } from "../../examples/echo-bot.ts"
import { follow } from "../../examples/rpc-consumer.ts"
import { Chat } from "../../src/client/Client.ts"
import { patience } from "../support/TimeLimits.ts"

const chatOf = (name: string) =>
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

/** Waits until a conversation has `count` messages, and returns their texts. */
const texts = (chat: Chat, id: string, count: number) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const stop = chat.subscribe(({ conversations }) => {
      const all = [...conversations.values()].find(({ conversation }) => conversation.id === id)?.messages ?? []
      if (all.length >= count) resume(Effect.succeed(all.map(({ body }) => body)))
    })
    return Effect.sync(stop)
  }).pipe(Effect.timeout(patience))

/** A service whose every third send fails before anything is stored. */
const flakyMessages = Layer.effect(
  Messages,
  Effect.map(Messages, (messages) => {
    let sends = 0
    return Messages.of({
      ...messages,
      send: (...message) =>
        Effect.suspend(() =>
          ++sends % 3 === 0 ? Effect.fail(new Unavailable({ detail: "not this time" })) : messages.send(...message)
        )
    })
  })
)

layer(TestService.layer({}, { replace: flakyMessages }), { excludeTestServices: true })(
  "a bot on a service that another Layer has replaced",
  (it) => {
    it.effect("sends again what failed, and everything is stored once and in order", () =>
      Effect.gen(function* () {
        const [ann, bot] = [yield* chatOf("ann"), yield* chatOf("bot")]
        const { id } = yield* Effect.promise(() => bot.ask("conversation.create", { kind: "dm", userId: ann.userId }))
        yield* Effect.promise(() => ann.open(id))
        const bodies = ["one", "two", "three", "four", "five", "six", "seven"]
        const acks = yield* Effect.promise(() => Promise.all(bodies.map((body) => bot.send(id, body))))
        assert.isTrue(acks.every(({ duplicate }) => !duplicate))
        assert.deepStrictEqual(yield* texts(ann, id, 7), bodies)
        // A program in the same process calls the services themselves.
        const page = yield* Messages.use((messages) =>
          messages.list(UserId.make(ann.userId), ConversationId.make(id), { limit: 50 })
        )
        assert.deepStrictEqual(
          page.items.map(({ body }) => body),
          bodies
        )
      }).pipe(Effect.scoped)
    )
  }
)

layer(TestService.layer(), { excludeTestServices: true })("the examples", (it) => {
  it.effect("echo-bot answers each message once", () =>
    Effect.gen(function* () {
      const [ann, bot] = [yield* chatOf("ann"), yield* chatOf("bot")]
      const { id } = yield* Effect.promise(() => ann.ask("conversation.create", { kind: "dm", userId: bot.userId }))
      const running = echo(bot)
      yield* Effect.promise(() => ann.open(id))
      yield* Effect.promise(() => ann.send(id, "hello"))
      assert.deepStrictEqual(yield* texts(ann, id, 2), ["hello", "You said: hello"])
      // The answer has reached the bot too, which waits for the next message.
      yield* Effect.callback<void>((resume) => {
        const stop = bot.subscribe(({ conversations }) => {
          const [dm] = conversations.values()
          if (dm?.conversation.seq === 3) resume(Effect.void)
        })
        return Effect.sync(stop)
      })
      yield* Effect.promise(() => bot.close())
      yield* Effect.promise(() => running)
    }).pipe(Effect.scoped)
  )

  it.effect("rpc-consumer lists conversations, and then follows events", () =>
    Effect.gen(function* () {
      const { url } = yield* TestService
      const [ann, bob] = [yield* chatOf("ann2"), yield* chatOf("bob2")]
      const { id } = yield* Effect.promise(() => ann.ask("conversation.create", { kind: "dm", userId: bob.userId }))
      yield* Effect.promise(() => ann.send(id, "before"))
      const lines = yield* follow(url, "bob2", "correct horse")
      const seen = yield* Queue.unbounded<string>()
      yield* Effect.forkScoped(Stream.runForEach(lines, (line) => Queue.offer(seen, line)))
      assert.strictEqual(yield* Queue.take(seen), `${id}: 1 unread`)
      yield* Effect.promise(() => ann.send(id, "live"))
      assert.strictEqual(yield* Queue.take(seen), `${ann.userId}: live`)
    }).pipe(Effect.scoped)
  )

  it.effect("walk-through.sh succeeds", () =>
    Effect.gen(function* () {
      const { url } = yield* TestService
      const { stdout } = yield* Effect.promise(() =>
        promisify(execFile)("sh", [new URL("../../examples/walk-through.sh", import.meta.url).pathname, url])
      )
      assert.match(stdout, /"duplicate":true/)
      assert.match(stdout, /"unreadCount":1/)
      assert.match(stdout, /"body":"Hello Bob".*"body":"Hello Ann"[^\n]*\n$/)
    })
  )
})
