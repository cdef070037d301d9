import { Effect, FiberMap, Option, Queue, Schema } from "effect"
import type { Ephemeral, Event } from "../domain/Event.ts"
import type { ConversationId } from "../domain/Ids.ts"
import type { Problem } from "../domain/Problem.ts"
import { type Closed, type Connection, connect, type OpenSocket, type Unasked } from "./Connection.ts"
import type { Credentials } from "./Credentials.ts"
import type { ConnectionLost } from "./Failures.ts"
import { Greeting } from "./Frames.ts"
import { makeAsk } from "./Operations.ts"
import type { Store, Todo } from "./Store.ts"

/** Something that happened, after the state has taken it in. */
export type ChatEvent = Event | Ephemeral

/** What a connection works on. */
export interface Engine {
  readonly url: string
  readonly openSocket: OpenSocket
  readonly client: { readonly name?: string; readonly version?: string } | undefined
  readonly credentials: Credentials["Service"]
  readonly store: Store
  /** Shows the store as it is now, and tells what has happened. */
  readonly tell: (events: ReadonlyArray<ChatEvent>) => Effect.Effect<void>
  /** The service has said who this is; commands may be sent. */
  readonly greeted: (connection: Connection, greeting: Greeting) => Effect.Effect<void>
  /** The list has begun, so that the next connection can go on from here; `done`: all that was missed has come. */
  readonly ready: (greeting: Greeting, done: boolean) => Effect.Effect<void>
}

const decodeGreeting = Schema.decodeUnknownEffect(Greeting)

/** A hello is limited to 256 KiB; conversations beyond this many come as added. */
const mostCursors = 4000

/** The longest that an answer to `ping` may take. */
const pingPatience = "10 seconds"

/**
 * One connection from hello to its end, which is all it can come to. `userSeq` is what the last one ended with;
 * undefined asks for everything.
 */
export const runSession = (
  engine: Engine,
  token: string,
  userSeq: number | undefined
): Effect.Effect<never, Closed | Problem> =>
  Effect.gen(function* () {
    const { client, credentials, openSocket, store, tell, url } = engine
    const connection = yield* connect(openSocket, `${url.replace(/^http/, "ws").replace(/\/$/, "")}/v1/ws`)
    const { command, cut, frames } = connection
    const ask = makeAsk(command)
    const jobs = yield* FiberMap.make<string>()
    store.connected()

    const hello = {
      token,
      ...(client !== undefined && { client }),
      ...(userSeq !== undefined && { cursors: store.cursors(mostCursors), userSeq })
    }
    const greeting = yield* command("hello", hello).pipe(
      Effect.flatMap((ok) => Effect.orDie(decodeGreeting(ok))),
      // The close code says why.
      Effect.catchTag("ConnectionLost", () => Effect.andThen(cut({ code: 1006 }), Effect.forever(Queue.take(frames))))
    )
    yield* engine.greeted(connection, greeting)

    /** Takes the place of the one before of that name. What cannot be done on this connection can be on the next. */
    const job = (name: string, effect: Effect.Effect<void, Problem | ConnectionLost>, onlyIfMissing = false) =>
      FiberMap.run(
        jobs,
        name,
        Effect.catch(effect, ({ _tag }) => (_tag === "NotFound" ? Effect.void : cut({ code: 1006 }))),
        { onlyIfMissing }
      )

    const recount = (conversationId: ConversationId): Effect.Effect<void, Problem | ConnectionLost> =>
      Effect.flatMap(ask("conversation.get", { conversationId }), (found) =>
        store.recounted(found) ? tell([]) : Effect.delay(recount(conversationId), "200 millis")
      )

    const refetch = (conversationId: ConversationId): Effect.Effect<void, Problem | ConnectionLost> =>
      Effect.gen(function* () {
        const found = yield* ask("conversation.get", { conversationId })
        const isOpen = (store.get(conversationId)?.messages ?? null) !== null
        const page = isOpen ? yield* ask("message.list", { conversationId }) : undefined
        yield* take(conversationId, () => store.refetched(found, page))
      })

    const act = (id: ConversationId, todo: Todo): Effect.Effect<unknown> => {
      switch (todo) {
        case "gap":
          return cut({ code: 1006, atOnce: true })
        case "refetch":
          return job(`refetch ${id}`, refetch(id))
        case "recount":
          return job(`recount ${id}`, recount(id))
        default:
          return Effect.void
      }
    }

    /** What the store has taken in is told, whatever happens to the connection. */
    const take = (id: ConversationId, into: () => { readonly events: ReadonlyArray<Event>; readonly todo: Todo }) =>
      Effect.suspend(() => {
        const { events, todo } = into()
        return Effect.andThen(tell(events), act(id, todo))
      }).pipe(Effect.uninterruptible)

    const renew = Effect.gen(function* () {
      const renewed = yield* Effect.orElseSucceed(credentials.renewed(token), () => undefined)
      // Without a new one the service closes with 4004, and the next connection sees to it.
      if (renewed !== undefined) yield* command("auth.token", { token: renewed })
    })

    const listen = (frame: Extract<Unasked, { _tag: "Aside" }>["aside"]) =>
      Effect.gen(function* () {
        switch (frame.event) {
          case "ready": {
            const { conversations, done = false } = frame.data
            if (conversations !== undefined) store.listed(conversations)
            yield* tell([])
            yield* engine.ready(greeting, done)
            if (!done) return
            return yield* Effect.forEach(store.unfinished(), ([id, todo]) => act(id, todo), { discard: true })
          }
          case "ping":
            return yield* job("ping", Effect.asVoid(command("ping", {})))
          case "session.expiring":
            return yield* job("renew", renew, true)
          case "reconnect":
            return yield* job("reconnect", Effect.delay(cut({ code: 4005, atOnce: true }), frame.data.afterMs))
          default:
            if (frame.conversationId !== undefined) yield* act(frame.conversationId, store.aside(frame))
            yield* tell([frame])
        }
      })

    const receive = (frame: Unasked) =>
      Effect.gen(function* () {
        if (frame._tag === "Aside") return yield* listen(frame.aside)
        if (frame._tag === "Unknown") return
        yield* take(frame.conversationId, () => store.log(frame))
      })

    /** After a silence that is too long, a sign of life is asked for. */
    const next = Effect.timeoutOption(Queue.takeAll(frames), greeting.heartbeatMs).pipe(
      Effect.flatMap(
        Option.match({
          onSome: (batch) => Effect.forEach(batch, receive, { discard: true }),
          onNone: () =>
            command("ping", {}).pipe(
              Effect.timeoutOrElse({ duration: pingPatience, orElse: () => cut({ code: 1006 }) }),
              Effect.ignore
            )
        })
      )
    )
    return yield* Effect.forever(next)
  }).pipe(Effect.scoped)
