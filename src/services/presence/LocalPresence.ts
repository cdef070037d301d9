import { Clock, Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { ChosenStatus } from "../../domain/Presence.ts"
import type { ObservedPresence } from "../bus/PubSub.ts"
import { monotonicMillis } from "../platform/Monotonic.ts"
import { Settings } from "../platform/Settings.ts"
import { visibleStatus } from "./PresenceRecord.ts"
import type { Choice, ChosenAt, DeviceStatus, Report, Reported } from "./PresenceStore.ts"

interface Device {
  status: DeviceStatus
  /** When it disconnected. It counts as connected until the grace period is over. */
  goneAt: number | undefined
}

interface LocalUser {
  readonly devices: Map<string, Device>
  /** The last choice that the store has answered with. */
  choice: ChosenAt | undefined
}

/** Every node repeats its reports this often within the expiry. A report that is not repeated three times expires. */
export const beatsPerExpiry = 4

const mostActive = (devices: Iterable<Device>): DeviceStatus => {
  for (const { status } of devices) if (status === "online") return "online"
  return "away"
}

/** The devices that are connected to this node, by user. */
const makeLocalUsers = (now: () => number) => {
  const users = new Map<UserId, LocalUser>()
  /** When the last device of a user disconnected, until the store knows. */
  const departures = new Map<UserId, number>()

  return {
    users,
    departures,
    connect: (userId: UserId, connectionId: string) => {
      const user = users.get(userId) ?? { devices: new Map(), choice: undefined }
      users.set(userId, user)
      user.devices.set(connectionId, { status: "online", goneAt: undefined })
      departures.delete(userId)
    },
    disconnect: (userId: UserId, connectionId: string) => {
      const device = users.get(userId)?.devices.get(connectionId)
      if (device !== undefined) device.goneAt = now()
    },
    /** Ends the grace period of a device that has disconnected; answers whether there is something to report. */
    remove: (userId: UserId, connectionId: string): boolean => {
      const user = users.get(userId)
      const device = user?.devices.get(connectionId)
      if (user === undefined || device?.goneAt === undefined) return false
      user.devices.delete(connectionId)
      if (user.devices.size === 0) {
        users.delete(userId)
        departures.set(userId, device.goneAt)
      }
      return true
    }
  }
}

/** The devices that are connected to this node, and what the store does not know of them yet. */
export const makeLocalPresence = Effect.gen(function* () {
  const { timers } = yield* Settings
  const clock = yield* Clock.Clock
  const now = () => monotonicMillis(clock)
  const { connect, departures, disconnect, remove, users } = makeLocalUsers(now)
  /** Choices that the store does not know. */
  const newChoices = new Map<UserId, Choice>()
  const lifetimeMs = timers.presenceExpiry * (1 - 1 / beatsPerExpiry)

  /** Everything about a user for the store. When the process ends, it holds only for the rest of the grace period. */
  const reportOf = (userId: UserId, ending: boolean): Report => {
    const user = users.get(userId)
    const newChoice = newChoices.get(userId)
    const choice = newChoice === undefined ? user?.choice : { status: newChoice, at: null }
    const goneAt = departures.get(userId)
    if (user === undefined) {
      const agoMs = goneAt === undefined ? 0 : now() - goneAt
      return { userId, lifetimeMs, agoMs, choice, ...(goneAt !== undefined && { device: null }) }
    }
    const agoMs = Math.min(...Array.from(user.devices.values(), ({ goneAt = now() }) => now() - goneAt))
    const left = timers.presenceGrace - agoMs
    const device = ending && left <= 0 ? null : mostActive(user.devices.values())
    return { userId, device, lifetimeMs: ending ? left : lifetimeMs, agoMs, choice }
  }

  /** Takes note of what the store knows now. */
  const acknowledge = ({ choice: reported, device, userId }: Report, { choice }: Reported) => {
    if (reported?.at === null && newChoices.get(userId) === reported.status) newChoices.delete(userId)
    const user = users.get(userId)
    if (user !== undefined && choice !== null) user.choice = choice
    if (device === null) departures.delete(userId)
  }

  /** The choice that a status makes: `online` and `away` of a connection describe that device, and end any other choice. */
  const choose = (userId: UserId, status: ChosenStatus, connectionId: string | undefined): Choice => {
    const device = connectionId === undefined ? undefined : users.get(userId)?.devices.get(connectionId)
    if (device === undefined || status === "dnd" || status === "invisible") return status
    device.status = status
    return "auto"
  }

  /** What this node knows by itself. */
  const observed = (userId: UserId): ObservedPresence => {
    const user = users.get(userId)
    const device = user === undefined ? null : mostActive(user.devices.values())
    const choice = newChoices.get(userId) ?? user?.choice?.status ?? "auto"
    return { status: visibleStatus(device, choice), seenAt: null, at: 0 }
  }

  return {
    acknowledge,
    choose,
    connect,
    disconnect,
    has: (userId: UserId) => users.has(userId),
    newChoices,
    observed,
    remove,
    reportOf,
    size: () => users.size,
    userIds: () => [...new Set([...users.keys(), ...departures.keys(), ...newChoices.keys()])]
  }
})

export type LocalPresence = Effect.Success<typeof makeLocalPresence>
