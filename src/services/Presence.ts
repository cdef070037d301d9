import { Clock, Context, Effect, Layer, type Scope } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { ChosenStatus, Presence as PresenceOf } from "../domain/Presence.ts"
import { type InvalidRequest, invalid, type Unavailable } from "../domain/Problem.ts"
import { Acquaintances } from "./Acquaintances.ts"
import { every } from "./Background.ts"
import { beatsPerExpiry, makePresenceReports } from "./PresenceReports.ts"
import { PresenceStore } from "./PresenceStore.ts"
import { makePresenceWatchers, nobody, toPresence, type Watcher } from "./PresenceWatchers.ts"
import { type Published, PubSub, userSubject } from "./PubSub.ts"
import { Settings } from "./Settings.ts"

/**
 * Who is there. A user with a device is online, or away when all devices are; a choice of `dnd`, `invisible` or, made
 * elsewhere than on a device, `online` or `away` holds for all devices until the next one. Only who shares a
 * conversation with a user sees that; to others the user is offline, as if never seen.
 */
export class Presence extends Context.Service<
  Presence,
  {
    /**
     * A device is there until the scope closes; `timers.presenceGrace` later, unless it is back, others are told. A
     * node that dies says nothing, and its devices are gone for others within `timers.presenceExpiry`.
     *
     * `tell` gets the `presence.changed` of whom the connection subscribed to: at most one of each user in each
     * `timers.presenceBatch`, the same object for all who get it. It answers whether it took it; if not, it is told
     * later how things are by then.
     */
    readonly connect: (connection: {
      readonly userId: UserId
      readonly connectionId: string
      readonly tell: (changed: Published) => boolean
    }) => Effect.Effect<void, never, Scope.Scope>
    /**
     * Sets the user's status. `online` and `away` said by a connection describe that device alone, and end what was
     * chosen for all of them.
     */
    readonly set: (
      userId: UserId,
      status: ChosenStatus,
      connectionId?: string | undefined
    ) => Effect.Effect<void, Unavailable>
    /** How those users are, each once. While the store is away, as far as this node knows. */
    readonly get: (
      viewerId: UserId,
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<ReadonlyArray<PresenceOf>, InvalidRequest | Unavailable>
    /** As `get`, and from then on the connection is told of changes, of strangers' none. At most the setting's number. */
    readonly subscribe: (
      connectionId: string,
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<ReadonlyArray<PresenceOf>, InvalidRequest | Unavailable>
    readonly unsubscribe: (connectionId: string, userIds: ReadonlyArray<UserId>) => Effect.Effect<void>
  }
>()("chat/services/Presence") {
  /** On any store, and any bus. */
  static readonly layerNoDeps = Layer.effect(
    Presence,
    Effect.gen(function* () {
      const { limits, timers } = yield* Settings
      const acquaintances = yield* Acquaintances
      const pubsub = yield* PubSub
      const store = yield* PresenceStore
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const scope = yield* Effect.scope
      const reports = yield* makePresenceReports
      const watchers = yield* makePresenceWatchers
      const connections = new Map<string, Watcher>()
      const interval = timers.presenceExpiry / beatsPerExpiry
      const maximum = limits.presenceSubscriptions
      /** When the store is back, the other nodes have as long to find it and to say again who is there. */
      let trustedFrom = 0

      const reread = Effect.flatMap(Clock.currentTimeMillis, (now) =>
        now < trustedFrom ? Effect.void : watchers.reread
      )
      yield* store.onReturn(() => {
        fork(
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const untilTrusted = interval + store.returnSpread
            trustedFrom = now + untilTrusted
            return reports.beat.pipe(Effect.andThen(Effect.sleep(untilTrusted)), Effect.andThen(reread))
          }).pipe(Effect.forkIn(scope))
        )
      })
      yield* every(interval, "the beat of presence", Effect.andThen(reports.beat, reread))
      yield* every(timers.presenceBatch, "telling of presence", watchers.flush)
      yield* every(timers.presenceExpiry, "the look at who may watch whom", watchers.recheck())

      /** Who has left a conversation may be a stranger now to those whom he watches. */
      const afterLeaving = (watcher: Watcher) =>
        pubsub
          .subscribe(userSubject(watcher.userId), (signals) => {
            if (watcher.watched.size > 0 && signals.some(({ event }) => event === "membership.changed"))
              fork(watchers.recheck(watcher))
          })
          .pipe(Effect.forkScoped)

      const distinct = (userIds: ReadonlyArray<UserId>) => {
        const ids = [...new Set(userIds)]
        return ids.length > maximum
          ? Effect.fail(invalid("userIds", `must name at most ${maximum} users`))
          : Effect.succeed(ids)
      }

      const visible = (viewerId: UserId, userIds: ReadonlyArray<UserId>) =>
        Effect.map(acquaintances.among(userIds.map((userId) => ({ viewerId, userId }))), (pairs) =>
          pairs.map(({ userId }) => userId)
        )

      const answer = (userIds: ReadonlyArray<UserId>, seen: ReadonlyMap<UserId, typeof nobody>) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          userIds.map((userId) => toPresence(userId, seen.get(userId) ?? nobody, now))
        )

      return Presence.of({
        connect: ({ connectionId, tell, userId }) =>
          Effect.andThen(
            Effect.acquireRelease(
              Effect.sync(() => {
                const watcher: Watcher = { userId, tell, watched: new Set(), missed: new Set() }
                connections.set(connectionId, watcher)
                return watcher
              }),
              (watcher) =>
                Effect.sync(() => {
                  connections.delete(connectionId)
                  watchers.leave(watcher)
                })
            ).pipe(Effect.tap(afterLeaving)),
            reports.connect(userId, connectionId)
          ),
        set: Effect.fn("Presence.set")((userId, status, connectionId) => reports.set(userId, status, connectionId)),
        get: Effect.fn("Presence.get")(function* (viewerId, userIds) {
          const ids = yield* distinct(userIds)
          const known = yield* visible(viewerId, ids)
          const seen = yield* Effect.catch(store.read(known), () => Effect.succeed(known.map(reports.sighting)))
          return yield* answer(ids, new Map(known.map((userId, i) => [userId, seen[i] ?? nobody])))
        }),
        subscribe: Effect.fn("Presence.subscribe")(function* (connectionId, userIds) {
          const ids = yield* distinct(userIds)
          const viewerId = connections.get(connectionId)?.userId
          const known = viewerId === undefined ? [] : yield* visible(viewerId, ids)
          // Looked up again: it may have gone meanwhile.
          const watcher = connections.get(connectionId)
          if (watcher === undefined) return yield* answer(ids, new Map())
          if (new Set([...watcher.watched, ...known]).size > maximum)
            return yield* invalid("userIds", `must leave at most ${maximum} subscriptions`)
          return yield* answer(ids, new Map(yield* watchers.watch(watcher, known)))
        }),
        unsubscribe: (connectionId, userIds) =>
          Effect.sync(() => {
            const watcher = connections.get(connectionId)
            if (watcher !== undefined) for (const userId of userIds) watchers.unwatch(watcher, userId)
          })
      })
    })
  )

  /** On PostgreSQL for who knows whom; who is there is kept in this process. */
  static readonly layer = this.layerNoDeps.pipe(Layer.provide([Acquaintances.layer, PresenceStore.layer]))

  /** All in this process, conversations in `Memory`. */
  static readonly layerTest = this.layerNoDeps.pipe(Layer.provide([Acquaintances.layerTest, PresenceStore.layer]))
}
