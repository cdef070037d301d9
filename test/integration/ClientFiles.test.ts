import { createHash, randomBytes } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import {
  Chat,
  type ChatState,
  memoryDatabase,
  type OutboxStorage,
  type RealtimeOptions,
  type SocketLike,
  type Tokens
} from "../../src/client/Client.ts"
import type { PendingMessage } from "../../src/client/state/State.ts"
import { ClientMessageId, ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Unavailable } from "../../src/domain/Problem.ts"
import { Attachments } from "../../src/services/files/Attachments.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { png } from "../support/Files.ts"
import { patience } from "../support/TimeLimits.ts"

/** A device whose network can be cut, with a database that outlives its clients. */
const device = () => {
  const sockets = new Set<SocketLike>()
  let isOffline = false
  return {
    database: memoryDatabase(),
    openSocket: (url: string, protocols: ReadonlyArray<string>): SocketLike => {
      const socket = new WebSocket(isOffline ? "ws://127.0.0.1:9" : url, [...protocols])
      sockets.add(socket)
      return socket
    },
    setOffline: (offline: boolean) => {
      isOffline = offline
      for (const socket of sockets) socket.close()
    }
  }
}

const run = <A>(call: () => Promise<A>) => Effect.promise(call)

const refusalOf = (promise: Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({ try: () => promise, catch: (error) => error }))

const chatOf = (tokens: Tokens, options: Partial<RealtimeOptions> = {}) =>
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

/** A new user with a conversation of their own. */
const someone = (name: string) =>
  Effect.gen(function* () {
    const tokens = yield* (yield* TestService).signIn(name)
    const chat = yield* chatOf(tokens)
    const { id } = yield* run(() => chat.ask("conversation.create", { kind: "dm", userId: chat.userId }))
    return { chat, id, tokens }
  })

/** What the service has of a conversation: the bodies of its messages and the names and hashes of their files. */
const stored = (chat: Chat, id: string) =>
  Effect.gen(function* () {
    const { url } = yield* TestService
    const { items } = yield* run(() => chat.ask("message.list", { conversationId: id }))
    return yield* Effect.forEach(items, ({ attachments, body, type }) =>
      Effect.map(
        Effect.forEach(attachments, ({ id, name }) =>
          run(async () => {
            const link = await chat.ask("attachment.link", { attachmentId: id })
            const content = await (await fetch(url + link.url)).arrayBuffer()
            return `${name} ${hashOf(new Uint8Array(content))}`
          })
        ),
        (files) => [type, body, ...files]
      )
    )
  })

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

/** An outbox with a message that an earlier process has left. */
const left = (message: PendingMessage) => {
  const kept = new Map([[message.clientMessageId, message]])
  const outbox: OutboxStorage = {
    load: async () => [...kept.values()],
    put: async (message) => void kept.set(message.clientMessageId, message),
    remove: async ({ clientMessageId }) => void kept.delete(clientMessageId)
  }
  return { kept, outbox }
}

layer(TestService.layer({ limits: { attachmentBytes: 1_000_000 } }), { excludeTestServices: true })(
  "the files of the client",
  (it) => {
    it.effect("are uploaded from any kind of source, with progress, and can be sent by their ids", () =>
      Effect.gen(function* () {
        const { chat, id } = yield* someone("uploader")
        const bytes = randomBytes(500_000)
        const sent: Array<number> = []
        const sources = [
          new File([bytes], "one.bin"),
          { name: "two.bin", bytes },
          { name: "three.bin", bytes: new Blob([bytes]) },
          { name: "four.bin", stream: new Blob([bytes]).stream() }
        ]
        const uploaded = yield* Effect.forEach(sources, (source) =>
          run(() =>
            chat.upload(source, {
              onProgress: (progress) => {
                assert.strictEqual(progress.size, bytes.length)
                sent.push(progress.sent)
              }
            })
          )
        )
        assert.deepStrictEqual(
          uploaded.map(({ contentType, name, size }) => [name, contentType, size]),
          ["one", "two", "three", "four"].map((name) => [`${name}.bin`, "application/octet-stream", bytes.length])
        )
        assert.isAbove(sent.length, 4)
        assert.strictEqual(sent.at(-1), bytes.length)
        const attachments = uploaded.map((attachment) => attachment.id)
        yield* run(() => chat.send(id, "four files", { type: "file", attachments }))
        const names = ["one", "two", "three", "four"].map((name) => `${name}.bin ${hashOf(bytes)}`)
        assert.deepStrictEqual(yield* stored(chat, id), [["file", "four files", ...names]])
      }).pipe(Effect.scoped)
    )

    it.effect("may have a waveform, also when they are kept with a message", () =>
      Effect.gen(function* () {
        const { chat, id } = yield* someone("speaker")
        const waveform = Array.from({ length: 64 }, (_, part) => part)
        const note = { name: "note.ogg", bytes: ogg, waveform }
        assert.deepStrictEqual((yield* run(() => chat.upload(note))).waveform, waveform)
        yield* run(() => chat.send(id, "", { attachments: [note] }))
        const { items } = yield* run(() => chat.conversation(id).list())
        assert.deepStrictEqual(
          items.flatMap(({ attachments }) => attachments.map((attachment) => attachment.waveform)),
          [waveform]
        )
      }).pipe(Effect.scoped)
    )

    it.effect("that are too large or aborted are not uploaded, and say why", () =>
      Effect.gen(function* () {
        const { chat } = yield* someone("aborter")
        assert.propertyVal(yield* refusalOf(chat.upload(new Blob([randomBytes(1_000_001)]))), "_tag", "TooLarge")
        assert.propertyVal(yield* refusalOf(chat.upload(new Blob([]))), "_tag", "InvalidRequest")
        const abort = new AbortController()
        const reason = new Error("never mind")
        const onProgress = () => abort.abort(reason)
        const aborted = chat.upload(new Blob([randomBytes(900_000)]), { signal: abort.signal, onProgress })
        assert.strictEqual(yield* refusalOf(aborted), reason)
        const used = yield* run(() => chat.ask("user.storage", undefined))
        assert.deepInclude(used, { files: 0, bytes: 0 })
      }).pipe(Effect.scoped)
    )

    it.effect("of a message that was written offline are kept, and sent with it, once and in order", () =>
      Effect.gen(function* () {
        const { chat, id, tokens } = yield* someone("photographer")
        const phone = device()
        const bytes = randomBytes(100_000)
        const name = yield* Effect.gen(function* () {
          const first = yield* chatOf(tokens, phone)
          yield* until(first, ({ connection }) => connection.status === "online")
          phone.setOffline(true)
          yield* until(first, ({ connection }) => connection.status !== "online")
          const files = [new File([png], "photo.png"), new File([bytes], "data.bin")]
          const sends = [
            first.send(id, "before"),
            first.send(id, "", { attachments: files.slice(0, 1) }),
            first.send(id, "both", { attachments: files }),
            first.send(id, "after")
          ]
          for (const send of sends) send.catch(() => {})
          yield* until(first, ({ sending }) => sending.length === 4)
          return first.state.sending[1]?.message.attachments?.[0]
        }).pipe(Effect.scoped)
        assert.propertyVal(name, "name", "photo.png")

        const next = yield* chatOf(tokens, phone)
        yield* until(next, ({ sending }) => sending.length === 4)
        phone.setOffline(false)
        yield* run(() => next.open(id))
        yield* until(next, ({ sending }) => sending.length === 0)
        const photo = `photo.png ${hashOf(png)}`
        assert.deepStrictEqual(yield* stored(chat, id), [
          ["text", "before"],
          ["image", "", photo],
          ["file", "both", photo, `data.bin ${hashOf(bytes)}`],
          ["text", "after"]
        ])
        assert.deepStrictEqual(yield* run(() => phone.database.read("")).pipe(Effect.map(unsent)), [])
        // Each was uploaded once.
        assert.deepInclude(yield* run(() => chat.ask("user.storage", undefined)), { files: 3 })
      }).pipe(Effect.scoped)
    )

    it.effect("are sent through the tab that leads", () =>
      Effect.gen(function* () {
        const { chat, id, tokens } = yield* someone("tabs")
        const phone = device()
        const [first, second] = [yield* chatOf(tokens, phone), yield* chatOf(tokens, phone)]
        for (const tab of [first, second]) yield* until(tab, ({ connection }) => connection.status === "online")
        yield* run(() => second.send(id, "from the second", { attachments: [{ name: "photo.png", bytes: png }] }))
        assert.deepStrictEqual(yield* stored(chat, id), [["image", "from the second", `photo.png ${hashOf(png)}`]])
      }).pipe(Effect.scoped)
    )

    it.effect("that are refused make their message fail, until it is discarded", () =>
      Effect.gen(function* () {
        const { chat, id } = yield* someone("refused")
        const send = chat.send(id, "too large", {
          clientMessageId: "large",
          attachments: [new Blob([randomBytes(1_000_001)])]
        })
        assert.propertyVal(yield* refusalOf(send), "_tag", "TooLarge")
        const [failed] = chat.state.sending
        assert.deepInclude(failed, { status: "failed", uploaded: null })
        assert.propertyVal(yield* refusalOf(chat.retry(id, "large")), "_tag", "TooLarge")
        yield* run(() => chat.discard(id, "large"))
        yield* run(() => chat.send(id, "later"))
        assert.deepStrictEqual(yield* stored(chat, id), [["text", "later"]])
      }).pipe(Effect.scoped)
    )

    it.effect("that the service has already are not uploaded again after a restart, unless it has deleted them", () =>
      Effect.gen(function* () {
        const { chat, id, tokens } = yield* someone("restarted")
        const uploaded = yield* run(() => chat.upload({ name: "photo.png", bytes: png }))
        const sendLeft = (clientMessageId: string, attachmentId: string) =>
          Effect.gen(function* () {
            const { kept, outbox } = left({
              conversationId: ConversationId.make(id),
              clientMessageId: ClientMessageId.make(clientMessageId),
              senderId: UserId.make(chat.userId),
              body: clientMessageId,
              attachments: [
                {
                  name: "photo.png",
                  content: new Blob([png]),
                  attachment: { id: attachmentId, contentType: "image/png" }
                }
              ]
            })
            const next = yield* chatOf(tokens, { outbox })
            yield* run(() => next.open(id))
            yield* until(next, ({ sending }) => sending.length === 0 && next.state.connection.status === "online")
            assert.strictEqual(kept.size, 0)
          }).pipe(Effect.scoped)
        yield* sendLeft("still-there", uploaded.id)
        yield* sendLeft("deleted", "00000000-0000-4000-8000-000000000000")
        const photo = `photo.png ${hashOf(png)}`
        assert.deepStrictEqual(yield* stored(chat, id), [
          ["image", "still-there", photo],
          ["image", "deleted", photo]
        ])
        assert.deepInclude(yield* run(() => chat.ask("user.storage", undefined)), { files: 2 })
      }).pipe(Effect.scoped)
    )
  }
)

/** The keys of unsent messages in a database. */
const unsent = (entries: ReadonlyArray<readonly [string, unknown]>) =>
  entries.map(([key]) => key).filter((key) => key.includes("/outbox/"))

/** The first upload fails, the second one never ends. */
const flaky = Layer.effect(
  Attachments,
  Effect.map(Attachments, (attachments) => {
    let uploads = 0
    return Attachments.of({
      ...attachments,
      upload: (...upload) =>
        Effect.suspend(() => {
          switch (uploads++) {
            case 0:
              return Effect.fail(new Unavailable({ detail: "later" }))
            case 2:
              return Effect.never
            default:
              return attachments.upload(...upload)
          }
        })
    })
  })
)

layer(TestService.layer({}, { replace: flaky }), { excludeTestServices: true })(
  "the files of the client, while the store of files is unwell",
  (it) => {
    it.effect("are uploaded again, and an upload that does not end can be discarded", () =>
      Effect.gen(function* () {
        const { chat, id } = yield* someone("patient")
        const attachments = [{ name: "photo.png", bytes: png }]
        yield* run(() => chat.send(id, "one", { attachments }))
        const stuck = chat.send(id, "two", { attachments, clientMessageId: "stuck" })
        const after = chat.send(id, "three")
        yield* until(chat, ({ sending }) => sending.find(({ message }) => message.body === "two")?.uploaded !== null)
        yield* run(() => chat.discard(id, "stuck"))
        assert.propertyVal(yield* refusalOf(stuck), "_tag", "NotFound")
        yield* run(() => after)
        assert.deepStrictEqual(yield* stored(chat, id), [
          ["image", "one", `photo.png ${hashOf(png)}`],
          ["text", "three"]
        ])
      }).pipe(Effect.scoped)
    )
  }
)

/**
 * Replaces the network of this process until the scope closes. `pass` decides about each piece of an upload, by its
 * number: whether it reaches the service, or is lost on its way there. Lists the requests as method and path.
 */
const networkOf = (pass: (piece: number) => boolean | Promise<boolean>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const { fetch } = globalThis
        const asked: Array<string> = []
        let parts = 0
        globalThis.fetch = async (input, init) => {
          const request = new Request(input, init)
          const { pathname } = new URL(request.url)
          if (pathname.startsWith("/v1/uploads")) asked.push(`${request.method} ${pathname}`)
          if (request.method === "PATCH" && !(await pass(++parts))) throw new TypeError("the network is down")
          return fetch(request)
        }
        return { asked, fetch }
      }),
      ({ fetch }) =>
        Effect.sync(() => {
          globalThis.fetch = fetch
        })
    ),
    ({ asked }) => ({ asked, methods: () => asked.map((line) => line.split(" ", 1)[0]) })
  )

const large = randomBytes(12_000_000)

/** The beginning of a sound. */
const ogg = Buffer.concat([Buffer.from("OggS\0\x02"), Buffer.alloc(22), Buffer.from("OpusHead"), Buffer.alloc(60)])

/** A network on which the second piece never arrives; `reached` resolves when it is sent. */
const stuckNetwork = Effect.gen(function* () {
  const { promise: reached, resolve } = Promise.withResolvers<void>()
  const stuck = () => {
    resolve()
    return new Promise<boolean>(() => {})
  }
  return { ...(yield* networkOf((piece) => (piece === 2 ? stuck() : true))), reached }
})

layer(TestService.layer(), { excludeTestServices: true })("a large file of the client", (it) => {
  it.effect("is uploaded in parts, and goes on after a lost connection where it was", () =>
    Effect.gen(function* () {
      const { chat, id } = yield* someone("large")
      const { methods } = yield* networkOf((piece) => piece !== 2)
      const { id: attachmentId, size } = yield* run(() => chat.upload({ name: "film.bin", bytes: large }))
      assert.strictEqual(size, large.length)
      assert.deepStrictEqual(methods(), ["POST", "PATCH", "PATCH", "HEAD", "PATCH", "PATCH", "GET"])
      yield* run(() => chat.send(id, "", { type: "file", attachments: [attachmentId] }))
      assert.deepStrictEqual(yield* stored(chat, id), [["file", "", `film.bin ${hashOf(large)}`]])
    }).pipe(Effect.scoped)
  )

  it.effect("may have a waveform", () =>
    Effect.gen(function* () {
      const { chat } = yield* someone("long-speaker")
      const waveform = Array.from({ length: 64 }, (_, part) => 64 - part)
      const bytes = Buffer.concat([ogg, large])
      const uploaded = yield* run(() => chat.upload({ name: "note.ogg", bytes, waveform }))
      assert.deepStrictEqual(uploaded.waveform, waveform)
    }).pipe(Effect.scoped)
  )

  it.effect("of a message goes on in the next process, and is sent once", () =>
    Effect.gen(function* () {
      const { chat, id, tokens } = yield* someone("reloaded")
      const phone = device()
      const { methods, reached } = yield* stuckNetwork
      yield* Effect.gen(function* () {
        const first = yield* chatOf(tokens, phone)
        first.send(id, "a film", { attachments: [{ name: "film.bin", bytes: large }] }).catch(() => {})
        yield* run(() => reached)
      }).pipe(Effect.scoped)
      const next = yield* chatOf(tokens, phone)
      yield* run(() => next.open(id))
      yield* until(next, ({ conversations }) => conversations.get(ConversationId.make(id))?.messages?.length === 1)
      assert.deepStrictEqual(methods(), ["POST", "PATCH", "PATCH", "HEAD", "PATCH", "PATCH", "GET"])
      assert.deepStrictEqual(yield* stored(chat, id), [["file", "a film", `film.bin ${hashOf(large)}`]])
    }).pipe(Effect.scoped)
  )

  it.effect("that nobody wants any longer is deleted", () =>
    Effect.gen(function* () {
      const { url } = yield* TestService
      const { chat, id, tokens } = yield* someone("regretful")
      const { asked, reached } = yield* stuckNetwork
      const file = { name: "film.bin", bytes: large }
      const gone = Effect.gen(function* () {
        const path = asked.find((line) => line.startsWith("PATCH"))?.split(" ")[1] ?? ""
        const headers = { authorization: `Bearer ${tokens.accessToken}`, "tus-resumable": "1.0.0" }
        const status = run(async () => (await fetch(url + path, { method: "HEAD", headers })).status)
        yield* Effect.repeat(Effect.delay(status, 50), { until: (status) => status === 404 })
        asked.length = 0
      }).pipe(Effect.timeout(patience))
      const sent = chat.send(id, "a film", { clientMessageId: "film", attachments: [file] })
      yield* run(() => reached)
      yield* run(() => chat.discard(id, "film"))
      assert.propertyVal(yield* refusalOf(sent), "_tag", "NotFound")
      yield* gone
      const abort = new AbortController()
      const reason = new Error("never mind")
      const onProgress = () => abort.abort(reason)
      assert.strictEqual(yield* refusalOf(chat.upload(file, { signal: abort.signal, onProgress })), reason)
      yield* gone
    }).pipe(Effect.scoped)
  )
})
