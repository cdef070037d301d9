import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Layer, Scope } from "effect"
import {
  Chat,
  type ChatState,
  type Database,
  memoryDatabase,
  type OpenSocket,
  Refused,
  type TokenSource
} from "../../src/client/Client.ts"
import { Credentials, makeHttp } from "../../src/client/Effect.ts"
import { CloseCode } from "../../src/domain/Protocol.ts"
import { TestIssuer, TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"

const service = Layer.unwrap(
  Effect.map(TestIssuer, ({ settings }) =>
    TestService.layer({ auth: { issuers: [settings] }, timers: { sessionExpiring: 60_000 } })
  )
).pipe(Layer.provideMerge(TestIssuer.layer()))

/** An app whose server signs a token for its user whenever it is asked, and counts how often. */
const appOf = (sub: string, lifeSeconds = 3600) =>
  Effect.gen(function* () {
    const { sign } = yield* TestIssuer
    const run = Effect.runPromiseWith(yield* Effect.context<never>())
    const app = { asked: 0, isDown: false, lifeSeconds }
    const token: TokenSource = () => {
      app.asked++
      if (app.isDown) return Promise.reject(new Error("the app is down"))
      // Issued a minute ago, because the service grants half a minute more than the token says.
      const iat = Math.floor(Date.now() / 1000) - 60
      return run(sign({ sub, sid: `session of ${sub}`, name: sub, iat }, { expiresInSeconds: app.lifeSeconds - 30 }))
    }
    return Object.assign(app, { token })
  })

const chatOf = (token: TokenSource, options: { database?: Database; openSocket?: OpenSocket; url?: string } = {}) =>
  Effect.gen(function* () {
    const { url } = yield* TestService
    return yield* Effect.acquireRelease(
      Effect.sync(() => new Chat({ url, token, ...options })),
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

const ready = (chat: Chat) => Effect.promise(() => chat.ready())

/** Opens sockets, and tells what they send and how they are closed. */
const watched = (onSend: (op: string) => void = () => {}) => {
  const sent: Array<string> = []
  const closed: Array<number> = []
  const openSocket: OpenSocket = (url, protocols) => {
    const socket = new WebSocket(url, [...protocols])
    socket.addEventListener("close", ({ code }) => closed.push(code))
    return {
      send: (text) => {
        const { op } = JSON.parse(text)
        sent.push(op)
        socket.send(text)
        onSend(op)
      },
      close: (code) => socket.close(code),
      addEventListener: socket.addEventListener.bind(socket)
    }
  }
  return { openSocket, sent, closed }
}

/** A service without a way to it. */
const nowhere = "http://127.0.0.1:9"

layer(service, { excludeTestServices: true })("a client with the tokens of an app", (it) => {
  it.effect("signs in, learns who it is, and asks for another token before one expires, on the same socket", () =>
    Effect.gen(function* () {
      // The service asks for another one when half of its time is over.
      const app = yield* appOf("renewing", 6)
      const renewed = yield* Deferred.make<void>()
      const { closed, openSocket, sent } = watched((op) => {
        if (op === "auth.token") Deferred.doneUnsafe(renewed, Effect.void)
      })
      const chat = yield* chatOf(app.token, { openSocket })
      assert.strictEqual(chat.userId, "")
      yield* ready(chat)
      assert.strictEqual(chat.userId, chat.state.me?.id)
      assert.strictEqual(chat.state.me?.displayName, "renewing")
      yield* Effect.timeout(Deferred.await(renewed), patience)
      const renewals = sent.filter((op) => op === "auth.token").length
      assert.isAtLeast(app.asked, renewals + 1)
      assert.isAtMost(app.asked, renewals + 2)
      assert.deepStrictEqual(closed, [])
    }).pipe(Effect.scoped)
  )

  it.effect("asks again, after pauses, while the app cannot give one, and goes on then", () =>
    Effect.gen(function* () {
      const app = yield* appOf("waiting", 2)
      const { closed, openSocket } = watched()
      const chat = yield* chatOf(app.token, { openSocket })
      yield* ready(chat)
      app.isDown = true
      yield* until(chat, ({ connection }) => connection.status === "waiting" && connection.pauseMs > 0)
      assert.strictEqual(closed.at(-1), CloseCode.tokenExpired)
      const sockets = closed.length
      const asked = app.asked
      app.lifeSeconds = 3600
      app.isDown = false
      // A wake ends the pause: the token is asked for once more, and it is a good one.
      yield* Effect.promise(() => chat.wake())
      yield* until(chat, ({ connection }) => connection.status === "online")
      assert.strictEqual(app.asked, asked + 1)
      assert.strictEqual(closed.length, sockets, "no token that had expired was tried again")
    }).pipe(Effect.scoped)
  )

  it.effect(
    "takes another token when the service does not know the key of one, and ends when that is refused too",
    () =>
      Effect.gen(function* () {
        const { issuer, sign } = yield* TestIssuer
        const withdrawn = yield* TestIssuer.make({ issuer })
        const run = Effect.runPromiseWith(yield* Effect.context<never>())
        const database = memoryDatabase()
        const given: Array<typeof sign> = [sign, withdrawn.sign, sign, withdrawn.sign]
        // Issued before the service has fetched the keys, so that an unknown one cannot be a new one.
        const iat = Math.floor(Date.now() / 1000) - 300
        const token: TokenSource = () => run((given.shift() ?? withdrawn.sign)({ sub: "withdrawn", iat }))
        const { closed, openSocket } = watched()
        const visit = Effect.gen(function* () {
          const chat = yield* chatOf(token, { database, openSocket })
          yield* until(chat, ({ connection }) => ["online", "closed"].includes(connection.status))
          return chat.state.connection
        }).pipe(Effect.scoped)
        yield* visit
        assert.strictEqual((yield* visit).status, "online")
        assert.isEmpty(given.slice(1))
        const refused = yield* visit
        assert.strictEqual(refused.status === "closed" ? refused.why?.code : 0, CloseCode.unauthenticated)
        const code = CloseCode.unauthenticated
        assert.deepStrictEqual(
          closed.filter((one) => one >= CloseCode.internal),
          [code, code, code]
        )
      }).pipe(Effect.scoped)
  )

  it.effect("ends when the service does not know the user from the start", () =>
    Effect.gen(function* () {
      const stranger = yield* TestIssuer.make()
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      const chat = yield* chatOf(() => run(stranger.sign({ sub: "unknown" })))
      yield* until(chat, ({ connection }) => connection.status === "closed")
      const error = yield* Effect.promise(() => chat.open("x").catch((error: unknown) => error))
      assert.instanceOf(error, Refused)
    }).pipe(Effect.scoped)
  )

  it.effect("ends when the app rejects with Refused, as it does when the user has signed out of it", () =>
    Effect.gen(function* () {
      const chat = yield* chatOf(() => Promise.reject(new Refused({ code: CloseCode.sessionRevoked })))
      yield* until(chat, ({ connection }) => connection.status === "closed")
      const { connection } = chat.state
      assert.strictEqual(connection.status === "closed" ? connection.why?.code : 0, CloseCode.sessionRevoked)
    }).pipe(Effect.scoped)
  )

  it.effect("asks once for all requests over HTTP that wait, and repeats them with the new token", () =>
    Effect.gen(function* () {
      const { url } = yield* TestService
      const { sign } = yield* TestIssuer
      const app = yield* appOf("http")
      const expired = yield* sign({ sub: "http" }, { expiresInSeconds: -3600 })
      const token: TokenSource = async () => {
        const given = await app.token()
        return app.asked === 1 ? expired : given
      }
      const scope = yield* Scope.make()
      const credentials = yield* Layer.buildWithScope(Credentials.external({ url, token }), scope)
      // Who the user is was asked with the second token already.
      assert.strictEqual(app.asked, 2)
      const http = yield* Effect.provide(makeHttp(url), credentials)
      const names = yield* Effect.forEach([1, 2, 3], () => http.user.me({}), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        names.map(({ displayName }) => displayName),
        ["http", "http", "http"]
      )
      const held = yield* Effect.provide(Credentials, credentials)
      const old = yield* held.token
      const renewed = yield* Effect.forEach([1, 2, 3], () => held.renewed(old), { concurrency: "unbounded" })
      assert.strictEqual(new Set(renewed).size, 1)
      assert.strictEqual(app.asked, 3)
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
    }).pipe(Effect.scoped)
  )

  it.effect("shares one socket among tabs, and shows what it had when neither app nor service can be reached", () =>
    Effect.gen(function* () {
      const app = yield* appOf("tabs")
      const database = memoryDatabase()
      const { openSocket, sent } = watched()
      yield* Effect.gen(function* () {
        const tabs = [yield* chatOf(app.token, { database, openSocket })]
        yield* Effect.forEach(tabs, ready)
        tabs.push(yield* chatOf(app.token, { database, openSocket }))
        yield* Effect.forEach(tabs, ready)
        const [one, other] = tabs
        const { id } = yield* Effect.promise(async () =>
          one?.ask("conversation.create", { kind: "group", title: "Kept", memberIds: [] })
        ).pipe(Effect.map((made) => made ?? assert.fail("no group")))
        if (other === undefined) return
        yield* until(other, ({ conversations }) => conversations.has(id))
        assert.strictEqual(other.userId, one?.userId)
        assert.strictEqual(sent.filter((op) => op === "hello").length, 1)
      }).pipe(Effect.scoped)

      app.isDown = true
      const offline = yield* chatOf(app.token, { database, url: nowhere })
      yield* until(offline, ({ conversations }) => conversations.size === 1)
      assert.strictEqual(offline.userId, offline.state.me?.id)
      yield* Effect.promise(() => offline.forget())
      assert.isEmpty(yield* Effect.promise(() => database.read("")))
    }).pipe(Effect.scoped)
  )

  it.effect("is refused when it began offline as another user, and shows the right one from then on", () =>
    Effect.gen(function* () {
      const [ann, bob] = [yield* appOf("ann-here"), yield* appOf("bob-here")]
      const database = memoryDatabase()
      const first = yield* chatOf(ann.token, { database })
      yield* ready(first)
      yield* Effect.promise(() => first.close())
      bob.isDown = true
      const confused = yield* chatOf(bob.token, { database })
      yield* until(confused, ({ connection }) => connection.status === "waiting")
      bob.isDown = false
      yield* Effect.promise(() => confused.wake())
      yield* until(confused, ({ connection }) => connection.status === "closed")
      const next = yield* chatOf(bob.token, { database })
      yield* ready(next)
      assert.strictEqual(next.state.me?.displayName, "bob-here")
    }).pipe(Effect.scoped)
  )
})
