import { randomUUID } from "node:crypto"
import { Context, Effect, Exit, Layer, Schema, Scope } from "effect"
import { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Presence as PresenceOf } from "../../src/domain/Presence.ts"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import type { Published } from "../../src/services/bus/Subjects.ts"
import type { MembershipRow } from "../../src/services/conversations/ConversationRows.ts"
import { Presence } from "../../src/services/presence/Presence.ts"
import * as ContactsMemory from "../../src/testing/memory/Contacts.ts"
import { Memory } from "../../src/testing/memory/State.ts"

/** Short times, so that no test waits long for them. */
export const presenceTimers = { presenceGrace: 200, presenceExpiry: 1200, presenceBatch: 40 }

/** The services that the nodes of a test share. */
export const presenceShared = Layer.mergeAll(Memory.layer, PubSub.layer)

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ data: PresenceOf })))

/** Makes the id of a new user. */
export const someone = Effect.sync(() => UserId.make(randomUUID()))

/** Makes a conversation of these users. */
export const together = (...userIds: ReadonlyArray<UserId>) =>
  Effect.map(Memory, ({ conversations }) => {
    const id = ConversationId.make(randomUUID())
    const member = (userId: UserId): MembershipRow => ({
      userId,
      role: "member",
      joinedSeq: 1,
      visibleFromSeq: 1,
      leftSeq: null,
      removed: false,
      joinedAt: new Date(0),
      readSeq: 0,
      deliveredSeq: 0,
      mutedUntil: null,
      archived: false,
      pinned: false,
      notify: "all",
      userSeq: 1,
      shown: true,
      guestUntil: null
    })
    const members = new Map(userIds.map((userId) => [userId, member(userId)]))
    conversations.set(id, {
      id,
      kind: "group",
      title: "",
      avatarUrl: null,
      createdBy: userIds[0] ?? UserId.make(randomUUID()),
      historyForNewMembers: "from-join",
      messageLifetimeSeconds: null,
      lifetimes: [],
      createdAt: new Date(0),
      peers: null,
      members,
      log: [],
      threads: new Map(),
      lastActivityAt: new Date(0),
      empty: false
    })
    return {
      part: (userId: UserId) => {
        const { userId: _, ...row } = member(userId)
        members.set(userId, { ...row, userId, leftSeq: 2 })
      }
    }
  })

/** Three users who share a conversation. */
export const friends = Effect.gen(function* () {
  const users = yield* Effect.all([someone, someone, someone])
  const group = yield* together(...users)
  return { users, group }
})

/** A further node, until the scope closes. */
export const presenceNode = Effect.map(
  Layer.build(Layer.fresh(Presence.layerNoDeps).pipe(Layer.provide(ContactsMemory.layerMemory))),
  (context) => Context.get(context, Presence)
)

/** A device, with the events that it has received, and the presences among them. */
export const device = Effect.fnUntraced(function* (presence: Presence["Service"], userId: UserId) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const connectionId = randomUUID()
  const received: Array<PresenceOf> = []
  const events: Array<Published> = []
  const state = { refuses: false }
  const offer = (event: Published) => {
    if (state.refuses) return false
    events.push(event)
    if (event.event === "presence.changed") received.push(decode(event.json).data)
    return true
  }
  yield* Scope.provide(presence.connect({ userId, connectionId, offer }), scope)
  return {
    connectionId,
    received,
    events,
    state,
    statuses: (of: UserId) => received.filter(({ userId }) => userId === of).map(({ status }) => status),
    close: Scope.close(scope, Exit.void)
  }
})
