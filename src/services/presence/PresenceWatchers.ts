import { Array as Arr, Clock, Deferred, Effect, Exit, Option, Schema, Scope } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { ObservedPresence, PubSub } from "../bus/PubSub.ts"
import { type Published, presenceSubject } from "../bus/Subjects.ts"
import { Contacts } from "../identity/Contacts.ts"
import { makePresenceNotifications } from "./PresenceNotifications.ts"
import { PresenceStore } from "./PresenceStore.ts"
import {
  makeWatchedUsers,
  nobody,
  presenceChanged,
  type WatchedUser,
  type WatchedUsers,
  type Watcher
} from "./WatchedUsers.ts"

/** One read of the store is about at most this many users. */
const usersPerRead = 500

/** One statement checks at most this many pairs of users. */
const pairsPerCheck = 1000

/** At most this many subscriptions are opened at a time. */
const openingSubscriptions = 64

const decodeObserved = Schema.decodeUnknownOption(Schema.fromJsonString(ObservedPresence))

/** Reads how users are from the store. */
const makeReader = Effect.fnUntraced(function* ({ learn, learnMissing }: WatchedUsers) {
  const store = yield* PresenceStore
  return Effect.fnUntraced(function* (users: ReadonlyArray<WatchedUser>) {
    for (const batch of Arr.chunksOf(users, usersPerRead)) {
      const versions = batch.map(({ version }) => version)
      const found = yield* store.read(batch.map(({ userId }) => userId))
      for (const [i, user] of batch.entries()) {
        const observed = found[i] ?? null
        if (user.version !== versions[i] && (observed === null || observed.at < user.observed.at)) continue
        if (observed === null) learnMissing(user)
        else learn(user, observed)
      }
    }
  })
})

/** Subscribes to users who were not watched before, and reads how they are. */
const makeOpener = Effect.fnUntraced(function* (
  { changed, learn, renamed }: WatchedUsers,
  recheck: (userId: UserId) => Effect.Effect<void>,
  read: Effect.Success<ReturnType<typeof makeReader>>
) {
  const pubsub = yield* PubSub
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  const onObserved = (user: WatchedUser) => (events: ReadonlyArray<Published>) => {
    for (const published of events) {
      if (published.event === "contacts.changed") fork(recheck(user.userId))
      if (published.event === "user.updated") renamed.set(user, published)
      const observed = decodeObserved(published.json)
      if (Option.isSome(observed) && observed.value.at >= user.observed.at) learn(user, observed.value)
    }
  }

  return Effect.fnUntraced(function* (opened: ReadonlyArray<WatchedUser>) {
    yield* Effect.forEach(
      opened,
      (user) => Scope.provide(pubsub.subscribe(presenceSubject(user.userId), onObserved(user)), user.scope),
      { concurrency: openingSubscriptions, discard: true }
    )
    yield* Effect.ignore(read(opened))
    for (const user of opened) {
      user.sent = user.observed.status
      changed.delete(user)
      Deferred.doneUnsafe(user.ready, Exit.void)
    }
  }, Effect.uninterruptible)
})

/** Ends the subscriptions to users who no longer share a conversation with the watcher. */
const makeContactCheck = Effect.fnUntraced(function* (
  { users }: WatchedUsers,
  unwatch: (watcher: Watcher, userId: UserId) => void
) {
  const contacts = yield* Contacts

  const stop = (watcher: Watcher, userId: UserId) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (!watcher.watched.has(userId)) return
      unwatch(watcher, userId)
      watcher.offer(presenceChanged(userId, nobody, now))
    })

  /** Checks all watchers, or only the given one, or only those of one user. */
  return (only: { readonly watcher?: Watcher; readonly userId?: UserId } = {}) =>
    Effect.gen(function* () {
      const watching = [...users.values()]
        .flatMap(({ userId, watchers }) =>
          Array.from(watchers, (watcher) => ({ watcher, userId, viewerId: watcher.userId }))
        )
        .filter(({ userId, watcher }) => (only.watcher ?? watcher) === watcher && (only.userId ?? userId) === userId)
      for (const batch of Arr.chunksOf(watching, pairsPerCheck)) {
        const known = new Set<string>()
        for (const { userId, viewerId } of yield* contacts.among(batch)) known.add(`${viewerId} ${userId}`)
        for (const { userId, viewerId, watcher } of batch) {
          if (!known.has(`${viewerId} ${userId}`)) yield* stop(watcher, userId)
        }
      }
    }).pipe(Effect.ignore)
})

/** Which users the connections of this node watch: one subscription and one read for each user, however many watch. */
export const makePresenceWatchers = Effect.gen(function* () {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const watchedUsers = makeWatchedUsers()
  const { add, remove, users } = watchedUsers
  const notifications = yield* makePresenceNotifications(watchedUsers)
  const read = yield* makeReader(watchedUsers)
  const unwatch = (watcher: Watcher, userId: UserId) => {
    watcher.watched.delete(userId)
    watcher.refused.delete(userId)
    const user = users.get(userId)
    if (user === undefined || !user.watchers.delete(watcher) || user.watchers.size > 0) return
    remove(user)
    fork(Scope.close(user.scope, Exit.void))
  }

  const recheck = yield* makeContactCheck(watchedUsers, unwatch)
  const open = yield* makeOpener(watchedUsers, (userId) => recheck({ userId }), read)

  /** Watches users whom the watcher may see, and answers how they are. Later changes are sent to the watcher. */
  const watch = Effect.fnUntraced(function* (watcher: Watcher, userIds: ReadonlyArray<UserId>) {
    const opened: Array<WatchedUser> = []
    const watched = userIds.map((userId) => {
      const known = users.get(userId)
      const user = known ?? add(userId)
      if (known === undefined) opened.push(user)
      user.watchers.add(watcher)
      watcher.watched.add(userId)
      return user
    })
    if (opened.length > 0) yield* open(opened)
    yield* Effect.forEach(watched, (user) => Deferred.await(user.ready), { discard: true })
    return watched.map((user) => {
      // The answer is newer than what the other watchers were sent. If the user changes back before the next batch,
      // that batch would not contain the user, so this watcher must get the user separately.
      if (user.observed.status !== user.sent && watcher.watched.has(user.userId))
        notifications.postpone(watcher, user.userId)
      return [user.userId, user.observed] as const
    })
  })

  /** Reads all watched users again: the bus may have lost a change, or a node may have died without a report. */
  const reread = Effect.suspend(() => Effect.ignore(read([...users.values()])))

  const leave = (watcher: Watcher) => {
    for (const userId of [...watcher.watched]) unwatch(watcher, userId)
    notifications.forget(watcher)
  }

  return { watch, unwatch, leave, flush: notifications.flush, reread, recheck }
})
