import { assert, layer } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import {
  Chat,
  type ChatOptions,
  type OutboxStorage,
  type PendingMessage,
  type SocketLike
} from "../../src/client/Client.ts"
import type { Tokens } from "../../src/domain/Session.ts"
import { TestService } from "../../src/testing/TestService.ts"

const chatOf = (tokens: Tokens, options: Partial<ChatOptions> = {}) =>
  Effect.gen(function* () {
    const { url } = yield* TestService
    return yield* Effect.acquireRelease(
      Effect.sync(() => new Chat({ url, tokens, ...options })),
      (it) => Effect.promise(() => it.close())
    )
  })

const until = (chat: Chat, fits: (state: Chat["state"]) => boolean) =>
  Effect.callback<void>((resume) => {
    const stop = chat.subscribe((state) => {
      if (fits(state)) resume(Effect.void)
    })
    return Effect.sync(stop)
  }).pipe(Effect.timeout("20 seconds"))

/** The socket of a network that is away. */
const dead = (): SocketLike => ({
  send: () => {},
  close: () => {},
  addEventListener: (type: string, listener: (event: { readonly code: number; readonly data: unknown }) => void) => {
    if (type === "close") queueMicrotask(() => listener({ code: 1006, data: undefined }))
  }
})

/** A storage that outlives its clients. */
const storage = () => {
  const kept = new Map<string, PendingMessage>()
  const outbox: OutboxStorage = {
    load: async () => [...kept.values()],
    put: async (message) => void kept.set(message.clientMessageId, message),
    remove: async ({ clientMessageId }) => void kept.delete(clientMessageId)
  }
  return { kept, outbox }
}

/** Opens sockets of which the first loses the answer to a send, and with it the connection. */
const losingOneAnswer = () => {
  let lost = false
  return (url: string, protocols: ReadonlyArray<string>): SocketLike => {
    const socket = new WebSocket(url, [...protocols])
    const answers = new Set<number>()
    return {
      send: (text) => {
        const { id, op } = JSON.parse(text)
        if (op === "message.send") answers.add(id)
        socket.send(text)
      },
      close: (code) => socket.close(code),
      addEventListener: (type: string, listener: (event: { readonly code: number; readonly data: unknown }) => void) =>
        socket.addEventListener(type, (event) => {
          if (event instanceof CloseEvent) return listener({ code: event.code, data: undefined })
          if (!(event instanceof MessageEvent)) return listener({ code: 0, data: undefined })
          const { id, event: name } = JSON.parse(event.data)
          if (!lost && (answers.has(id) || name === "message.created")) {
            if (answers.has(id)) {
              lost = true
              socket.close()
            }
            return
          }
          listener({ code: 0, data: event.data })
        })
    }
  }
}

// An access token lives an hour: this one is to be renewed after a second.
layer(TestService.layer({ timers: { sessionExpiring: 3_599_000 } }), { excludeTestServices: true })(
  "the client and its connection",
  (it) => {
    it.effect("renews its token over the connection before it ends", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const first = yield* signIn("renewed")
        const renewed = yield* Deferred.make<Tokens>()
        const seen: Array<string> = []
        const chat = yield* chatOf(first, {
          onRenewed: (tokens) => void Deferred.doneUnsafe(renewed, Effect.succeed(tokens))
        })
        chat.subscribe(({ connection }) => seen.push(connection.status))
        assert.notStrictEqual((yield* Deferred.await(renewed)).accessToken, first.accessToken)
        yield* Effect.promise(() => chat.ask("user.me", undefined))
        assert.isFalse(seen.includes("waiting"))
      }).pipe(Effect.scoped)
    )

    it.effect("ends when the session has ended, and says so to everybody who waits", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const [tokens, other] = [yield* signIn("ended"), yield* signIn("ended")]
        const [chat, elsewhere] = [yield* chatOf(tokens), yield* chatOf(other)]
        yield* Effect.promise(() => chat.ready())
        const events = chat.events().next()
        yield* Effect.promise(() => elsewhere.ask("session.end", { sessionId: tokens.sessionId }))
        yield* until(chat, ({ connection }) => connection.status === "closed")
        const waiting: ReadonlyArray<Promise<unknown>> = [events, chat.ask("user.me", undefined)]
        for (const one of waiting) {
          const error = yield* Effect.flip(Effect.tryPromise({ try: () => one, catch: (error) => error }))
          assert.propertyVal(error, "_tag", "Refused")
          assert.propertyVal(error, "code", 4503)
        }
      }).pipe(Effect.scoped)
    )

    it.effect("sends after a restart what was written while there was no network", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const [tokens, bob] = [yield* signIn("offline"), yield* signIn("bob")]
        const before = yield* chatOf(tokens)
        const { id } = yield* Effect.promise(() =>
          before.ask("conversation.create", { kind: "dm", userId: bob.user.id })
        )
        const { kept, outbox } = storage()
        const offline = yield* chatOf(tokens, { outbox, openSocket: dead })
        const sent = offline.send(id, "written under way", { clientMessageId: "offline-1" })
        yield* until(offline, ({ sending }) => sending.length === 1)
        yield* Effect.promise(() => offline.close())
        const lost = yield* Effect.flip(Effect.tryPromise({ try: () => sent, catch: (error) => error }))
        assert.propertyVal(lost, "_tag", "ConnectionLost")
        assert.strictEqual(kept.size, 1)
        const online = yield* chatOf(tokens, { outbox })
        yield* Effect.promise(() => online.ready())
        yield* Effect.promise(() => online.open(id))
        yield* until(online, ({ conversations, sending }) => {
          const [dm] = conversations.values()
          return sending.length === 0 && dm?.messages?.at(-1)?.clientMessageId === "offline-1"
        })
        assert.strictEqual(kept.size, 0)
      }).pipe(Effect.scoped)
    )

    it.effect("sends again under the same id when the answer is lost, and the message is there once", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const [tokens, bob] = [yield* signIn("lossy"), yield* signIn("bob")]
        const chat = yield* chatOf(tokens, { openSocket: losingOneAnswer() })
        const { id } = yield* Effect.promise(() => chat.ask("conversation.create", { kind: "dm", userId: bob.user.id }))
        yield* Effect.promise(() => chat.send(id, "once"))
        const { items } = yield* Effect.promise(() => chat.ask("message.list", { conversationId: id }))
        assert.deepStrictEqual(
          items.map(({ body }) => body),
          ["once"]
        )
      }).pipe(Effect.scoped)
    )
  }
)
