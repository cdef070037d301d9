import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import {
  Chat,
  type ChatState,
  type Database,
  memoryDatabase,
  type RealtimeOptions,
  type SocketLike,
  type Tokens
} from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"

/** What the tabs of a browser share: a database, and how many sockets they have open. */
const browser = () => {
  const sockets = new Set<SocketLike>()
  let isOffline = false
  const openSocket = (url: string, protocols: ReadonlyArray<string>): SocketLike => {
    const socket = new WebSocket(isOffline ? "ws://127.0.0.1:9" : url, [...protocols])
    sockets.add(socket)
    socket.addEventListener("close", () => sockets.delete(socket))
    return socket
  }
  return {
    database: memoryDatabase(),
    openSocket,
    sockets,
    setOffline: (offline: boolean) => {
      isOffline = offline
      for (const socket of sockets) socket.close()
    }
  }
}

const tabOf = (tokens: Tokens, options: Partial<RealtimeOptions> & { readonly database: Database }) =>
  Effect.gen(function* () {
    const { url } = yield* TestService
    return yield* Effect.acquireRelease(
      Effect.sync(() => new Chat({ url, tokens, ...options })),
      (it) => Effect.promise(() => it.close())
    )
  })

const until = (chat: Chat, fits: (state: ChatState) => boolean) =>
  Effect.callback<void>((resume) => {
    const stop = chat.subscribe((state) => {
      if (fits(state)) resume(Effect.void)
    })
    return Effect.sync(stop)
  }).pipe(Effect.timeout(patience))

const online = (chat: Chat) => until(chat, ({ connection }) => connection.status === "online")
const bodies = (chat: Chat, id: string) => chat.state.conversations.get(id)?.messages?.map(({ body }) => body) ?? []
const run = <A>(call: () => Promise<A>) => Effect.promise(call)

/** Another user who has a group with this one. */
const friend = (name: string, tokens: Tokens) =>
  Effect.gen(function* () {
    const { signIn, url } = yield* TestService
    const theirs = yield* signIn(name)
    const chat = yield* Effect.acquireRelease(
      Effect.sync(() => new Chat({ url, tokens: theirs })),
      (it) => Effect.promise(() => it.close())
    )
    const { id } = yield* run(() =>
      chat.ask("conversation.create", { kind: "group", title: "Group", memberIds: [tokens.user.id] })
    )
    return { chat, id }
  })

layer(TestService.layer(), { excludeTestServices: true })("a client with a database", (it) => {
  it.effect("shows at once what it had, and sends what was written offline, once and in order", () =>
    Effect.gen(function* () {
      const { signIn } = yield* TestService
      const tokens = yield* signIn("stored")
      const { chat: bob, id } = yield* friend("stored-friend", tokens)
      const device = browser()
      yield* Effect.gen(function* () {
        const first = yield* tabOf(tokens, device)
        yield* run(() => first.conversation(id).open())
        yield* run(() => first.conversation(id).send("before"))
        device.setOffline(true)
        yield* until(first, ({ connection }) => connection.status === "waiting")
        for (const body of ["one", "two", "three"])
          first
            .conversation(id)
            .send(body)
            .catch(() => {})
        yield* until(first, ({ sending }) => sending.length === 3)
      }).pipe(Effect.scoped)
      yield* run(() => bob.conversation(id).send("meanwhile"))

      const next = yield* tabOf(tokens, device)
      yield* until(next, ({ sending }) => sending.length === 3)
      assert.deepStrictEqual(bodies(next, id), ["before"])
      assert.notStrictEqual(next.state.connection.status, "online")
      device.setOffline(false)
      yield* run(() => next.wake())
      yield* until(next, ({ sending }) => sending.length === 0 && bodies(next, id).length === 5)
      assert.deepStrictEqual(bodies(next, id), ["before", "meanwhile", "one", "two", "three"])
      const { items } = yield* run(() => bob.conversation(id).list())
      assert.deepStrictEqual(
        items.map(({ body }) => body),
        bodies(next, id)
      )
    }).pipe(Effect.scoped)
  )

  it.effect("has one socket for all tabs, which show the same, and goes on when the tab that has it is closed", () =>
    Effect.gen(function* () {
      const { signIn } = yield* TestService
      const tokens = yield* signIn("tabs")
      const { chat: bob, id } = yield* friend("tabs-friend", tokens)
      const device = browser()
      const first = yield* tabOf(tokens, device)
      yield* online(first)
      const [second, third] = [yield* tabOf(tokens, device), yield* tabOf(tokens, device)]
      yield* online(second)
      yield* online(third)
      yield* run(() => second.conversation(id).open())
      yield* run(() => third.watch([bob.userId]))
      const heard: Array<string> = []
      third.on("message.created", ({ data }) => void heard.push(data.message.body))
      yield* run(() => second.conversation(id).send("from the second"))
      yield* run(() => bob.conversation(id).send("from Bob"))
      yield* until(third, () => bodies(third, id).length === 2)
      assert.strictEqual(device.sockets.size, 1)
      const refused = yield* Effect.flip(
        Effect.tryPromise({ try: () => third.open("00000000-0000-4000-8000-000000000000"), catch: (error) => error })
      )
      assert.propertyVal(refused, "_tag", "NotFound")

      yield* run(() => first.close())
      yield* run(() => bob.conversation(id).send("later"))
      yield* run(() => third.conversation(id).send("from the third"))
      for (const tab of [second, third]) {
        yield* until(tab, () => bodies(tab, id).length === 4)
        assert.deepStrictEqual(bodies(tab, id), ["from the second", "from Bob", "later", "from the third"])
      }
      assert.strictEqual(device.sockets.size, 1)
      yield* run(() => bob.ask("presence.set", { status: "dnd" }))
      yield* until(third, ({ presence }) => presence.get(bob.userId)?.status === "dnd")
      assert.deepStrictEqual(heard, ["from the second", "from Bob", "later", "from the third"])
    }).pipe(Effect.scoped)
  )

  it.effect("tells nothing while there is no other tab, and everything as soon as there is one", () =>
    Effect.gen(function* () {
      const { signIn } = yield* TestService
      const tokens = yield* signIn("lone")
      const { chat: bob, id } = yield* friend("lone-friend", tokens)
      const told: Array<string> = []
      const { postMessage } = BroadcastChannel.prototype
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          BroadcastChannel.prototype.postMessage = function (message: { readonly _tag: string }) {
            told.push(message._tag)
            postMessage.call(this, message)
          }
        }),
        () =>
          Effect.sync(() => {
            BroadcastChannel.prototype.postMessage = postMessage
          })
      )
      const device = browser()
      const first = yield* tabOf(tokens, device)
      yield* online(first)
      yield* run(() => first.conversation(id).open())
      yield* run(() => first.conversation(id).send("alone"))
      assert.deepStrictEqual(new Set(told), new Set(["Hello"]))
      const second = yield* tabOf(tokens, device)
      yield* until(second, () => bodies(second, id).length === 1)
      yield* run(() => bob.conversation(id).send("together"))
      yield* until(second, () => bodies(second, id).length === 2)
      assert.includeMembers(told, ["Lead", "Changed", "Happened"])
    }).pipe(Effect.scoped)
  )

  it.effect("takes the lead from a tab that is frozen", () =>
    Effect.gen(function* () {
      const { signIn } = yield* TestService
      const tokens = yield* signIn("frozen")
      const { chat: bob, id } = yield* friend("frozen-friend", tokens)
      const device = browser()
      const first = yield* tabOf(tokens, device)
      yield* run(() => first.conversation(id).open())
      // The channel of a frozen page says nothing and hears nothing, and its lock stays.
      const { postMessage } = BroadcastChannel.prototype
      BroadcastChannel.prototype.postMessage = () => {}
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          BroadcastChannel.prototype.postMessage = postMessage
        })
      )
      yield* run(() => bob.conversation(id).send("not told"))
      yield* until(first, () => bodies(first, id).length === 1)
      const second = yield* tabOf(tokens, device)
      yield* online(second)
      assert.deepStrictEqual(bodies(second, id), ["not told"])
      yield* until(first, () => device.sockets.size === 1)
    }).pipe(Effect.scoped)
  )

  it.effect("ends in all tabs when the session ends, and forgets everything that is stored", () =>
    Effect.gen(function* () {
      const { signIn } = yield* TestService
      const tokens = yield* signIn("signed-out")
      const { id } = yield* friend("signed-out-friend", tokens)
      const device = browser()
      const [first, second] = [yield* tabOf(tokens, device), yield* tabOf(tokens, device)]
      yield* run(() => second.conversation(id).open())
      yield* run(() => first.ask("session.end", { sessionId: tokens.sessionId })).pipe(Effect.exit)
      for (const tab of [first, second]) {
        yield* until(tab, ({ connection }) => connection.status === "closed")
        const error = yield* Effect.flip(
          Effect.tryPromise({ try: () => tab.ask("user.me", undefined), catch: (error) => error })
        )
        assert.propertyVal(error, "_tag", "Refused")
      }
      assert.isNotEmpty(yield* run(() => device.database.read("")))
      yield* run(() => second.forget())
      assert.isEmpty(yield* run(() => device.database.read("")))
    }).pipe(Effect.scoped)
  )
})
