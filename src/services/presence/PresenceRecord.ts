import type { PresenceStatus } from "../../domain/Presence.ts"
import type { ObservedPresence } from "../bus/PubSub.ts"
import type { Choice, ChosenAt, DeviceStatus, Report, Reported } from "./PresenceStore.ts"

/** What a store keeps about a user. */
export interface PresenceRecord {
  readonly nodes: Map<string, { readonly device: DeviceStatus; readonly seenAt: number; readonly until: number }>
  choice: ChosenAt | null
  /** When the user was last seen by others, if that has ended. */
  seenAt: number | null
  /** When what others see of the user changed last. */
  at: number
}

/** What others see of a user with this most active device. */
export const visibleStatus = (device: DeviceStatus | null, choice: Choice): PresenceStatus => {
  if (device === null || choice === "invisible") return "offline"
  return choice === "auto" ? device : choice
}

const latest = (a: number | null, b: number) => (a === null ? b : Math.max(a, b))

/** How others see a user at that time. A report that was not repeated in time no longer counts. */
export const observe = (record: PresenceRecord, now: number): ObservedPresence => {
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
  const status = visibleStatus(device, choice)
  return status === "offline" ? { status, seenAt, at } : { status, seenAt: now, at: record.at }
}

/** Changes a record by a report. RedisPresence has the same rule in Lua. */
export const applyReport = (record: PresenceRecord, now: number, nodeId: string, report: Report): Reported => {
  const before = observe(record, now)
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
  const changed = observe(record, now).status !== before.status
  if (changed) record.at = Math.max(now, record.at + 1)
  return { observed: observe(record, now), changed, choice: record.choice }
}
