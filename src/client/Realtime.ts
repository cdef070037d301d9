import { Clock, Context, Effect, Latch, Layer, PubSub, Schema, Semaphore, Stream, SubscriptionRef } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Ack } from "../domain/Message.ts"
import { type Presence, PresenceList } from "../domain/Presence.ts"
import { NotFound, type Problem } from "../domain/Problem.ts"
import { type Closed, type Connection, globalWebSocket, type OpenSocket } from "./Connection.ts"
import { Credentials } from "./Credentials.ts"
import { Refused } from "./Failures.ts"
import { type Ask, type CommandError, makeAsk } from "./Operations.ts"
import { jitter, makeOutbox, noStorage, type OutboxStorage, type SendError } from "./Outbox.ts"
import { type ChatEvent, type Engine, runSession } from "./Session.ts"
import { type ChatState, emptyState, type PendingMessage } from "./State.ts"
import { Store } from "./Store.ts"

export interface RealtimeOptions {
  /** Of the service: `https://chat.example.com`. */
  readonly url: string
  /** How to open a WebSocket; the global one when it is left out. */
  readonly openSocket?: OpenSocket | undefined
  /** Where unsent messages are kept; only in the client itself when it is left out. */
  readonly outbox?: OutboxStorage | undefined
  /** Told to the service with hello. */
  readonly client?: { readonly name?: string; readonly version?: string } | undefined
}

const decodePresence = Schema.decodeUnknownEffect(PresenceList)

/** A connection that lasted this long was a good one: the next pause starts small again. */
const lastingMs = 10_000

const tokenExpired = 4004
const isFinal = (code: number) => code >= 4500 && code < 5000

/**
 * The user's conversations, live: connects, resumes where it was, renews tokens, repairs what was missed, sends until
 * acknowledged, and merges all of it into one state. Runs until its scope closes or the service refuses it for good.
 */
export class Realtime extends Context.Service<
  Realtime,
  {
    readonly state: Effect.Effect<ChatState>
    /** The state as it is, then after each change. */
    readonly changes: Stream.Stream<ChatState>
    /**
     * What happens from now on: the durable events of each conversation in order and each once, whatever the connection
     * does. After a `conversation.reset` some are missing: the state has what they made. Ends with the client.
     */
    readonly events: Stream.Stream<ChatEvent, Refused>
    /** Asks for an operation by its name, as soon as there is a connection. It is not tried again. */
    readonly ask: Ask<CommandError>
    /** Succeeds once the message is stored for good, however long that takes. */
    readonly send: (message: Omit<PendingMessage, "senderId">) => Effect.Effect<Ack, SendError>
    /** Forgets a message that failed. */
    readonly discard: (conversationId: ConversationId, clientMessageId: string) => Effect.Effect<void>
    /** Holds the newest page of the history in the state from now on. */
    readonly open: (conversationId: ConversationId) => Effect.Effect<void, Problem | Refused>
    /** Adds the page before the oldest message that is held. */
    readonly loadOlder: (conversationId: ConversationId) => Effect.Effect<void, Problem | Refused>
    /** Keeps the presence of these users in the state too. */
    readonly watch: (userIds: ReadonlyArray<UserId>) => Effect.Effect<void, CommandError>
    /** Ends a pause before the next try, as when the device is known to be back online. */
    readonly wake: Effect.Effect<void>
  }
>()("chat/client/Realtime") {
  static readonly layer = (options: RealtimeOptions) => Layer.effect(Realtime, make(options))
}

const make = Effect.fnUntraced(function* (options: RealtimeOptions) {
  const credentials = yield* Credentials
  const me = credentials.userId
  const store = new Store(me)
  const state = yield* SubscriptionRef.make(emptyState)
  const happened = yield* PubSub.unbounded<ChatEvent | null>()
  const paging = yield* Semaphore.make(1)
  const alarm = yield* Latch.make(false)
  /** Open while `current` is something. */
  const gate = yield* Latch.make(false)
  const watched = new Set<UserId>()
  let current: Connection | Refused | undefined
  let userSeq: number | undefined
  let onlineSince: number | undefined

  const update = (change: Partial<ChatState>) => SubscriptionRef.update(state, (now) => ({ ...now, ...change }))

  const connected: Effect.Effect<Connection, Refused> = Effect.suspend(() => {
    if (current instanceof Refused) return Effect.fail(current)
    return current === undefined ? Effect.andThen(gate.await, connected) : Effect.succeed(current)
  })

  const setCurrent = (next: typeof current) =>
    Effect.suspend(() => {
      current = next
      return next === undefined ? gate.close : gate.open
    })

  const command = (op: string, data: unknown): Effect.Effect<unknown, CommandError> =>
    Effect.flatMap(connected, (connection) => connection.command(op, data))

  const ask = makeAsk(command)

  const publish: Effect.Effect<void> = Effect.suspend(() => {
    const { conversations } = store
    outbox.settle((id) => conversations.get(id)?.conversation.seq)
    return update({ conversations, sending: outbox.sending })
  })

  const outbox = yield* makeOutbox(options.outbox ?? noStorage, command, publish)

  const present = (items: ReadonlyArray<Presence>) =>
    SubscriptionRef.update(state, (now) => ({
      ...now,
      presence: new Map([...now.presence, ...items.map((item) => [item.userId, item] as const)])
    }))

  const watch = (userIds: ReadonlyArray<UserId>) =>
    Effect.gen(function* () {
      for (const userId of userIds) watched.add(userId)
      if (userIds.length === 0) return
      const answer = yield* command("presence.subscribe", { userIds })
      yield* present((yield* Effect.orDie(decodePresence(answer))).items)
    })

  /** Until it is answered, over whatever connections it takes. */
  const persistently = <A>(effect: Effect.Effect<A, CommandError>): Effect.Effect<A, Problem | Refused> =>
    Effect.catchTag(effect, "ConnectionLost", () => persistently(effect))

  /** One that was made just now may still be on its way. */
  const known = (id: ConversationId): Effect.Effect<unknown, Problem | Refused> =>
    Effect.andThen(
      connected,
      SubscriptionRef.changes(state).pipe(
        Stream.filter(({ conversations }) => conversations.has(id)),
        Stream.runHead,
        Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.fail(new NotFound({})) })
      )
    )

  const page = (conversationId: ConversationId, before: () => { readonly before?: number } | undefined) =>
    Effect.suspend(() => {
      const place = before()
      if (place === undefined) return Effect.succeed(true)
      store.asking(conversationId)
      return Effect.map(ask("message.list", { conversationId, ...place }), (found) =>
        store.paged(conversationId, found)
      )
    }).pipe(
      // What came meanwhile is lost with the connection: then the page is asked for again.
      Effect.repeat({ until: (done) => done }),
      persistently,
      Effect.andThen(publish),
      paging.withPermit
    )

  const engine: Engine = {
    url: options.url,
    openSocket: options.openSocket ?? globalWebSocket,
    client: options.client,
    credentials,
    store,
    tell: (events) =>
      Effect.gen(function* () {
        for (const event of events) {
          if (event.event === "message.created" && event.data.message.senderId === me)
            yield* outbox.seen(event.data.message)
          if (event.event === "conversation.removed" && event.conversationId !== undefined)
            yield* outbox.left(event.conversationId)
          if (event.event === "presence.changed") yield* present([event.data])
        }
        yield* publish
        yield* PubSub.publishAll(happened, events)
      }),
    greeted: (connection, { user }) =>
      Effect.andThen(update({ connection: { status: "catching-up" }, me: user }), setCurrent(connection)),
    ready: (greeting, done) =>
      Effect.gen(function* () {
        userSeq = greeting.userSeq
        if (!done) return
        onlineSince = yield* Clock.currentTimeMillis
        yield* update({ connection: { status: "online" } })
      })
  }

  /** What comes after a connection: the pause before the next, or the end. */
  const after = (end: Closed | Problem, attempt: number, token: string) =>
    Effect.gen(function* () {
      const expired = "code" in end && end.code === tokenExpired
      if (expired) yield* credentials.renewed(token).pipe(Effect.catchTag("ConnectionLost", () => Effect.void))
      else if (!("_tag" in end) && isFinal(end.code)) return yield* new Refused({ code: end.code })
      const atOnce = attempt === 0 && (expired || ("atOnce" in end && end.atOnce === true))
      const pauseMs = "retryAfterMs" in end ? end.retryAfterMs : atOnce ? 0 : yield* jitter(attempt)
      yield* update({ connection: { status: "waiting", pauseMs } })
      yield* alarm.close
      yield* Effect.raceFirst(Effect.sleep(pauseMs), alarm.await)
    })

  const live = (attempt: number): Effect.Effect<never, Refused> =>
    Effect.gen(function* () {
      onlineSince = undefined
      const token = yield* credentials.token
      yield* update({ connection: { status: "connecting" } })
      const end = yield* Effect.flip(runSession(engine, token, userSeq)).pipe(Effect.ensuring(setCurrent(undefined)))
      const lasted = onlineSince !== undefined && (yield* Clock.currentTimeMillis) - onlineSince >= lastingMs
      const tries = lasted ? 0 : attempt
      yield* after(end, tries, token)
      return yield* live(tries + 1)
    })

  yield* outbox.restore(me)
  yield* live(0).pipe(
    Effect.catch((refused) =>
      Effect.andThen(setCurrent(refused), update({ connection: { status: "closed", why: refused } }))
    ),
    Effect.ensuring(PubSub.end(happened, null)),
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() => update({ connection: { status: "closed", why: null } }))

  return Realtime.of({
    state: SubscriptionRef.get(state),
    changes: SubscriptionRef.changes(state),
    events: Stream.fromPubSub(happened).pipe(
      Stream.takeWhile((event) => event !== null),
      Stream.concat(Stream.suspend(() => (current instanceof Refused ? Stream.fail(current) : Stream.empty)))
    ),
    ask,
    send: (message) => outbox.send({ ...message, senderId: me }),
    discard: outbox.discard,
    open: (id) =>
      Effect.andThen(
        known(id),
        page(id, () => (store.get(id)?.messages === null ? {} : undefined))
      ),
    loadOlder: (id) =>
      page(id, () => {
        const known = store.get(id)
        const first = known?.messages?.[0]
        return first !== undefined && known?.hasBefore === true ? { before: first.seq } : undefined
      }),
    watch,
    wake: Effect.asVoid(alarm.open)
  })
})
