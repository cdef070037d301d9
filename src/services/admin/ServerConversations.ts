import { randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { type ExternalId, type ExternalKey, parseUserReference } from "../../domain/ExternalId.ts"
import { ConversationId, type ServiceTokenId, type UserId } from "../../domain/Ids.ts"
import { type InvalidRequest, invalid, type NotFound, type Unavailable } from "../../domain/Problem.ts"
import { noConversation, noUser } from "../../domain/Refusals.ts"
import type { ServerConversation, ServerGroup } from "../../domain/ServerConversation.ts"
import { longerThan } from "../../domain/Text.ts"
import { Settings } from "../platform/Settings.ts"
import { serverIssuerOf } from "../platform/settings/IssuerSettings.ts"
import type { AuditActor } from "./Audit.ts"

/** A group to make or update; `id` is that of a new one. */
export interface GroupPut {
  readonly key: ExternalKey
  readonly id: ConversationId
  readonly change: Omit<ServerGroup, "memberIds">
  readonly memberIds: ReadonlyArray<UserId> | undefined
  readonly actor: AuditActor
}

/** A group as it is stored. */
export interface KeyedRow extends Omit<ServerConversation, "createdAt" | "externalKey"> {
  readonly createdAt: Date
}

/** The refusal for a group without members that gets none. */
export const noMembers = invalid("memberIds", "must name a member, because the group has none")

/** Where the groups of the application are stored. */
export class ServerConversationStorage extends Context.Service<
  ServerConversationStorage,
  {
    /**
     * Makes or updates a group in one transaction, with a line in the audit log if that changes something, and makes its
     * events known. `NotFound` when a user does not exist, and `noMembers` for a group without members that gets none.
     */
    readonly put: (group: GroupPut) => Effect.Effect<void, InvalidRequest | NotFound | Unavailable>
    /** The group, unless it is deleted. */
    readonly find: (key: ExternalKey) => Effect.Effect<KeyedRow | undefined, Unavailable>
    /** The users with external ids, by these, without those who do not exist. */
    readonly users: (
      issuer: string,
      subjects: ReadonlyArray<ExternalId>
    ) => Effect.Effect<ReadonlyMap<ExternalId, UserId>, Unavailable>
  }
>()("chat/services/ServerConversationStorage") {}

/** The groups of the application that the service belongs to, by the keys that it has for them. */
export class ServerConversations extends Context.Service<
  ServerConversations,
  {
    /**
     * Makes the group, or makes it what is given: title, picture, and exactly these members. Repeating it changes nothing,
     * and of several that make the same group at the same time one does. `InvalidRequest` for a reference that names
     * nobody, for a new group without members, and beyond the limits; `NotFound`, without any change, when a user does not
     * exist.
     */
    readonly upsert: (
      program: ServiceTokenId,
      key: ExternalKey,
      group: ServerGroup
    ) => Effect.Effect<ServerConversation, InvalidRequest | NotFound | Unavailable>
    /** Reads a group; `NotFound` when there is none, or it is deleted. */
    readonly get: (key: ExternalKey) => Effect.Effect<ServerConversation, NotFound | Unavailable>
  }
>()("chat/services/ServerConversations") {
  /** The rules, on any `ServerConversationStorage`. */
  static readonly layerNoDeps = Layer.effect(
    ServerConversations,
    Effect.gen(function* () {
      const { auth, limits } = yield* Settings
      const storage = yield* ServerConversationStorage
      const issuer = serverIssuerOf(auth)

      const usersOf = Effect.fnUntraced(function* (texts: ReadonlyArray<string>) {
        const references = texts.map(parseUserReference)
        const external = references.flatMap((one) => (one !== undefined && "externalId" in one ? [one.externalId] : []))
        const known = external.length === 0 ? new Map() : yield* storage.users(issuer, external)
        const ids = new Set<UserId>()
        for (const one of references) {
          if (one === undefined) return yield* invalid("memberIds", "must be ids of users, or ext: and external ids")
          const id = "userId" in one ? one.userId : known.get(one.externalId)
          if (id === undefined) return yield* noUser
          ids.add(id)
        }
        return [...ids]
      })

      const get = Effect.fn("ServerConversations.get")(function* (key: ExternalKey) {
        const { createdAt, ...row } = (yield* storage.find(key)) ?? (yield* noConversation)
        return { ...row, externalKey: key, createdAt: createdAt.toISOString() }
      })

      return ServerConversations.of({
        upsert: Effect.fn("ServerConversations.upsert")(function* (program, key, { memberIds, ...change }) {
          if (longerThan(change.title, limits.titleLength))
            return yield* invalid("title", `must have at most ${limits.titleLength} characters`)
          if (memberIds !== undefined && memberIds.length > limits.groupMembers)
            return yield* invalid("memberIds", `must name at most ${limits.groupMembers} users`)
          yield* storage.put({
            key,
            id: ConversationId.make(randomUUIDv7()),
            change,
            memberIds: memberIds && (yield* usersOf(memberIds)),
            actor: `token:${program}`
          })
          return yield* get(key)
        }),
        get
      })
    })
  )
}
