import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { assert, layer } from "@effect/vitest"
import { Effect, Queue, Stream } from "effect"
import { echo } from "../../examples/echo-bot.ts"
import { follow } from "../../examples/rpc-consumer.ts"
import { Chat } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"

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

/** The texts of a conversation, once there are so many. */
const texts = (chat: Chat, id: string, count: number) =>
  Effect.callback<ReadonlyArray<string>>((resume) => {
    const stop = chat.subscribe(({ conversations }) => {
      const all = [...conversations.values()].find(({ conversation }) => conversation.id === id)?.messages ?? []
      if (all.length >= count) resume(Effect.succeed(all.map(({ body }) => body)))
    })
    return Effect.sync(stop)
  }).pipe(Effect.timeout("20 seconds"))

layer(TestService.layer(), { excludeTestServices: true })("the examples", (it) => {
  it.effect("echo-bot answers each message once", () =>
    Effect.gen(function* () {
      const [ann, bot] = [yield* chatOf("ann"), yield* chatOf("bot")]
      const { id } = yield* Effect.promise(() => ann.ask("conversation.create", { kind: "dm", userId: bot.userId }))
      const running = echo(bot)
      yield* Effect.promise(() => ann.open(id))
      yield* Effect.promise(() => ann.send(id, "hello"))
      assert.deepStrictEqual(yield* texts(ann, id, 2), ["hello", "You said: hello"])
      // Its answer has come back to it too: it waits for the next message.
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

  it.effect("rpc-consumer lists, then follows", () =>
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

  it.effect("walk-through.sh walks through", () =>
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
