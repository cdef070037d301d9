import { Context, Effect, Exit, FiberSet, Latch, Layer, PubSub, Queue, Schema, Stream, SubscriptionRef } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { Ack } from "../../domain/Message.ts"
import { Credentials } from "../Credentials.ts"
import { makeAsk } from "../Operations.ts"
import type { SendError } from "../Outbox.ts"
import { isHidden, randomId } from "../Platform.ts"
import { Realtime, type RealtimeOptions } from "../Realtime.ts"
import type { ChatEvent } from "../Session.ts"
import { emptyState } from "../state/State.ts"
import { type Database, format } from "../storage/Database.ts"
import { makeCalls } from "./Calls.ts"
import { holdLock, isAwaited } from "./Leadership.ts"
import { type Call, changed, changeOf, type TabMessage } from "./Messages.ts"

/** The options of a client that all tabs share. Tabs with a database of the same name belong together. */
export interface SharedOptions extends RealtimeOptions {
  readonly database: Database
}

/** A leader that is silent for so long while another tab is looked at is frozen, and loses the lead. */
const patience = "5 seconds"

/** Opens the channel to the other tabs. */
const openChannel = (name: string) =>
  Effect.gen(function* () {
    const inbox = yield* Queue.unbounded<TabMessage>()
    const channel = yield* Effect.acquireRelease(
      Effect.sync(() => new BroadcastChannel(name)),
      (it) => Effect.sync(() => it.close())
    )
    channel.onmessage = ({ data }) => void Queue.offerUnsafe(inbox, data)
    return { inbox, post: (message: TabMessage) => channel.postMessage(message) }
  })

/** After these, the events of a conversation may begin again. */
const restarts: ReadonlySet<string> = new Set(["conversation.added", "conversation.removed", "conversation.reset"])

/** Makes a function that publishes events, the durable ones once each: a new leader may repeat some. */
const makeDeliver = (happened: PubSub.PubSub<ChatEvent | null>) => {
  const seen = new Map<string, number>()
  return (event: ChatEvent) =>
    Effect.suspend(() => {
      if ("seq" in event) {
        if (event.seq <= (seen.get(event.conversationId) ?? 0)) return Effect.void
        seen.set(event.conversationId, event.seq)
      } else if (restarts.has(event.event)) seen.delete(event.conversationId ?? "")
      return Effect.asVoid(PubSub.publish(happened, event))
    })
}

/** A tab: what it shows, and how it reaches the leader. */
const makeTab = Effect.fnUntraced(function* (name: string) {
  const id = randomId()
  const { inbox, post } = yield* openChannel(name)
  const happened = yield* PubSub.unbounded<ChatEvent | null>()
  const calls = makeCalls(id, post)
  const watched = new Set<UserId>()
  const scope = yield* Effect.scope
  return {
    id,
    name,
    inbox,
    post,
    calls,
    happened,
    deliver: makeDeliver(happened),
    state: yield* SubscriptionRef.make(emptyState),
    watched,
    /** Watches the same users over a new leader. When that ends too, the next one does it again. */
    watchAgain: Effect.suspend(() => {
      if (watched.size === 0) return Effect.void
      const again = calls.request({ method: "watch", userIds: [...watched] })
      return Effect.asVoid(Effect.forkIn(Effect.ignore(again), scope))
    })
  }
})
type Tab = Effect.Success<ReturnType<typeof makeTab>>

/**
 * Runs the client in this tab, and tells the others, until `lost` ends or the service refuses the client. A tab that comes
 * later asks for the state, so while there was none, nothing is told: each message is a copy of what it tells.
 */
const lead = Effect.fnUntraced(function* (
  { calls, deliver, id, name, post, state, watchAgain }: Tab,
  options: SharedOptions,
  lost: Effect.Effect<void>
) {
  let leads = true
  let isFollowed = false
  const database: Database = {
    ...options.database,
    // What this tab knows is old by now, if another one has taken the lead.
    write: async (changes) => (leads ? options.database.write(changes) : undefined)
  }
  const client = Context.get(yield* Layer.build(Realtime.layer({ ...options, database })), Realtime)
  let told = yield* client.state
  const tell = Effect.flatMap(client.state, (now) => {
    if (now === told) return Effect.void
    if (isFollowed) post({ _tag: "Changed", leader: id, change: changeOf(told, now) })
    told = now
    return SubscriptionRef.set(state, now)
  })
  yield* SubscriptionRef.set(state, told)
  const introduce = (to?: string) => {
    isFollowed = true
    post({ _tag: "Lead", leader: id, to, change: changeOf(emptyState, told) })
  }
  calls.goTo({ client, run: yield* FiberSet.makeRuntime<never, void, never>(), introduce })
  yield* Effect.forkScoped(Effect.map(isAwaited(name), (awaited) => awaited && introduce()))
  yield* watchAgain
  yield* client.events.pipe(
    Stream.runForEach((event) => {
      const announce = Effect.sync(() => isFollowed && post({ _tag: "Happened", leader: id, event }))
      return tell.pipe(Effect.andThen(announce), Effect.andThen(deliver(event)))
    }),
    Effect.ignore,
    Effect.forkScoped
  )
  const refused = Stream.runForEachWhile(client.changes, ({ connection }) =>
    Effect.as(tell, connection.status !== "closed")
  )
  yield* Effect.raceFirst(
    refused,
    Effect.tap(lost, () =>
      Effect.sync(() => {
        leads = false
      })
    )
  )
}, Effect.scoped)

/** Follows the leader: takes over what it tells, and notices when it is silent. */
const follow = Effect.fnUntraced(function* (
  { calls, deliver, id, inbox, post, state, watchAgain }: Tab,
  steal: Effect.Effect<unknown>
) {
  let heard = false
  const receive = (message: TabMessage): Effect.Effect<unknown> => {
    const target = calls.target()
    const leader = target !== undefined && "leader" in target ? target.leader : undefined
    const leads = target !== undefined && "client" in target
    switch (message._tag) {
      case "Hello":
        if (!leads) return Effect.void
        if (message.known === id) post({ _tag: "Here", leader: id, to: message.from })
        else target.introduce(message.from)
        return Effect.void
      case "Call":
        return Effect.sync(() => calls.serve(message))
      case "Answer":
        return Effect.sync(() => message.to === id && calls.answer(message))
      case "Here":
        heard ||= message.to === id
        return Effect.void
      case "Lead": {
        if (leads || (message.to !== undefined && message.to !== id)) return Effect.void
        heard = true
        const shown = SubscriptionRef.set(state, changed(emptyState, message.change))
        if (message.leader === leader) return shown
        return shown.pipe(
          Effect.andThen(Effect.sync(() => calls.goTo({ leader: message.leader }))),
          Effect.andThen(watchAgain)
        )
      }
      case "Changed":
        return message.leader === leader
          ? SubscriptionRef.update(state, (now) => changed(now, message.change))
          : Effect.void
      case "Happened":
        return message.leader === leader ? deliver(message.event) : Effect.void
    }
  }

  const look = Effect.gen(function* () {
    const target = calls.target()
    if ((target !== undefined && "client" in target) || isHidden()) return
    heard = false
    post({ _tag: "Hello", from: id, known: target?.leader })
    yield* Effect.sleep(patience)
    const now = calls.target()
    if (!heard && (now === undefined || "leader" in now)) yield* steal
  })
  post({ _tag: "Hello", from: id, known: undefined })
  yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(inbox), receive)))
  yield* Effect.forkScoped(Effect.forever(Effect.delay(look, patience)))
})

const decodeAck = Schema.decodeUnknownEffect(Ack)

const make = Effect.fnUntraced(function* (options: SharedOptions) {
  const { userId } = yield* Credentials
  const name = `chat-service ${format} ${options.database.name} ${userId}`
  const tab = yield* makeTab(name)
  const { calls, happened, state, watched } = tab
  const theft = yield* Latch.make(false)
  yield* follow(tab, theft.open)

  /** Waits for the lead, leads, and does so again after it was stolen. Ends when the service refuses the client. */
  const elect: Effect.Effect<void, never, Credentials> = Effect.gen(function* () {
    const stolen = Effect.andThen(theft.await, holdLock(name, true))
    const lost = yield* Effect.raceFirst(holdLock(name, false), stolen)
    yield* theft.close
    yield* Effect.ensuring(
      lead(tab, options, lost),
      Effect.sync(() => calls.goTo(undefined))
    )
  }).pipe(
    Effect.scoped,
    Effect.andThen(SubscriptionRef.get(state)),
    Effect.flatMap(({ connection }) => {
      if (connection.status !== "closed") {
        tab.post({ _tag: "Hello", from: tab.id, known: undefined })
        return elect
      }
      if (connection.why !== null) calls.refuse(Exit.fail(connection.why))
      return Effect.void
    })
  )
  yield* Effect.forkScoped(Effect.ensuring(elect, PubSub.end(happened, null)))

  const { request } = calls
  const command = (op: string, data: unknown) => request({ method: "command", op, data })
  const unlessLost = (call: Call) =>
    Effect.catchTag(request(call), "ConnectionLost", (lost): Effect.Effect<never, SendError> => Effect.die(lost))
  const acknowledged = (call: Call) => Effect.flatMap(unlessLost(call), (ack) => Effect.orDie(decodeAck(ack)))
  return Realtime.of({
    state: SubscriptionRef.get(state),
    changes: SubscriptionRef.changes(state),
    events: Stream.fromPubSub(happened).pipe(
      Stream.takeWhile((event) => event !== null),
      Stream.concat(Stream.drain(Stream.fromEffect(calls.unlessRefused)))
    ),
    command,
    ask: makeAsk(command),
    send: (message) => acknowledged({ method: "send", message }),
    retry: (conversationId, clientMessageId) => acknowledged({ method: "retry", conversationId, clientMessageId }),
    discard: (conversationId, clientMessageId) =>
      Effect.ignore(request({ method: "discard", conversationId, clientMessageId })),
    open: (conversationId) => Effect.asVoid(unlessLost({ method: "open", conversationId })),
    loadOlder: (conversationId) => Effect.asVoid(unlessLost({ method: "loadOlder", conversationId })),
    openThread: (conversationId, messageId) =>
      Effect.asVoid(unlessLost({ method: "openThread", conversationId, messageId })),
    loadOlderReplies: (conversationId, messageId) =>
      Effect.asVoid(unlessLost({ method: "loadOlderReplies", conversationId, messageId })),
    watch: (userIds) =>
      Effect.map(request({ method: "watch", userIds }), () => {
        for (const userId of userIds) watched.add(userId)
      }),
    wake: Effect.ignore(request({ method: "wake" }))
  })
})

/**
 * One client for all tabs of a user: one of them leads, which has the connection and writes the database. The others show
 * its state and call it. When it is closed or frozen, another one leads and goes on from the database.
 */
export const sharedRealtime = (options: SharedOptions): Layer.Layer<Realtime, never, Credentials> =>
  Layer.effect(Realtime, make(options))
