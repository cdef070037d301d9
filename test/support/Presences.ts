import { randomUUID } from "node:crypto"
import { Context, Effect, Exit, Layer, Schema, Scope } from "effect"
import { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Presence as PresenceOf } from "../../src/domain/Presence.ts"
import { Acquaintances } from "../../src/services/Acquaintances.ts"
import { type MembershipRow, Memory } from "../../src/services/Memory.ts"
import { Presence } from "../../src/services/Presence.ts"
import { type Published, PubSub } from "../../src/services/PubSub.ts"

/** Short ones, so that no test waits long for them. */
export const presenceTimers = { presenceGrace: 200, presenceExpiry: 1200, presenceBatch: 40 }

/** What the nodes of a test share. */
export const presenceShared = Layer.mergeAll(Memory.layer, PubSub.layer)

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ data: PresenceOf })))

export const someone = Effect.sync(() => UserId.make(randomUUID()))

/** A conversation of those users. */
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
      userSeq: 1
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
      lastActivityAt: new Date(0)
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

/** One more node, until the scope closes. */
export const presenceNode = Effect.map(
  Layer.build(Layer.fresh(Presence.layerNoDeps).pipe(Layer.provide(Acquaintances.layerTest))),
  (context) => Context.get(context, Presence)
)

/** A device and what it was told. */
export const device = Effect.fnUntraced(function* (presence: Presence["Service"], userId: UserId) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const connectionId = randomUUID()
  const told: Array<PresenceOf> = []
  const events: Array<Published> = []
  const state = { refuses: false }
  const tell = (event: Published) => {
    if (state.refuses) return false
    events.push(event)
    told.push(decode(event.json).data)
    return true
  }
  yield* Scope.provide(presence.connect({ userId, connectionId, tell }), scope)
  return {
    connectionId,
    told,
    events,
    state,
    statuses: (of: UserId) => told.filter(({ userId }) => userId === of).map(({ status }) => status),
    close: Scope.close(scope, Exit.void)
  }
})
