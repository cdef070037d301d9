import type { UserId } from "../domain/Ids.ts"
import type { SettingsShape } from "../services/platform/Settings.ts"
import type { Connection } from "./Connection.ts"

/** Counts by key, and forgets a key at zero. */
const makeTally = () => {
  const counts = new Map<string, number>()
  const add = (key: string, n: number) => {
    const total = (counts.get(key) ?? 0) + n
    if (total === 0) counts.delete(key)
    else counts.set(key, total)
  }
  return { of: (key: string) => counts.get(key) ?? 0, add }
}

/** Counts the sockets of this node by address and by user, for their limits. */
export const makeSocketCounts = (limits: SettingsShape["limits"]) => {
  const perAddress = makeTally()
  const unauthenticated = makeTally()
  const perUser = makeTally()
  return {
    /** The limit that keeps this address from opening another socket, if one does. */
    limitReached: (address: string): number | undefined => {
      if (perAddress.of(address) >= limits.socketsPerAddress) return limits.socketsPerAddress
      const limit = limits.unauthenticatedSocketsPerAddress
      return unauthenticated.of(address) >= limit ? limit : undefined
    },
    /** Whether this user may open another socket. */
    admitsUser: (userId: UserId): boolean => perUser.of(userId) < limits.socketsPerUser,
    opened: ({ address }: Connection): void => {
      perAddress.add(address, 1)
      unauthenticated.add(address, 1)
    },
    authenticated: ({ address, userId }: Connection): void => {
      unauthenticated.add(address, -1)
      perUser.add(userId, 1)
    },
    closed: ({ address, principal }: Connection): void => {
      perAddress.add(address, -1)
      if (principal === undefined) unauthenticated.add(address, -1)
      else perUser.add(principal.userId, -1)
    }
  }
}
export type SocketCounts = ReturnType<typeof makeSocketCounts>
