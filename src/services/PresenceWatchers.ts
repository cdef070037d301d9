import { Clock, Deferred, Effect, Exit, Option, Schema, Scope } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { Presence } from "../domain/Presence.ts"
import { Acquaintances } from "./Acquaintances.ts"
import { presenceChanges } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"
import { PresenceStore, Sighting } from "./PresenceStore.ts"
import { encodeEphemeral, type Published, PubSub, presenceSubject } from "./PubSub.ts"

/** Who is told of presence: one socket. */
export interface Watcher {
  readonly userId: UserId
  /** Takes a `presence.changed`, or refuses it when it is behind: then it is told again later how it is by then. */
  readonly tell: (changed: Published) => boolean
  readonly watched: Set<UserId>
  /** Of whom it was not told. */
  readonly missed: Set<UserId>
}

/** A user whom somebody here watches. */
interface Watched {
  readonly userId: UserId
  readonly watchers: Set<Watcher>
  readonly scope: Scope.Closeable
  readonly ready: Deferred.Deferred<void>
  seen: Sighting
  /** What the watchers know. */
  told: Sighting["status"]
  /** How often `seen` was set: a slow reading must not undo what came meanwhile. */
  news: number
  doubted: boolean
}

export const nobody: Sighting = { status: "offline", seenAt: null, at: 0 }

/** How many users one read of the store is about, and how many are told of before others may run. */
const step = 500

/** How many pairs one statement checks. */
const pairs = 1000

const decodeSeen = Schema.decodeUnknownOption(Schema.fromJsonString(Sighting))

/** A sighting as clients get it. */
export const toPresence = (userId: UserId, { seenAt, status }: Sighting, now: number): Presence => ({
  userId,
  status,
  lastSeenAt:
    status !== "offline" ? new Date(now).toISOString() : seenAt === null ? null : new Date(seenAt).toISOString()
})

const inSteps = <A>(items: ReadonlyArray<A>, size: number) =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size))

/** What this node's sockets watch: one place, one subscription and one reading for each user, however many watch. */
export const makePresenceWatchers = Effect.gen(function* () {
  const acquaintances = yield* Acquaintances
  const store = yield* PresenceStore
  const pubsub = yield* PubSub
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const users = new Map<UserId, Watched>()
  const told = (yield* Metrics).counter(presenceChanges)
  const changed = new Set<Watched>()
  const behind = new Set<Watcher>()

  const learn = (user: Watched, seen: Sighting) => {
    user.seen = seen
    user.news++
    user.doubted = false
    if (seen.status !== user.told) changed.add(user)
  }

  const onSeen = (user: Watched) => (events: ReadonlyArray<Published>) => {
    for (const { json } of events) {
      const seen = decodeSeen(json)
      if (Option.isSome(seen) && seen.value.at >= user.seen.at) learn(user, seen.value)
    }
  }

  /** Nothing is kept of a user who was there: rather the store was emptied, and the user's node will say so again. */
  const doubt = (user: Watched) => {
    if (user.seen.status === "offline" || user.doubted) learn(user, { ...nobody, at: user.seen.at })
    else user.doubted = true
  }

  const read = Effect.fnUntraced(function* (reading: ReadonlyArray<Watched>) {
    for (const some of inSteps(reading, step)) {
      const news = some.map((user) => user.news)
      const found = yield* store.read(some.map(({ userId }) => userId))
      for (const [i, user] of some.entries()) {
        const seen = found[i] ?? null
        if (user.news !== news[i] && (seen === null || seen.at < user.seen.at)) continue
        if (seen === null) doubt(user)
        else learn(user, seen)
      }
    }
  })

  const open = Effect.fnUntraced(function* (opened: ReadonlyArray<Watched>) {
    yield* Effect.forEach(
      opened,
      (user) => Scope.provide(pubsub.subscribe(presenceSubject(user.userId), onSeen(user)), user.scope),
      { concurrency: 64, discard: true }
    )
    yield* Effect.ignore(read(opened))
    for (const user of opened) {
      user.told = user.seen.status
      changed.delete(user)
      Deferred.doneUnsafe(user.ready, Exit.void)
    }
  }, Effect.uninterruptible)

  const unwatch = (watcher: Watcher, userId: UserId) => {
    watcher.watched.delete(userId)
    watcher.missed.delete(userId)
    const user = users.get(userId)
    if (user === undefined || !user.watchers.delete(watcher) || user.watchers.size > 0) return
    users.delete(userId)
    changed.delete(user)
    fork(Scope.close(user.scope, Exit.void))
  }

  /** Watches users whom the watcher may see; answers how they are. What changes from now on is told. */
  const watch = Effect.fnUntraced(function* (watcher: Watcher, userIds: ReadonlyArray<UserId>) {
    const opened: Array<Watched> = []
    const watched = userIds.map((userId) => {
      const known = users.get(userId)
      const user = known ?? {
        userId,
        watchers: new Set<Watcher>(),
        scope: Scope.makeUnsafe(),
        ready: Deferred.makeUnsafe<void>(),
        seen: nobody,
        told: nobody.status,
        news: 0,
        doubted: false
      }
      if (known === undefined) {
        users.set(userId, user)
        opened.push(user)
      }
      user.watchers.add(watcher)
      watcher.watched.add(userId)
      return user
    })
    if (opened.length > 0) yield* open(opened)
    yield* Effect.forEach(watched, (user) => Deferred.await(user.ready), { discard: true })
    return watched.map((user) => {
      // The others are yet to be told of this, and will not be if it passes before that.
      if (user.seen.status !== user.told && watcher.watched.has(user.userId)) {
        watcher.missed.add(user.userId)
        behind.add(watcher)
      }
      return [user.userId, user.seen] as const
    })
  })

  const tell = (watcher: Watcher, userId: UserId, event: Published) => {
    const taken = watcher.tell(event)
    if (taken) watcher.missed.delete(userId)
    else {
      watcher.missed.add(userId)
      behind.add(watcher)
    }
    return taken
  }

  const event = ({ seen, userId }: Watched, now: number) =>
    encodeEphemeral({ event: "presence.changed", data: toPresence(userId, seen, now) })

  /** Tells what changed since the last time, the last change of each user only, and what was refused before. */
  const flush = Effect.gen(function* () {
    if (changed.size + behind.size === 0) return
    const now = yield* Clock.currentTimeMillis
    for (const user of changed) if (user.seen.status === user.told) changed.delete(user)
    const late = [...behind]
    behind.clear()
    for (const watcher of late) {
      for (const userId of [...watcher.missed]) {
        const user = users.get(userId)
        if (user !== undefined && !changed.has(user) && !tell(watcher, userId, event(user, now))) break
      }
      if (watcher.missed.size > 0) behind.add(watcher)
    }
    for (const some of inSteps([...changed], step)) {
      for (const user of some) {
        if (!changed.delete(user)) continue
        user.told = user.seen.status
        const published = event(user, now)
        told()
        for (const watcher of user.watchers) tell(watcher, user.userId, published)
      }
      yield* Effect.yieldNow
    }
  })

  /** Reads all who are watched again: the bus may have lost a change, and a node its life. */
  const reread = Effect.suspend(() => Effect.ignore(read([...users.values()])))

  const forget = (watcher: Watcher, userId: UserId) =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (!watcher.watched.has(userId)) return
      unwatch(watcher, userId)
      watcher.tell(encodeEphemeral({ event: "presence.changed", data: toPresence(userId, nobody, now) }))
    })

  /** Ends the watching of those who have become strangers, by all or by one. */
  const recheck = (only?: Watcher) =>
    Effect.gen(function* () {
      const watching = [...users.values()]
        .flatMap(({ userId, watchers }) =>
          Array.from(watchers, (watcher) => ({ watcher, userId, viewerId: watcher.userId }))
        )
        .filter(({ watcher }) => only === undefined || watcher === only)
      for (const some of inSteps(watching, pairs)) {
        const known = new Set<string>()
        for (const { userId, viewerId } of yield* acquaintances.among(some)) known.add(`${viewerId} ${userId}`)
        for (const { userId, viewerId, watcher } of some) {
          if (!known.has(`${viewerId} ${userId}`)) yield* forget(watcher, userId)
        }
      }
    }).pipe(Effect.ignore)

  const leave = (watcher: Watcher) => {
    for (const userId of [...watcher.watched]) unwatch(watcher, userId)
    behind.delete(watcher)
  }

  return { watch, unwatch, leave, flush, reread, recheck, size: () => users.size }
})
