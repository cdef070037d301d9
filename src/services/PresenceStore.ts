import { Clock, Context, Effect, Layer, Schema, type Scope } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { ChosenStatus, PresenceStatus } from "../domain/Presence.ts"

/** What is kept cannot be reached: nothing is known of anybody. */
export class PresenceUnknown extends Schema.TaggedError<PresenceUnknown>()("PresenceUnknown", {
  message: Schema.String
}) {}

/** A device that is there is in use, or idle. */
export type DeviceStatus = "online" | "away"

/** What holds for all devices of a user; with `auto` the most active one counts. */
export type Choice = ChosenStatus | "auto"

/** A choice and when it was made, by the store's clock in milliseconds. */
export interface ChosenAt {
  readonly status: Choice
  readonly at: number
}

/** What one node says of a user. */
export interface Report {
  readonly userId: UserId
  /** The most active of the user's devices on that node; null when the last one is gone; absent to say nothing of it. */
  readonly device?: DeviceStatus | null
  /** For how long, in milliseconds, this holds unless it is said again. */
  readonly lifetimeMs: number
  /** How many milliseconds ago a device was last there: 0 while one is. */
  readonly agoMs: number
  /** A new choice, or with its `at` the one the node knows of, should the store have lost it. */
  readonly choice?: { readonly status: Choice; readonly at: number | null } | undefined
}

/** How others see a user, and since when (`at`, by the store's clock: the later of two is the newer one). */
export const Sighting = Schema.Struct({
  status: Schema.Literals(["online", "away", "dnd", "offline"]),
  seenAt: Schema.NullOr(Schema.Finite),
  at: Schema.Finite
})
export type Sighting = typeof Sighting.Type

/** How others see a user after a report, whether that is new, and the user's choice. */
export interface Reported {
  readonly sighting: Sighting
  readonly changed: boolean
  readonly choice: ChosenAt | null
}

/** What is kept of a user. */
export interface PresenceRecord {
  readonly nodes: Map<string, { readonly device: DeviceStatus; readonly seenAt: number; readonly until: number }>
  choice: ChosenAt | null
  /** When the user was last to be seen, as far as that is over. */
  seenAt: number | null
  /** Since when others see the user as they do. */
  at: number
}

/** What others see of somebody whose most active device is that one. */
export const shown = (device: DeviceStatus | null, choice: Choice): PresenceStatus =>
  device === null || choice === "invisible" ? "offline" : choice === "auto" ? device : choice

const latest = (a: number | null, b: number) => (a === null ? b : Math.max(a, b))

/** How others see a user at that time. What was not said again in time has lapsed. */
export const sight = (record: PresenceRecord, now: number): Sighting => {
  const choice = record.choice?.status ?? "auto"
  let device: DeviceStatus | null = null
  let { at, seenAt } = record
  for (const node of record.nodes.values()) {
    if (node.until > now) {
      device = node.device === "online" ? "online" : (device ?? "away")
    } else if (choice !== "invisible") {
      at = Math.max(at, node.until)
      seenAt = latest(seenAt, node.seenAt)
    }
  }
  const status = shown(device, choice)
  return status === "offline" ? { status, seenAt, at } : { status, seenAt: now, at: record.at }
}

/** Takes a report. RedisPresence has the same rule in Lua. */
const take = (record: PresenceRecord, now: number, nodeId: string, report: Report): Reported => {
  const before = sight(record, now)
  if (before.status === "offline") record.seenAt = before.seenAt
  record.at = before.at
  for (const [id, { until }] of record.nodes) if (until <= now) record.nodes.delete(id)
  const { agoMs, choice, device, lifetimeMs } = report
  const chosenAt = record.choice?.at ?? 0
  if (choice !== undefined && (choice.at ?? Number.POSITIVE_INFINITY) > chosenAt) {
    if (choice.status === "invisible" && before.status !== "offline") record.seenAt = now
    record.choice = { status: choice.status, at: choice.at ?? Math.max(now, chosenAt + 1) }
  }
  if (device === null) {
    record.nodes.delete(nodeId)
    if (record.choice?.status !== "invisible") record.seenAt = latest(record.seenAt, now - agoMs)
  } else if (device !== undefined) {
    record.nodes.set(nodeId, { device, seenAt: now - agoMs, until: now + lifetimeMs })
  }
  const changed = sight(record, now).status !== before.status
  if (changed) record.at = Math.max(now, record.at + 1)
  return { sighting: sight(record, now), changed, choice: record.choice }
}

/** Where presence is kept for all nodes. It may vanish: what the nodes say again and again brings it back. */
export class PresenceStore extends Context.Service<
  PresenceStore,
  {
    /** Takes what a node says of users, each once, and answers in their order. Each user's change is atomic. */
    readonly report: (
      nodeId: string,
      reports: ReadonlyArray<Report>
    ) => Effect.Effect<ReadonlyArray<Reported>, PresenceUnknown>
    /** How others see the users, in their order; null of whom nothing is kept. */
    readonly read: (userIds: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<Sighting | null>, PresenceUnknown>
    /** Calls `listener` each time the store is back, perhaps empty, until the scope closes. */
    readonly onReturn: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
    /** How long after that another node may need to find it back, in milliseconds. */
    readonly returnSpread: number
  }
>()("chat/services/PresenceStore") {
  /** In this process. */
  static readonly layer = Layer.sync(PresenceStore, () => {
    const records = new Map<UserId, PresenceRecord>()
    const recordOf = (userId: UserId) => {
      const record = records.get(userId) ?? { nodes: new Map(), choice: null, seenAt: null, at: 0 }
      records.set(userId, record)
      return record
    }
    return PresenceStore.of({
      report: (nodeId, reports) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          reports.map((report) => take(recordOf(report.userId), now, nodeId, report))
        ),
      read: (userIds) =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          userIds.map((userId) => {
            const record = records.get(userId)
            return record === undefined ? null : sight(record, now)
          })
        ),
      onReturn: () => Effect.void,
      returnSpread: 0
    })
  })
}
