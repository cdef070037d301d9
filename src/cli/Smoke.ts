import { Clock, Console, Context, Effect, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Credentials, login, register } from "../client/Credentials.ts"
import { ConnectionLost } from "../client/Failures.ts"
import { Realtime } from "../client/Realtime.ts"
import { ClientMessageId } from "../domain/Ids.ts"
import type { Tokens } from "../domain/Session.ts"
import { CliFailure, wordsOf } from "./CliFailure.ts"

const short = () => crypto.randomUUID().slice(0, 8)

/** Runs one step, and prints its name with how long it took or how it failed. */
const step = <A, E extends Error, R>(name: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const since = yield* Clock.currentTimeMillis
    const result = yield* effect.pipe(
      Effect.timeout("15 seconds"),
      Effect.mapError((failure) => new CliFailure({ message: `${name} failed: ${wordsOf(failure)}` }))
    )
    yield* Console.log(`ok  ${name} (${(yield* Clock.currentTimeMillis) - since} ms)`)
    return result
  })

const newcomer = Effect.fnUntraced(function* (url: string) {
  const username = `smoke-${short()}`
  const password = crypto.randomUUID()
  yield* register(url, { username, password, displayName: "Smoke test", email: `${username}@example.invalid` })
  return yield* login(url, { login: username, password })
})

const connect = Effect.fnUntraced(function* (url: string, tokens: Tokens) {
  const layer = Realtime.layer({ url }).pipe(Layer.provide(Credentials.layer({ url, tokens })))
  const realtime = Context.get(yield* Layer.build(layer), Realtime)
  yield* realtime.changes.pipe(
    Stream.filter(({ connection }) => connection.status === "online"),
    Stream.runHead
  )
  return realtime
})

/**
 * Tests a deployment from outside: whether it is ready, and whether two new users can sign in, connect, exchange
 * messages live and read the history. Their accounts, `smoke-…`, stay.
 */
export const smoke = (url: string) =>
  Effect.gen(function* () {
    yield* step(
      "ready",
      Effect.gen(function* () {
        const { status } = yield* Effect.mapError(
          HttpClient.get(new URL("/ready", url)),
          (cause) => new ConnectionLost({ cause })
        )
        if (status !== 200) return yield* new CliFailure({ message: `/ready answers ${status}` })
      })
    )
    const ann = yield* step("register and log in", newcomer(url))
    const bob = yield* step("register and log in another", newcomer(url))
    const a = yield* step("connect", connect(url, ann))
    const b = yield* step("connect the other", connect(url, bob))
    const { id } = yield* step(
      "start a conversation",
      a.ask("conversation.create", { kind: "dm", userId: bob.user.id })
    )
    yield* step("open it on both sides", Effect.andThen(a.open(id), b.open(id)))
    const body = `smoke ${short()}`
    yield* step("send", a.send({ conversationId: id, clientMessageId: ClientMessageId.make(short()), body }))
    yield* step(
      "receive live",
      b.changes.pipe(
        Stream.filter(
          ({ conversations }) => conversations.get(id)?.messages?.some((message) => message.body === body) === true
        ),
        Stream.runHead
      )
    )
    const { items } = yield* step("read the history", b.ask("message.list", { conversationId: id }))
    if (!items.some((message) => message.body === body))
      return yield* new CliFailure({ message: "the history lacks what was sent" })
  }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
