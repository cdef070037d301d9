import { assert, layer } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import {
  Chat,
  type Database,
  memoryDatabase,
  type OutboxStorage,
  type PendingMessage,
  type RealtimeOptions,
  type SocketLike
} from "../../src/client/Client.ts"
import type { Tokens } from "../../src/client/Plain.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"

const chatOf = (tokens: Tokens, options: Partial<RealtimeOptions> & { onRenewed?: (tokens: Tokens) => void } = {}) =>
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
  }).pipe(Effect.timeout(patience))

/** The socket of a network that is down. */
const dead = (): SocketLike => ({
  send: () => {},
  close: () => {},
  addEventListener: (type: string, listener: (event: { readonly code: number; readonly data: unknown }) => void) => {
    if (type === "close") queueMicrotask(() => listener({ code: 1006, data: undefined }))
  }
})

/** A storage that several clients use one after the other. */
const storage = () => {
  const kept = new Map<string, PendingMessage>()
  const outbox: OutboxStorage = {
    load: async () => [...kept.values()],
    put: async (message) => void kept.set(message.clientMessageId, message),
    remove: async ({ clientMessageId }) => void kept.delete(clientMessageId)
  }
  return { kept, outbox }
}

/** Opens sockets that say `caps: ["batch"]` with hello; `onArray` is called with the number of items of each array. */
const batching =
  (onArray: (items: number) => void) =>
  (url: string, protocols: ReadonlyArray<string>): SocketLike => {
    const socket = new WebSocket(url, [...protocols])
    socket.addEventListener("message", ({ data }) => {
      const json: unknown = JSON.parse(data)
      if (Array.isArray(json)) onArray(json.length)
    })
    return {
      send: (text) => {
        const command = JSON.parse(text)
        if (command.op === "hello") command.data.caps = ["batch"]
        socket.send(JSON.stringify(command))
      },
      close: (code) => socket.close(code),
      addEventListener: socket.addEventListener.bind(socket)
    }
  }

/** Opens sockets, of which the first loses the answer to a send and then its connection. */
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

// The client renews such an access token when half of its time is over.
layer(TestService.layer({ jwt: { expiration: 4000 } }), { excludeTestServices: true })(
  "the client and its connection",
  (it) => {
    it.effect("connects again when a socket could not be opened", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        let tries = 0
        const chat = yield* chatOf(yield* signIn("opener"), {
          openSocket: (url, protocols) => {
            tries += 1
            if (tries === 1) throw new Error("not now")
            return new WebSocket(url, [...protocols])
          }
        })
        yield* until(chat, ({ connection }) => connection.status === "online")
        assert.strictEqual(tries, 2)
      })
    )

    it.effect("watches the presence of the same users again after a lost connection", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const sockets: Array<WebSocket> = []
        const openSocket = (url: string, protocols: ReadonlyArray<string>) => {
          const socket = new WebSocket(url, [...protocols])
          sockets.push(socket)
          return socket
        }
        const ann = yield* chatOf(yield* signIn("watcher"), { openSocket })
        const { tokens, bob } = yield* Effect.map(signIn("watched"), (tokens) => ({ tokens, bob: tokens.user.id }))
        const peer = yield* chatOf(tokens)
        const seen = (status: string) => until(ann, ({ presence }) => presence.get(bob)?.status === status)
        yield* Effect.promise(() => ann.ask("conversation.create", { kind: "group", title: "Two", memberIds: [bob] }))
        yield* Effect.promise(() => ann.watch([bob]))
        yield* seen("online")
        sockets[0]?.close()
        yield* until(ann, ({ connection }) => sockets.length === 2 && connection.status === "online")
        yield* Effect.promise(() => peer.ask("presence.set", { status: "dnd" }))
        yield* seen("dnd")
      })
    )

    it.effect("shows another name of somebody at once while watched, and otherwise with the next connection", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const sockets: Array<WebSocket> = []
        const openSocket = (url: string, protocols: ReadonlyArray<string>) => {
          const socket = new WebSocket(url, [...protocols])
          sockets.push(socket)
          return socket
        }
        const tokens = yield* signIn("renamed")
        const [bob, laptop] = [yield* chatOf(tokens), yield* chatOf(tokens)]
        const ann = yield* chatOf(yield* signIn("namereader"), { openSocket })
        const dm = yield* Effect.promise(() => ann.ask("conversation.create", { kind: "dm", userId: tokens.user.id }))
        yield* Effect.promise(() => ann.send(dm.id, "Hello"))
        const rename = (displayName: string) => Effect.promise(() => bob.ask("user.update", { displayName }))
        const shown = (name: string) =>
          until(ann, ({ conversations }) => conversations.get(dm.id)?.conversation.peer?.displayName === name)
        yield* rename("Bob while nobody watches")
        yield* until(laptop, ({ me }) => me?.displayName === "Bob while nobody watches")
        sockets[0]?.close()
        yield* shown("Bob while nobody watches")
        yield* Effect.promise(() => ann.watch([tokens.user.id]))
        yield* rename("Bob, watched")
        yield* shown("Bob, watched")
      })
    )

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

    it.effect("ends when the session has ended, and fails everything that waits", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const [tokens, other] = [yield* signIn("ended"), yield* signIn("ended")]
        const elsewhere = yield* chatOf(other)
        const { id } = yield* Effect.promise(() =>
          elsewhere.ask("conversation.create", { kind: "dm", userId: tokens.user.id })
        )
        const { kept, outbox } = storage()
        const chat = yield* chatOf(tokens, { outbox })
        yield* Effect.promise(() => chat.ready())
        const events = chat.events().next()
        yield* Effect.promise(() => elsewhere.ask("session.end", { sessionId: tokens.sessionId }))
        yield* until(chat, ({ connection }) => connection.status === "closed")
        const ends = yield* Effect.promise(() =>
          Promise.allSettled([events, chat.ask("user.me", undefined), chat.send(id, "for the next session")])
        )
        for (const end of ends) {
          assert.deepInclude(end.status === "rejected" && end.reason, { _tag: "Refused", code: 4503 })
        }
        assert.strictEqual(kept.size, 1)
      }).pipe(Effect.scoped)
    )

    it.effect("sends after a restart the messages that were written without a network", () =>
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
        const another = yield* chatOf(bob, { outbox })
        yield* Effect.promise(() => another.ready())
        assert.deepStrictEqual(another.state.sending, [])
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

    it.effect("sends what it has kept in a database in the order in which it was written", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const [tokens, bob] = [yield* signIn("kept"), yield* signIn("bob")]
        const before = yield* chatOf(tokens)
        const { id } = yield* Effect.promise(() =>
          before.ask("conversation.create", { kind: "dm", userId: bob.user.id })
        )
        const memory = memoryDatabase()
        const database: Database = {
          ...memory,
          // In the order of the keys, as a browser has it.
          read: async (prefix) => (await memory.read(prefix)).toSorted(([one], [other]) => (one < other ? -1 : 1))
        }
        for (const written of [["z", "y"], ["x"]]) {
          const offline = yield* chatOf(tokens, { database, openSocket: dead })
          const lost = written.map((clientMessageId) => offline.send(id, clientMessageId, { clientMessageId }))
          yield* until(offline, ({ sending }) => sending.at(-1)?.message.clientMessageId === written.at(-1))
          yield* Effect.promise(() => offline.close())
          yield* Effect.promise(() => Promise.allSettled(lost))
        }
        const online = yield* chatOf(tokens, { database })
        yield* Effect.promise(() => online.ready())
        yield* until(online, ({ sending }) => sending.length === 0)
        const { items } = yield* Effect.promise(() => online.ask("message.list", { conversationId: id }))
        assert.deepStrictEqual(
          items.map(({ body }) => body),
          ["z", "y", "x"]
        )
      }).pipe(Effect.scoped)
    )

    it.effect("repeats a send under the same id when the answer is lost, and the message is stored once", () =>
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

    it.effect("retries a failed message under the same id and in order", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const [ann, bob] = [yield* signIn("failing-ann"), yield* signIn("failing-bob")]
        const { kept, outbox } = storage()
        const [chat, other] = [yield* chatOf(ann, { outbox }), yield* chatOf(bob)]
        const { id } = yield* Effect.promise(() => chat.ask("conversation.create", { kind: "dm", userId: bob.user.id }))
        yield* Effect.promise(() => chat.open(id))
        yield* Effect.promise(() => other.ask("block.add", { userId: ann.user.id }))
        for (const clientMessageId of ["first", "second"]) {
          const sent = chat.send(id, clientMessageId, { clientMessageId })
          const error = yield* Effect.flip(Effect.tryPromise({ try: () => sent, catch: (error) => error }))
          assert.propertyVal(error, "_tag", "Forbidden")
        }
        assert.deepStrictEqual(
          chat.state.sending.map(({ message, status }) => [message.clientMessageId, status]),
          [
            ["first", "failed"],
            ["second", "failed"]
          ]
        )
        assert.strictEqual(kept.size, 0)
        yield* Effect.promise(() => other.ask("block.remove", { userId: ann.user.id }))
        const third = chat.send(id, "third", { clientMessageId: "third" })
        const retried = ["first", "second"].map((clientMessageId) => chat.retry(id, clientMessageId))
        const [one, two] = yield* Effect.promise(() => Promise.all(retried))
        yield* Effect.promise(() => third)
        assert.isBelow(one?.seq ?? Number.NaN, two?.seq ?? Number.NaN)
        yield* until(chat, ({ sending }) => sending.length === 0)
        assert.strictEqual(kept.size, 0)
        const { items } = yield* Effect.promise(() => chat.ask("message.list", { conversationId: id }))
        assert.sameMembers(
          items.map(({ clientMessageId }) => String(clientMessageId)),
          ["first", "second", "third"]
        )
      }).pipe(Effect.scoped)
    )

    it.effect(
      "retries only failed messages: it waits for one that is being sent, and an unknown one is not found",
      () =>
        Effect.gen(function* () {
          const { signIn } = yield* TestService
          const [ann, bob] = [yield* signIn("retrying-ann"), yield* signIn("retrying-bob")]
          const chat = yield* chatOf(ann, { openSocket: losingOneAnswer() })
          const { id } = yield* Effect.promise(() =>
            chat.ask("conversation.create", { kind: "dm", userId: bob.user.id })
          )
          const sent = chat.send(id, "under way", { clientMessageId: "under-way" })
          yield* until(chat, ({ sending }) => sending.length === 1)
          const retried = chat.retry(id, "under-way")
          assert.deepStrictEqual(yield* Effect.promise(() => retried), yield* Effect.promise(() => sent))
          const unknown = Effect.tryPromise({ try: () => chat.retry(id, "never-sent"), catch: (error) => error })
          assert.propertyVal(yield* Effect.flip(unknown), "_tag", "NotFound")
          const { items } = yield* Effect.promise(() => chat.ask("message.list", { conversationId: id }))
          assert.strictEqual(items.length, 1)
        }).pipe(Effect.scoped)
    )

    it.effect("understands arrays of events and answers", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const [ann, bob] = [yield* signIn("arrays-ann"), yield* signIn("arrays-bob")]
        const arrays: Array<number> = []
        const chat = yield* chatOf(ann, { openSocket: batching((items) => arrays.push(items)) })
        yield* Effect.promise(() => chat.ready())
        const { id } = yield* Effect.promise(() => chat.ask("conversation.create", { kind: "dm", userId: bob.user.id }))
        yield* Effect.promise(() => chat.open(id))
        const bodies = ["one", "two", "three"]
        for (const body of bodies) yield* Effect.promise(() => chat.send(id, body))
        yield* until(chat, ({ conversations, sending }) => {
          const [dm] = conversations.values()
          return sending.length === 0 && dm?.messages?.map(({ body }) => body).join() === bodies.join()
        })
        assert.isNotEmpty(arrays)
      }).pipe(Effect.scoped)
    )
  }
)
