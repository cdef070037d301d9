import { Duration, Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { ExternalProfile } from "../../services/identity/issuers/Profiles.ts"
import type { SessionRow, UserRow } from "../../services/identity/Rows.ts"
import type { ExternalUse, SessionStorage, UsedExternal } from "../../services/identity/SessionStorage.ts"
import { type ExternalIdentity, identityKey, type Memory } from "./State.ts"

const day = Duration.toMillis("1 day")

/** Who the user is, and what the issuer says of them. Times are in milliseconds since 1970. */
interface Provisioning {
  readonly issuer: string
  readonly subject: string
  readonly newUserId: UserId
  readonly profile: ExternalProfile
  readonly issuedAt: number
  readonly creates: boolean
  readonly updates: boolean
}

type Provisioned =
  | { readonly outcome: "created" | "updated" | "unchanged"; readonly userId: UserId }
  | { readonly outcome: "unknown" | "ended"; readonly userId: null }

const makeUser = ({ users }: Memory["Service"], { newUserId: id, profile }: Provisioning, createdAt: Date): UserRow => {
  const taken = new Set(Array.from(users.values(), (user) => user.username))
  // The others can be guessed, and so taken on purpose; the end of a new id cannot.
  const ofId = id.replaceAll("-", "").slice(-(profile.usernames.at(-1)?.length ?? 0))
  const username = profile.usernames.find((name) => !taken.has(name)) ?? ofId
  return {
    id,
    email: profile.email ?? "",
    emailKey: `external-${id}`,
    username,
    displayName: profile.displayName ?? username,
    searchName: profile.searchName ?? username,
    avatarUrl: profile.avatarUrl,
    passwordHash: "",
    createdAt,
    deletedAt: null,
    disabledAt: null,
    whoMayAddMe: "everybody",
    closingAt: null,
    kind: "person",
    team: profile.team
  }
}

/** Takes over what has changed; false when that is nothing. */
const update = ({ users }: Memory["Service"], userId: UserId, request: Provisioning): boolean => {
  const user = users.get(userId)
  if (user === undefined) return false
  const { team } = request.profile
  // The team always follows.
  const profile: Partial<ExternalProfile> = request.updates ? request.profile : {}
  const isExternal = user.emailKey === `external-${userId}`
  const changed = {
    displayName: profile.displayName ?? user.displayName,
    avatarUrl: profile.avatarUrl ?? user.avatarUrl,
    email: isExternal ? (profile.email ?? user.email) : user.email,
    team: team ?? user.team
  }
  if (JSON.stringify({ ...user, ...changed }) === JSON.stringify(user)) return false
  users.set(userId, { ...user, ...changed, searchName: profile.searchName ?? user.searchName })
  return true
}

/** Finds or makes the user of an external identity: `provision_user` in SQL. */
export const provision = (memory: Memory["Service"], request: Provisioning, now: Date): Provisioned => {
  const { identities, users } = memory
  const { creates, issuedAt, issuer, newUserId, subject } = request
  const key = identityKey(issuer, subject)
  const known = identities.get(key)
  if (known !== undefined && issuedAt < known.validFrom) return { outcome: "ended", userId: null }
  if (known === undefined || known.closed) {
    if (!creates) return { outcome: "unknown", userId: null }
    const identity: ExternalIdentity = { validFrom: 0, ...known, userId: newUserId, profileAt: issuedAt, closed: false }
    identities.set(key, identity)
    users.set(newUserId, makeUser(memory, request, now))
    return { outcome: "created", userId: newUserId }
  }
  const isUpdate = issuedAt >= known.profileAt && update(memory, known.userId, request)
  if (!isUpdate) return { outcome: "unchanged", userId: known.userId }
  identities.set(key, { ...known, profileAt: issuedAt })
  return { outcome: "updated", userId: known.userId }
}

const use = (memory: Memory["Service"], request: ExternalUse, now: Date): UsedExternal => {
  const { sessions, users } = memory
  const session = sessions.get(request.sessionId)
  const ended = { outcome: "ended", userId: null } as const
  if (session !== undefined && session.endedAt !== null) return ended
  const provisioned = provision(memory, request, now)
  if (provisioned.userId === null) return provisioned
  const { userId } = provisioned
  const user = users.get(userId)
  if (user?.deletedAt !== null || (session !== undefined && session.userId !== userId)) return ended
  if (user.disabledAt !== null) return { outcome: "disabled", userId: null }
  const lasting = session?.expiresAt.getTime() ?? 0
  const device = {
    userAgent: request.userAgent,
    ip: request.ip,
    lastUsedAt: now,
    expiresAt: new Date(Math.max(lasting, request.expiresAt))
  }
  const fresh: SessionRow = {
    ...device,
    id: request.sessionId,
    userId,
    generation: 1,
    previousGeneration: 0,
    droppedGeneration: 0,
    usedGeneration: 0,
    rotatedAt: now,
    createdAt: now,
    endedAt: null
  }
  const created = provisioned.outcome === "created"
  const isNoted = session !== undefined && now.getTime() - session.lastUsedAt.getTime() < day
  if (!request.begins || (isNoted && lasting >= request.expiresAt)) return { outcome: "known", userId, created }
  sessions.set(request.sessionId, session === undefined ? fresh : { ...session, ...device })
  return { outcome: session === undefined ? "begun" : "known", userId, created }
}

/** Makes `SessionStorage.useExternal` in `Memory`. */
export const makeUseExternal =
  (memory: Memory["Service"]): SessionStorage["Service"]["useExternal"] =>
  (request, now) =>
    Effect.sync(() => use(memory, request, now))
