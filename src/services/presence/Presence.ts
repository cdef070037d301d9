import { Clock, Context, Effect, Exit, Layer, Scope } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { ChosenStatus, Presence as PresenceOf } from "../../domain/Presence.ts"
import { type InvalidRequest, invalid, type Unavailable } from "../../domain/Problem.ts"
import { PubSub } from "../bus/PubSub.ts"
import { type Published, userSubject } from "../bus/Subjects.ts"
import { Contacts } from "../identity/Contacts.ts"
import { every } from "../platform/Background.ts"
import { holding } from "../platform/Holding.ts"
import { monotonicNow } from "../platform/Monotonic.ts"
import { Settings } from "../platform/Settings.ts"
import { beatsPerExpiry } from "./LocalPresence.ts"
import { makePresenceReports } from "./PresenceReports.ts"
import { PresenceStore } from "./PresenceStore.ts"
import { makePresenceWatchers } from "./PresenceWatchers.ts"
import { nobody, toPresence, type Watcher } from "./WatchedUsers.ts"

/**
 * Which users are online. A user with a connected device is online, or away when all devices are away. A chosen `dnd` or
 * `invisible`, and an `online` or `away` that was not set by a connection, hold for all devices until the next choice.
 * Only users who know each other (see `Contacts`) see each other's presence; everybody else sees the user as offline
 * and never seen.
 */
export class Presence extends Context.Service<
  Presence,
  {
    /**
     * Connects a device until the scope closes. Others see it disconnect after `timers.presenceGrace`, unless it has
     * reconnected. When a node dies without a report, its devices disappear within `timers.presenceExpiry`.
     *
     * `offer` is called with the `presence.changed` and the `user.updated` of users to whom the connection has subscribed: at
     * most one each of each user in each `timers.presenceBatch`, the same object for all connections. It answers whether it
     * took the event. A refused presence is replaced by a later one with the state at that time.
     */
    readonly connect: (connection: {
      readonly userId: UserId
      readonly connectionId: string
      readonly offer: (changed: Published) => boolean
    }) => Effect.Effect<void, never, Scope.Scope>
    /**
     * Sets the user's status. `online` and `away` with a `connectionId` describe that device alone, and end what was
     * chosen for all devices. Setting the same status again changes nothing. Fails with `Unavailable` when the user has
     * no device on this node and the store is down; the choice of a connected user waits on this node.
     */
    readonly set: (
      userId: UserId,
      status: ChosenStatus,
      connectionId?: string | undefined
    ) => Effect.Effect<void, Unavailable>
    /**
     * How these users are, each once, in their order. While the store is down it answers with what this node knows. Fails
     * with `InvalidRequest` for more than `limits.presenceSubscriptions` users.
     */
    readonly get: (
      viewerId: UserId,
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<ReadonlyArray<PresenceOf>, InvalidRequest | Unavailable>
    /**
     * Answers as `get` does, and from then on sends changes to the connection, except those of users whom its
     * user does not know any longer. Fails with `InvalidRequest` when the connection would have more than
     * `limits.presenceSubscriptions` subscriptions. Subscribing again is safe.
     */
    readonly subscribe: (
      connectionId: string,
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<ReadonlyArray<PresenceOf>, InvalidRequest | Unavailable>
    /** Ends subscriptions. Ending one that does not exist does nothing. */
    readonly unsubscribe: (connectionId: string, userIds: ReadonlyArray<UserId>) => Effect.Effect<void>
  }
>()("chat/services/Presence") {
  /** On any store, bus and contacts. */
  static readonly layerNoDeps = Layer.effect(
    Presence,
    Effect.gen(function* () {
      const reports = yield* makePresenceReports
      const watchers = yield* makePresenceWatchers
      const queries = yield* makeQueries(reports)
      const connections = yield* makeConnections(watchers)
      yield* startBackground(reports, watchers)

      return Presence.of({
        connect: ({ connectionId, offer, userId }) =>
          holding(
            Effect.suspend(() => {
              connections.add(userId, connectionId, offer)
              return reports.connect(userId, connectionId)
            }),
            () =>
              Effect.suspend(() => {
                reports.disconnect(userId, connectionId)
                return connections.remove(connectionId)
              })
          ),
        set: Effect.fn("Presence.set")((userId, status, connectionId) => reports.set(userId, status, connectionId)),
        get: Effect.fn("Presence.get")(function* (viewerId, userIds) {
          const ids = yield* queries.distinct(userIds)
          const contacts = yield* queries.contactsOf(viewerId, ids)
          return yield* queries.answer(ids, yield* queries.read(contacts))
        }),
        subscribe: Effect.fn("Presence.subscribe")(function* (connectionId, userIds) {
          const ids = yield* queries.distinct(userIds)
          const watcher = yield* connections.watcherOf(connectionId)
          const contacts = watcher === undefined ? [] : yield* queries.contactsOf(watcher.userId, ids)
          // The connection may have closed meanwhile.
          if (watcher === undefined || connections.get(connectionId) === undefined)
            return yield* queries.answer(ids, new Map())
          if (new Set([...watcher.watched, ...contacts]).size > queries.maximum)
            return yield* invalid("userIds", `must leave at most ${queries.maximum} subscriptions`)
          return yield* queries.answer(ids, new Map(yield* watchers.watch(watcher, contacts)))
        }),
        unsubscribe: (connectionId, userIds) =>
          Effect.sync(() => {
            const watcher = connections.get(connectionId)
            if (watcher !== undefined) for (const userId of userIds) watchers.unwatch(watcher, userId)
          })
      })
    })
  )
}

type Reports = Effect.Success<typeof makePresenceReports>
type Watchers = Effect.Success<typeof makePresenceWatchers>

/** Checks and answers requests for the presence of users. */
const makeQueries = Effect.fnUntraced(function* (reports: Reports) {
  const contacts = yield* Contacts
  const store = yield* PresenceStore
  const { limits } = yield* Settings
  const maximum = limits.presenceSubscriptions

  const distinct = (userIds: ReadonlyArray<UserId>) => {
    const ids = [...new Set(userIds)]
    return ids.length > maximum
      ? Effect.fail(invalid("userIds", `must name at most ${maximum} users`))
      : Effect.succeed(ids)
  }

  /** Those of the users whose presence the viewer may see. */
  const contactsOf = (viewerId: UserId, userIds: ReadonlyArray<UserId>) =>
    Effect.map(contacts.among(userIds.map((userId) => ({ viewerId, userId }))), (pairs) =>
      pairs.map(({ userId }) => userId)
    )

  const read = (userIds: ReadonlyArray<UserId>) =>
    store.read(userIds).pipe(
      Effect.catch(() => Effect.succeed(userIds.map(reports.observed))),
      Effect.map((found) => new Map(userIds.map((userId, i) => [userId, found[i] ?? nobody])))
    )

  const answer = (userIds: ReadonlyArray<UserId>, observed: ReadonlyMap<UserId, typeof nobody>) =>
    Effect.map(Clock.currentTimeMillis, (now) =>
      userIds.map((userId) => toPresence(userId, observed.get(userId) ?? nobody, now))
    )

  return { answer, contactsOf, distinct, maximum, read }
})

/** A connection that may watch users. */
interface Device {
  readonly userId: UserId
  readonly offer: Watcher["offer"]
  /** It is made for the first subscription: most connections have nothing to watch, and all are kept for long. */
  watcher: Watcher | undefined
  /** Ends what the watcher listens to. */
  scope: Scope.Closeable | undefined
}

/** The connections of this node that may watch users. */
const makeConnections = Effect.fnUntraced(function* (watchers: Watchers) {
  const pubsub = yield* PubSub
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const devices = new Map<string, Device>()

  /** A user who leaves a conversation may no longer share one with users whom the connection watches. */
  const recheckAfterLeaving = (watcher: Watcher) =>
    pubsub.subscribe(userSubject(watcher.userId), (signals) => {
      if (watcher.watched.size > 0 && signals.some(({ event }) => event === "membership.changed"))
        fork(watchers.recheck({ watcher }))
    })

  /** The watcher of a connection, which listens from then on. Undefined when the connection is closed. */
  const watcherOf = (connectionId: string) =>
    Effect.suspend(() => {
      const device = devices.get(connectionId)
      if (device === undefined || device.watcher !== undefined) return Effect.succeed(device?.watcher)
      const { offer, userId } = device
      const watcher: Watcher = { userId, offer, watched: new Set(), refused: new Set() }
      device.watcher = watcher
      device.scope = Scope.makeUnsafe()
      return Effect.as(Scope.provide(recheckAfterLeaving(watcher), device.scope), watcher)
    }).pipe(Effect.uninterruptible)

  const add = (userId: UserId, connectionId: string, offer: Watcher["offer"]) =>
    devices.set(connectionId, { userId, offer, watcher: undefined, scope: undefined })

  const remove = (connectionId: string) => {
    const { scope, watcher } = devices.get(connectionId) ?? {}
    devices.delete(connectionId)
    if (watcher !== undefined) watchers.leave(watcher)
    return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
  }

  return { add, get: (connectionId: string) => devices.get(connectionId)?.watcher, remove, watcherOf }
})

/** The loops of this node: the beat of reports, the batches of changes, and the checks of subscriptions. */
const startBackground = Effect.fnUntraced(function* (reports: Reports, watchers: Watchers) {
  const store = yield* PresenceStore
  const { timers } = yield* Settings
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const interval = timers.presenceExpiry / beatsPerExpiry
  /** After a return of the store it may be incomplete until then: the other nodes must find it and report again. */
  let trustedFrom = 0

  const reread = Effect.flatMap(monotonicNow, (now) => (now < trustedFrom ? Effect.void : watchers.reread))

  const afterReturn = Effect.gen(function* () {
    const untilTrusted = interval + store.returnSpread
    trustedFrom = (yield* monotonicNow) + untilTrusted
    yield* reports.beat
    yield* Effect.sleep(untilTrusted)
    yield* reread
  })

  yield* store.onReturn(() => {
    fork(Effect.forkIn(afterReturn, scope))
  })
  yield* every(interval, "the beat of presence", Effect.andThen(reports.beat, reread))
  yield* every(timers.presenceBatch, "the sending of presence changes", watchers.flush)
  yield* every(timers.presenceExpiry, "the check of presence subscriptions", watchers.recheck())
})
