import { randomUUID } from "node:crypto"
import { Clock, Effect, Semaphore } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { ChosenStatus } from "../domain/Presence.ts"
import { Unavailable } from "../domain/Problem.ts"
import { makeGroupCommit, type Pending } from "./GroupCommit.ts"
import { presentUsers } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"
import {
  type Choice,
  type ChosenAt,
  type DeviceStatus,
  PresenceStore,
  type Report,
  type Reported,
  type Sighting,
  shown
} from "./PresenceStore.ts"
import { PubSub, presenceSeen, presenceSubject } from "./PubSub.ts"
import { Settings } from "./Settings.ts"

interface Device {
  status: DeviceStatus
  /** Set when it is gone; it counts on until the grace is over. */
  goneAt: number | undefined
}

interface LocalUser {
  readonly devices: Map<string, Device>
  /** As the store told last. */
  choice: ChosenAt | undefined
}

interface Change {
  readonly userId: UserId
  readonly choice?: Choice
}

/** How many users one call of the store is about. */
const step = 500

/** All nodes of one deployment say what they have four times within the expiry; what was missed three times lapses. */
export const beatsPerExpiry = 4

const mostActive = (devices: Iterable<Device>): DeviceStatus => {
  for (const { status } of devices) if (status === "online") return "online"
  return "away"
}

/**
 * This node's devices, and what the store is told of them: changes at once and together, all of it again with each
 * `beat`. While the store is away it waits here for the next beat.
 */
export const makePresenceReports = Effect.gen(function* () {
  const store = yield* PresenceStore
  const pubsub = yield* PubSub
  const { timers } = yield* Settings
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const oneAtATime = yield* Semaphore.make(1)
  const nodeId = randomUUID()
  const users = new Map<UserId, LocalUser>()
  const metrics = yield* Metrics
  metrics.read(presentUsers, () => users.size)
  /** Who has gone, and when, until the store has been told. */
  const gone = new Map<UserId, number>()
  /** Choices that the store has not been told. */
  const unsaid = new Map<UserId, Choice>()
  const lifetimeMs = timers.presenceExpiry * (1 - 1 / beatsPerExpiry)
  const now = () => clock.currentTimeMillisUnsafe()

  /** What is to be said of a user now. At the end of the process everything lapses with the grace. */
  const reportOf = (userId: UserId, ending = false): Report => {
    const user = users.get(userId)
    const fresh = unsaid.get(userId)
    const choice = fresh === undefined ? user?.choice : { status: fresh, at: null }
    const goneAt = gone.get(userId)
    if (user === undefined) {
      const agoMs = goneAt === undefined ? 0 : now() - goneAt
      return { userId, lifetimeMs, agoMs, choice, ...(goneAt !== undefined && { device: null }) }
    }
    const agoMs = Math.min(...Array.from(user.devices.values(), ({ goneAt = now() }) => now() - goneAt))
    const left = timers.presenceGrace - agoMs
    const device = ending && left <= 0 ? null : mostActive(user.devices.values())
    return { userId, device, lifetimeMs: ending ? left : lifetimeMs, agoMs, choice }
  }

  const settle = (report: Report, { changed, choice, sighting }: Reported) => {
    const { userId } = report
    if (report.choice?.at === null && unsaid.get(userId) === report.choice.status) unsaid.delete(userId)
    const user = users.get(userId)
    if (user !== undefined && choice !== null) user.choice = choice
    if (report.device === null) gone.delete(userId)
    return changed ? pubsub.publish(presenceSubject(userId), [presenceSeen(sighting)]) : Effect.void
  }

  /** Reports are made when they are sent, one call at a time: the last one said is how it is. */
  const say = (userIds: ReadonlyArray<UserId>, ending = false) =>
    Effect.suspend(() => {
      const reports = userIds.map((userId) => reportOf(userId, ending))
      return Effect.flatMap(store.report(nodeId, reports), (answers) =>
        Effect.forEach(
          reports,
          (report, i) => {
            const answer = answers[i]
            return answer === undefined ? Effect.void : settle(report, answer)
          },
          { discard: true }
        )
      )
    }).pipe(oneAtATime.withPermits(1))

  const everybody = (ending = false) =>
    Effect.gen(function* () {
      const ids = [...new Set([...users.keys(), ...gone.keys(), ...unsaid.keys()])]
      for (let from = 0; from < ids.length; from += step) yield* say(ids.slice(from, from + step), ending)
    }).pipe(Effect.ignore)

  const refuse = (pending: Pending<Change, void, never>) => {
    const { choice, userId } = pending.input
    if (choice === undefined || users.has(userId)) return pending.answer(Effect.void)
    unsaid.delete(userId)
    pending.answer(Effect.fail(new Unavailable({ detail: "Presence cannot be kept right now" })))
  }

  const changes = yield* makeGroupCommit<Change, void, never>({
    queue: "presence",
    capacity: 100_000,
    maxBatch: step,
    patienceMs: 5000,
    startsBatch: (batch, next) =>
      next.choice !== undefined && batch.some(({ choice, userId }) => choice !== undefined && userId === next.userId),
    commit: (batch) =>
      Effect.suspend(() => {
        for (const { input } of batch) if (input.choice !== undefined) unsaid.set(input.userId, input.choice)
        return say([...new Set(batch.map(({ input }) => input.userId))])
      }).pipe(
        Effect.match({
          onSuccess: () => {
            for (const pending of batch) pending.answer(Effect.void)
          },
          onFailure: () => {
            for (const pending of batch) refuse(pending)
          }
        })
      )
  })
  yield* Effect.addFinalizer(() => Effect.timeoutOption(everybody(true), "1 second"))

  const remove = (userId: UserId, connectionId: string) =>
    Effect.suspend(() => {
      const user = users.get(userId)
      const device = user?.devices.get(connectionId)
      if (user === undefined || device?.goneAt === undefined) return Effect.void
      user.devices.delete(connectionId)
      if (user.devices.size === 0) {
        users.delete(userId)
        gone.set(userId, device.goneAt)
      }
      return Effect.ignore(changes.submit({ userId }))
    })

  /** A device is there until the scope closes, and counts for the grace after that. */
  const connect = (userId: UserId, connectionId: string) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const user = users.get(userId) ?? { devices: new Map(), choice: undefined }
        users.set(userId, user)
        user.devices.set(connectionId, { status: "online", goneAt: undefined })
        gone.delete(userId)
        return Effect.ignore(changes.submit({ userId }))
      }),
      () =>
        Effect.suspend(() => {
          const device = users.get(userId)?.devices.get(connectionId)
          if (device !== undefined) device.goneAt = now()
          return remove(userId, connectionId).pipe(Effect.delay(timers.presenceGrace), Effect.forkIn(scope))
        })
    ).pipe(Effect.asVoid)

  const set = (userId: UserId, status: ChosenStatus, connectionId: string | undefined) =>
    Effect.suspend(() => {
      const device = connectionId === undefined ? undefined : users.get(userId)?.devices.get(connectionId)
      if (device === undefined || status === "dnd" || status === "invisible")
        return changes.submit({ userId, choice: status })
      device.status = status
      return changes.submit({ userId, choice: "auto" })
    })

  /** What this node knows by itself. */
  const sighting = (userId: UserId): Sighting => {
    const user = users.get(userId)
    const device = user === undefined ? null : mostActive(user.devices.values())
    return { status: shown(device, unsaid.get(userId) ?? user?.choice?.status ?? "auto"), seenAt: null, at: 0 }
  }

  return { connect, set, sighting, beat: everybody() }
})

export type PresenceReports = Effect.Success<typeof makePresenceReports>
