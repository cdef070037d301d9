import { Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import {
  type GroupPut,
  noMembers,
  ServerConversationStorage,
  ServerConversations
} from "../../services/admin/ServerConversations.ts"
import { addAudit } from "./Audit.ts"
import { makeChangesMemory } from "./Changes.ts"
import { differences } from "./ConversationChanges.ts"
import { makeStart } from "./Conversations.ts"
import { checkMayAdd } from "./Meeting.ts"
import { currentMembers, makeGroupsMemory } from "./Members.ts"
import { identityKey, Memory, type StoredConversation } from "./State.ts"

/** Makes the parts of `put_conversation` in SQL. */
const makePut = Effect.gen(function* () {
  const memory = yield* Memory
  const { conversationKeys, conversations } = memory
  const { addEvent } = yield* makeChangesMemory
  const { join, part, setRole, signal } = yield* makeGroupsMemory
  const start = yield* makeStart

  /** Only whether the users exist: blocks keep nobody out. */
  const checkExist = (actorId: UserId, userIds: ReadonlyArray<UserId>) =>
    Effect.catchTag(checkMayAdd(memory, actorId, userIds), "Forbidden", () => Effect.void)

  const make = Effect.fnUntraced(function* ({ change, key, memberIds = [] }: GroupPut) {
    const [createdBy] = memberIds
    if (createdBy === undefined) return yield* noMembers
    yield* checkExist(createdBy, memberIds)
    const { avatarUrl = null, title } = change
    const id = yield* start({ kind: "group", title, avatarUrl, createdBy, peers: null }, memberIds)
    conversationKeys.set(key, id)
    yield* signal(id, memberIds)
    return { id, joined: memberIds.length, left: 0 }
  })

  const update = Effect.fnUntraced(function* (before: StoredConversation, { change, memberIds }: GroupPut) {
    const members = currentMembers(before)
    const owner = members.filter(({ role }) => role === "owner").sort((a, b) => a.joinedSeq - b.joinedSeq)[0]
    const fresh = (memberIds ?? []).filter((id) => before.members.get(id)?.leftSeq !== null)
    const actorId = owner?.userId ?? fresh[0]
    if (actorId === undefined) return yield* noMembers
    yield* checkExist(actorId, fresh)
    yield* join(before, actorId, fresh)
    const first = before.members.get(actorId)
    if (owner === undefined && first !== undefined) yield* setRole(before, actorId, first, "owner")
    const data = differences(before, change)
    const conversation = { ...before, ...data }
    if (Object.keys(data).length > 0) {
      conversations.set(conversation.id, conversation)
      yield* addEvent(conversation, { event: "conversation.updated", actorId, data })
    }
    const gone = memberIds === undefined ? [] : members.filter(({ userId }) => !memberIds.includes(userId))
    for (const { userId } of gone.toSorted((a, b) => Number(a.userId === actorId) - Number(b.userId === actorId))) {
      const member = conversation.members.get(userId)
      if (member === undefined) continue
      yield* part(conversation, actorId, member)
      const after = conversation.members.get(userId)
      if (after !== undefined) conversation.members.set(userId, { ...after, removed: true })
    }
    return { id: before.id, joined: fresh.length, left: gone.length }
  })

  return Effect.fnUntraced(function* (put: GroupPut) {
    const known = conversations.get(conversationKeys.get(put.key) ?? put.id)
    const head = known?.log.length ?? 0
    const { id, joined, left } = yield* known === undefined ? make(put) : update(known, put)
    if (conversations.get(id)?.log.length === head) return
    const detail = { externalKey: put.key, created: known === undefined, joined, left }
    const target = { targetKind: "conversation", targetId: id }
    yield* addAudit(memory, { actor: put.actor, act: "server.upsertConversation", ...target, detail })
  }, memory.atomically)
})

const makeStorage = Effect.gen(function* () {
  const { conversationKeys, conversations, identities } = yield* Memory
  return ServerConversationStorage.of({
    put: yield* makePut,
    find: (key) =>
      Effect.sync(() => {
        const id = conversationKeys.get(key)
        const found = id && conversations.get(id)
        if (!found) return undefined
        const { avatarUrl, createdAt, createdBy, log, title } = found
        const memberCount = currentMembers(found).length
        return { id: found.id, title: title ?? "", avatarUrl, createdAt, createdBy, seq: log.length, memberCount }
      }),
    users: (issuer, subjects) =>
      Effect.sync(
        () =>
          new Map(
            subjects.flatMap((subject) => {
              const identity = identities.get(identityKey(issuer, subject))
              return identity === undefined || identity.closed ? [] : [[subject, identity.userId] as const]
            })
          )
      )
  })
})

/** The groups of the application in `Memory`. */
export const layerMemory = ServerConversations.layerNoDeps.pipe(
  Layer.provide(Layer.effect(ServerConversationStorage, makeStorage))
)
