import { Context, Effect, Layer, PubSub, Schema, Stream, SubscriptionRef } from "effect"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { Ack } from "../domain/Message.ts"
import { type Presence, PresenceList } from "../domain/Presence.ts"
import type { Problem } from "../domain/Problem.ts"
import { type Connection, globalWebSocket, type OpenSocket } from "./Connection.ts"
import { Credentials } from "./Credentials.ts"
import type { Refused } from "./Failures.ts"
import { Greeting } from "./Frames.ts"
import { makeUploader } from "./files/Uploads.ts"
import { type Ask, type CommandError, makeAsk } from "./Operations.ts"
import { makeOutbox, noStorage, type OutboxStorage, type SendError } from "./Outbox.ts"
import { makePages } from "./Pages.ts"
import { whenBrowser } from "./Platform.ts"
import { makeConnecting, makeCurrent, type Update } from "./Reconnect.ts"
import { type ChatEvent, type Engine, runSession } from "./Session.ts"
import { type ChatState, emptyState, type PendingMessage, updated } from "./state/State.ts"
import { Store } from "./state/Store.ts"
import type { Database } from "./storage/Database.ts"
import { makeKeeper, noKeeper } from "./storage/Keeper.ts"
import { storedOutbox } from "./storage/StoredOutbox.ts"

/** Which service to connect to, and how. */
export interface RealtimeOptions {
  /** The URL of the service: `https://chat.example.com`. */
  readonly url: string
  /** Opens a WebSocket; by default the global one. */
  readonly openSocket?: OpenSocket | undefined
  /** Where the state and the unsent messages are kept for the next start; by default only in memory. */
  readonly database?: Database | undefined
  /** Where unsent messages are kept instead of in `database`. */
  readonly outbox?: OutboxStorage | undefined
  /** Sent to the service with hello. */
  readonly client?: { readonly name?: string; readonly version?: string } | undefined
}

const decodePresence = Schema.decodeUnknownEffect(PresenceList)

/**
 * The user's conversations, live: connects, resumes, renews tokens, fetches what was missed, sends until acknowledged,
 * and merges all of it into one state. Runs until its scope closes or the service refuses the client for good.
 */
export class Realtime extends Context.Service<
  Realtime,
  {
    /** The current state. */
    readonly state: Effect.Effect<ChatState>
    /** The current state, and then the state after each change. */
    readonly changes: Stream.Stream<ChatState>
    /**
     * The events from now on: the durable events of each conversation once and in order, however often the connection
     * is lost. After a `conversation.reset` some are missing, but the state includes them. The stream ends with the
     * client.
     */
    readonly events: Stream.Stream<ChatEvent, Refused>
    /** Asks for an operation by its name, as soon as there is a connection. It is not repeated when an answer is lost. */
    readonly ask: Ask<CommandError>
    /** As `ask`, with the answer as the service has sent it. */
    readonly command: (op: string, data: unknown) => Effect.Effect<unknown, CommandError>
    /** Succeeds once the service has stored the message, however long that takes. Repeating it is safe. */
    readonly send: (message: Omit<PendingMessage, "senderId">) => Effect.Effect<Ack, SendError>
    /**
     * Sends a message that failed again, under the same `clientMessageId` and before those written after it. Succeeds
     * as `send` does; fails with `NotFound` for an unknown message.
     */
    readonly retry: (conversationId: ConversationId, clientMessageId: string) => Effect.Effect<Ack, SendError>
    /** Forgets a message that failed or was not sent yet, and ends its upload. Repeating it does nothing. */
    readonly discard: (conversationId: ConversationId, clientMessageId: string) => Effect.Effect<void>
    /** From now on the state has the newest page of the history. Repeating it does nothing. */
    readonly open: (conversationId: ConversationId) => Effect.Effect<void, Problem | Refused>
    /** Adds the page before the oldest message in the state; does nothing when there is none. */
    readonly loadOlder: (conversationId: ConversationId) => Effect.Effect<void, Problem | Refused>
    /** From now on the state has the newest page of the thread of that message. Repeating it does nothing. */
    readonly openThread: (
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, Problem | Refused>
    /** Adds the page before the oldest reply in the state; does nothing when there is none. */
    readonly loadOlderReplies: (
      conversationId: ConversationId,
      messageId: MessageId
    ) => Effect.Effect<void, Problem | Refused>
    /** Keeps the presence of these users in the state, in addition to those watched before. */
    readonly watch: (userIds: ReadonlyArray<UserId>) => Effect.Effect<void, CommandError>
    /**
     * Ends the pause before the next attempt to connect, or the one after the attempt that is under way, and begins with short
     * pauses again, unless the service asked for that pause. Call it when the device is back online.
     */
    readonly wake: Effect.Effect<void>
  }
>()("chat/client/Realtime") {
  /** The client of the user whose `Credentials` these are. */
  static readonly layer = (options: RealtimeOptions) => Layer.effect(Realtime, make(options))
}

/** Keeps the presence of watched users in the state. */
const makePresences = (
  state: SubscriptionRef.SubscriptionRef<ChatState>,
  command: (op: string, data: unknown) => Effect.Effect<unknown, CommandError>
) => {
  const changed = (items: ReadonlyArray<Presence>) =>
    SubscriptionRef.update(state, (now) => ({
      ...now,
      presence: now.presence.change({ put: items.map((item) => [item.userId, item] as const) })
    }))
  const watched = new Set<UserId>()
  const subscribe = (userIds: ReadonlyArray<UserId>) =>
    Effect.gen(function* () {
      const answer = yield* command("presence.subscribe", { userIds })
      yield* changed((yield* Effect.orDie(decodePresence(answer))).items)
    })
  return {
    changed,
    watch: (userIds: ReadonlyArray<UserId>) =>
      Effect.gen(function* () {
        if (userIds.length === 0) return
        yield* subscribe(userIds)
        for (const userId of userIds) watched.add(userId)
      }),
    /**
     * Watches the same users over a new connection, since subscriptions end with their connection. When this one is lost
     * too, the next one does it again.
     */
    renew: Effect.suspend(() => (watched.size === 0 ? Effect.void : Effect.ignore(subscribe([...watched]))))
  }
}

/**
 * Makes a function that passes the events that a session has taken into the store on to the outbox and the presences.
 */
const makeRouting =
  (
    me: UserId,
    state: SubscriptionRef.SubscriptionRef<ChatState>,
    outbox: Effect.Success<ReturnType<typeof makeOutbox>>,
    presences: ReturnType<typeof makePresences>
  ) =>
  (events: ReadonlyArray<ChatEvent>) =>
    Effect.gen(function* () {
      for (const event of events) {
        yield* Effect.logDebug(`event ${event.event}`)
        if (event.event === "message.created" && event.data.message.senderId === me)
          yield* outbox.seen(event.data.message)
        if (event.event === "conversation.removed" && event.conversationId !== undefined)
          yield* outbox.left(event.conversationId)
        if (event.event === "presence.changed") yield* presences.changed([event.data])
        if (event.event === "user.updated" && event.data.user.id === me)
          yield* SubscriptionRef.update(state, (now) =>
            now.me === null ? now : { ...now, me: { ...now.me, ...event.data.user } }
          )
      }
    })

/** The answers of these say who I am from then on. */
const ofMyself: ReadonlySet<string> = new Set(["user.update", "user.claim"])
const decodeMe = Schema.decodeUnknownEffect(Greeting.fields.user)

/** Makes a function that sends a command as soon as there is a connection. */
const makeCommand =
  (connected: Effect.Effect<Connection, Refused>, update: Update) =>
  (op: string, data: unknown): Effect.Effect<unknown, CommandError> =>
    Effect.flatMap(connected, (connection) => connection.command(op, data)).pipe(
      Effect.tap(() => Effect.logDebug(`${op} was answered`)),
      Effect.tap((answer) =>
        ofMyself.has(op) ? Effect.flatMap(Effect.orDie(decodeMe(answer)), (me) => update({ me })) : Effect.void
      ),
      Effect.tapError(({ _tag }) => Effect.logDebug(`${op} has failed: ${_tag}`))
    )

/** Where the state and the unsent messages are kept. Without a database the state is not. */
const makeStorages = Effect.fnUntraced(function* ({ database, outbox }: RealtimeOptions, me: UserId, store: Store) {
  if (database === undefined) return { keeper: noKeeper, outbox: outbox ?? noStorage }
  return { keeper: yield* makeKeeper(database, me, store), outbox: outbox ?? storedOutbox(database, me) }
})

/** The events until null is published. Then it fails if the service has refused the client for good. */
const eventsOf = (happened: PubSub.PubSub<ChatEvent | null>, unlessRefused: Effect.Effect<void, Refused>) =>
  Stream.fromPubSub(happened).pipe(
    Stream.takeWhile((event) => event !== null),
    Stream.concat(Stream.drain(Stream.fromEffect(unlessRefused)))
  )

const make = Effect.fnUntraced(function* (options: RealtimeOptions) {
  const credentials = yield* Credentials
  const me = credentials.userId
  const store = new Store(me)
  const state = yield* SubscriptionRef.make(emptyState)
  const changes = SubscriptionRef.changes(state)
  const happened = yield* PubSub.unbounded<ChatEvent | null>()
  const current = yield* makeCurrent
  const scope = yield* Effect.scope

  const update: Update = (change) => SubscriptionRef.update(state, (now) => updated(now, change))
  const command = makeCommand(current.connected, update)

  const { keeper, outbox: storage } = yield* makeStorages(options, me, store)
  const publish: Effect.Effect<void> = Effect.suspend(() => {
    const { conversations } = store
    outbox.settle((id) => conversations.get(id)?.conversation.seq)
    return Effect.andThen(update({ conversations, sending: outbox.sending }), keeper.changed)
  })

  const ask = makeAsk(command)
  const uploader = makeUploader(options.url, credentials, current.connected)
  const outbox = yield* makeOutbox(storage, { command, uploader, changed: publish })
  const presences = makePresences(state, command)
  const route = makeRouting(me, state, outbox, presences)
  const pages = yield* makePages(store, changes, { ask, connected: current.connected, publish })

  const engine: Omit<Engine, "ready"> = {
    url: options.url,
    openSocket: options.openSocket ?? globalWebSocket,
    client: options.client,
    credentials,
    store,
    publish: (events) =>
      route(events).pipe(Effect.andThen(publish), Effect.andThen(PubSub.publishAll(happened, events))),
    greeted: (connection, { user }) =>
      update({ connection: { status: "catching-up" }, me: user }).pipe(
        Effect.andThen(current.set(connection)),
        Effect.andThen(Effect.forkIn(presences.renew, scope))
      )
  }
  const saved = yield* keeper.restore
  if (saved !== undefined) yield* update({ me: saved.me, conversations: store.conversations })
  const { live, wake } = yield* makeConnecting(credentials, update, saved?.last, (token, last, progress) => {
    const ready: Engine["ready"] = (greeting, done) =>
      Effect.tap(progress(greeting, done), (reached) =>
        done ? keeper.ready({ me: greeting.user, last: reached }) : Effect.void
      )
    return Effect.ensuring(runSession({ ...engine, ready }, token, last), current.set(undefined))
  })

  yield* whenBrowser("online", wake)
  yield* whenBrowser("visibilitychange", wake)
  yield* outbox.restore(me)
  yield* live.pipe(
    Effect.catch((refused) =>
      Effect.andThen(current.set(refused), update({ connection: { status: "closed", why: refused } }))
    ),
    Effect.ensuring(PubSub.end(happened, null)),
    Effect.forkScoped
  )
  yield* Effect.addFinalizer(() => update({ connection: { status: "closed", why: null } }))

  return Realtime.of({
    state: SubscriptionRef.get(state),
    changes,
    events: eventsOf(happened, current.unlessRefused),
    ask,
    command,
    send: (message) => outbox.send({ ...message, senderId: me }),
    retry: outbox.retry,
    discard: outbox.discard,
    open: pages.open,
    loadOlder: pages.loadOlder,
    openThread: pages.openThread,
    loadOlderReplies: pages.loadOlderReplies,
    watch: presences.watch,
    wake
  })
})
