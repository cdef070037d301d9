import { Effect, FiberMap, Option, Queue, Schema } from "effect"
import type { Ephemeral, Event } from "../domain/Event.ts"
import type { ConversationId, MessageId } from "../domain/Ids.ts"
import type { Problem } from "../domain/Problem.ts"
import { CloseCode } from "../domain/Protocol.ts"
import { type Closed, type Connection, connect, lostCode, type OpenSocket, type Unasked } from "./Connection.ts"
import type { Credentials } from "./Credentials.ts"
import type { ConnectionLost, Refused } from "./Failures.ts"
import { Greeting } from "./Frames.ts"
import { makeAsk } from "./Operations.ts"
import { jitter } from "./Platform.ts"
import type { Todo } from "./state/Held.ts"
import type { Store } from "./state/Store.ts"

/** An event that the state already includes. */
export type ChatEvent = Event | Ephemeral

/** The parts of the client that a connection works on. */
export interface Engine {
  readonly url: string
  readonly openSocket: OpenSocket
  readonly client: { readonly name?: string; readonly version?: string } | undefined
  readonly credentials: Credentials["Service"]
  readonly store: Store
  /** Publishes the state of the store, and these events. */
  readonly publish: (events: ReadonlyArray<ChatEvent>) => Effect.Effect<void>
  /** Called when the service has answered hello: commands may be sent. */
  readonly greeted: (connection: Connection, greeting: Greeting) => Effect.Effect<void>
  /** Called for each `ready`: the next connection can resume from here. `done`: all that was missed has arrived. */
  readonly ready: (greeting: Greeting, done: boolean) => Effect.Effect<unknown>
}

const decodeGreeting = Schema.decodeUnknownEffect(Greeting)

/** A hello is limited to 256 KiB: conversations beyond this number are sent as added. */
const mostCursors = 4000

/** After a while without a connection, the profiles of this many people are read again. */
const mostProfiles = 200

/** How long an answer to `ping` may take. */
const pingTimeout = "10 seconds"

/** Counts that do not fit the state yet are fetched again after this pause. */
const recountPause = "200 millis"

const closeAsLost = { code: lostCode }

/** What a connection has received: the user seq, and the epoch of the log that the cursors belong to. */
export type LastConnection = Pick<Greeting, "userSeq" | "epoch">

/** Says hello, and returns the answer. Ends with the connection when the service refuses. */
const greet = ({ command, cut, frames }: Connection, hello: unknown) =>
  command("hello", hello).pipe(
    Effect.flatMap((ok) => Effect.orDie(decodeGreeting(ok))),
    // The close code gives the reason.
    Effect.catchTag("ConnectionLost", () => Effect.andThen(cut(closeAsLost), Effect.forever(Queue.take(frames))))
  )

/** Reads the profiles of others again, since nobody told their changes. Those that cannot be had stay as they are. */
const readProfiles = ({ publish, store }: Engine, { command }: Connection) =>
  Effect.suspend(() => {
    const userIds = store.peers(mostProfiles)
    if (userIds.length === 0) return Effect.void
    return Effect.flatMap(makeAsk(command)("user.list", { userIds }), ({ items }) => {
      store.profiles(items)
      return publish([])
    })
  }).pipe(Effect.ignore)

/** The requests that a connection makes next to the events, to fetch what the events alone do not tell. */
const makeJobs = Effect.fnUntraced(function* ({ publish, store }: Engine, { command, cut }: Connection) {
  const jobs = yield* FiberMap.make<string>()
  const ask = makeAsk(command)

  /**
   * Starts a job and ends the previous one of that name. When it fails, the connection ends, and the next one tries
   * again.
   */
  const job = (name: string, effect: Effect.Effect<void, Problem | ConnectionLost>, onlyIfMissing = false) =>
    FiberMap.run(
      jobs,
      name,
      Effect.catch(effect, ({ _tag }) => (_tag === "NotFound" ? Effect.void : cut(closeAsLost))),
      { onlyIfMissing }
    )

  const recount = (conversationId: ConversationId): Effect.Effect<void, Problem | ConnectionLost> =>
    Effect.flatMap(ask("conversation.get", { conversationId }), (found) =>
      store.recounted(found) ? publish([]) : Effect.delay(recount(conversationId), recountPause)
    )

  const refetch = (conversationId: ConversationId): Effect.Effect<void, Problem | ConnectionLost> =>
    Effect.gen(function* () {
      const found = yield* ask("conversation.get", { conversationId })
      const isOpen = (store.get(conversationId)?.messages ?? null) !== null
      const page = isOpen ? yield* ask("message.list", { conversationId }) : undefined
      const open = [...(store.get(conversationId)?.threads.keys() ?? [])]
      const threads = yield* Effect.forEach(open, (messageId) =>
        Effect.map(ask("thread.list", { conversationId, messageId }), (thread) => [messageId, thread] as const)
      )
      yield* take(conversationId, () => store.refetched(found, page, new Map(threads)))
    })

  /** Events do not carry votes, since all members get the same event. */
  const vote = (conversationId: ConversationId, messageId: MessageId) =>
    Effect.flatMap(ask("message.get", { conversationId, messageId }), (message) => {
      store.voted(message)
      return publish([])
    })

  /** The drafts of before. From then on events say what becomes of them. */
  const drafts = (cursor?: string): Effect.Effect<void, Problem | ConnectionLost> =>
    Effect.flatMap(ask("draft.list", cursor === undefined ? {} : { cursor }), ({ items, nextCursor }) => {
      store.drafts(items)
      return nextCursor === undefined ? publish([]) : drafts(nextCursor)
    }).pipe(Effect.catchTag("RateLimited", ({ retryAfterMs }) => Effect.delay(drafts(cursor), retryAfterMs)))

  /** Does what the store asks for after an event. */
  const act = (id: ConversationId, todo: Todo): Effect.Effect<unknown> => {
    switch (todo) {
      case "gap":
        return cut({ code: lostCode, atOnce: true })
      case "refetch":
        return job(`refetch ${id}`, refetch(id))
      case "recount":
        return job(`recount ${id}`, recount(id))
      case undefined:
        return Effect.void
      default:
        return job(`vote ${todo.vote}`, vote(id, todo.vote))
    }
  }

  /** Events that the store has applied are published, whatever happens to the connection. */
  const take = (id: ConversationId, into: () => { readonly events: ReadonlyArray<Event>; readonly todo: Todo }) =>
    Effect.suspend(() => {
      const { events, todo } = into()
      return Effect.andThen(publish(events), act(id, todo))
    }).pipe(Effect.uninterruptible)

  return { act, drafts, job, take }
})

/** Makes a function that receives the frames of a connection, in order. */
const makeReceive = (
  engine: Engine,
  connection: Connection,
  { act, drafts, job, take }: Effect.Success<ReturnType<typeof makeJobs>>,
  { greeting, token }: { readonly greeting: Greeting; readonly token: string }
) => {
  const { credentials, publish, ready, store } = engine
  const { command, cut } = connection
  let current = token
  const renewed = (attempt: number): Effect.Effect<string, Refused> =>
    Effect.catchTag(credentials.renewed(current), "ConnectionLost", () =>
      Effect.flatMap(jitter(attempt), (pause) => Effect.delay(renewed(attempt + 1), pause))
    )
  const renew = Effect.gen(function* () {
    current = yield* renewed(0)
    yield* command("auth.token", { token: current })
    // Without a new token the service closes with 4004, and the next connection learns why there is none.
  }).pipe(Effect.catchTag("Refused", () => Effect.void))

  const listen = (frame: Extract<Unasked, { _tag: "Aside" }>["aside"]) =>
    Effect.gen(function* () {
      switch (frame.event) {
        case "ready": {
          const { conversations, done = false } = frame.data
          if (conversations !== undefined) store.listed(conversations)
          yield* publish([])
          yield* ready(greeting, done)
          if (!done) return
          if (frame.data.resumed === true) yield* job("profiles", readProfiles(engine, connection))
          if (!store.hasDrafts)
            yield* job(
              "drafts",
              Effect.andThen(
                drafts(),
                Effect.sync(() => {
                  store.hasDrafts = true
                })
              )
            )
          return yield* Effect.forEach(store.unfinished(), ([id, todo]) => act(id, todo), { discard: true })
        }
        case "ping":
          return yield* job("ping", Effect.asVoid(command("ping", {})))
        case "session.expiring":
          return yield* job("renew", renew, true)
        case "reconnect":
          return yield* job(
            "reconnect",
            Effect.delay(cut({ code: CloseCode.draining, atOnce: true }), frame.data.afterMs)
          )
        case "user.updated":
          store.profiles([frame.data.user])
          return yield* publish([frame])
        default:
          if (frame.conversationId !== undefined) yield* act(frame.conversationId, store.aside(frame))
          yield* publish([frame])
      }
    })

  return (frame: Unasked) =>
    Effect.gen(function* () {
      if (frame._tag === "Aside") return yield* listen(frame.aside)
      if (frame._tag === "Unknown") return
      yield* take(frame.conversationId, () => store.log(frame))
    })
}

/**
 * Runs one connection from hello to its end, with which it fails. `last` is what the previous connection has received;
 * undefined asks for the whole list.
 */
export const runSession = (
  engine: Engine,
  token: string,
  last: LastConnection | undefined
): Effect.Effect<never, Closed | Problem> =>
  Effect.gen(function* () {
    const { client, openSocket, store, url } = engine
    const connection = yield* connect(openSocket, `${url.replace(/^http/, "ws").replace(/\/$/, "")}/v1/ws`)
    const { command, cut, frames } = connection
    const jobs = yield* makeJobs(engine, connection)
    store.connected()

    const greeting = yield* greet(connection, {
      token,
      ...(client !== undefined && { client }),
      ...(last !== undefined && { cursors: store.cursors(mostCursors), ...last })
    })
    // Offline the client may have begun as the user before, who is not the one of this token.
    if (greeting.user.id !== engine.credentials.userId) return yield* Effect.fail({ code: CloseCode.unauthenticated })
    yield* engine.greeted(connection, greeting)
    const receive = makeReceive(engine, connection, jobs, { greeting, token })

    /** When the service has sent nothing for too long, `ping` asks whether it is still there. */
    const next = Effect.timeoutOption(Queue.takeAll(frames), greeting.heartbeatMs).pipe(
      Effect.flatMap(
        Option.match({
          onSome: (batch) => Effect.forEach(batch, receive, { discard: true }),
          onNone: () =>
            command("ping", {}).pipe(
              Effect.timeoutOrElse({ duration: pingTimeout, orElse: () => cut(closeAsLost) }),
              Effect.ignore
            )
        })
      )
    )
    return yield* Effect.forever(next)
  }).pipe(Effect.scoped)
