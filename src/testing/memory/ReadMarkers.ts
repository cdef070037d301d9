import { Effect, Layer } from "effect"
import { unreadCap } from "../../domain/Conversation.ts"
import { everybody, type UserId } from "../../domain/Ids.ts"
import { isSilent } from "../../domain/Payload.ts"
import { encodeEphemeral, PubSub } from "../../services/bus/PubSub.ts"
import { conversationSubject, userSubject } from "../../services/bus/Subjects.ts"
import { ReadMarkers } from "../../services/conversations/ReadMarkers.ts"
import { makeChangesMemory } from "./Changes.ts"
import { historyOf, membership } from "./Log.ts"
import { currentMembers, deliveredOf, type Mine, membershipsOf } from "./Members.ts"
import { isBlocked, Memory, type StoredConversation } from "./State.ts"

/** Markers are published to all members of a conversation with at most this many of them: `is_small` in SQL. */
const smallConversation = 100

/** Whether the other members are notified of the user's markers: neither in a large group, nor by a blocked user. */
const isAnnounced = (memory: Memory["Service"], conversation: StoredConversation, userId: UserId) =>
  currentMembers(conversation).length <= smallConversation && !isBlocked(memory, conversation, userId)

/** How many messages the member has not read, up to the cap. */
export const unreadOf = ({ conversation, me }: Mine) =>
  Math.min(
    historyOf(conversation, me).filter(
      ({ deletedAt, payload, senderId, seq, threadRootSeq }) =>
        seq > me.readSeq && senderId !== me.userId && deletedAt === null && threadRootSeq === null && !isSilent(payload)
    ).length,
    unreadCap
  )

/** How many messages that the member has not read mention the member or everybody, up to the cap. */
export const mentionsOf = ({ conversation, me }: Mine) =>
  Math.min(
    historyOf(conversation, me).filter(({ deletedAt, mentions, senderId, seq, threadRootSeq }) => {
      const readSeq =
        threadRootSeq === null ? me.readSeq : (conversation.threads.get(threadRootSeq)?.get(me.userId)?.readSeq ?? 0)
      const forMe = mentions?.includes(me.userId) === true || mentions?.includes(everybody) === true
      return forMe && seq > readSeq && senderId !== me.userId && deletedAt === null
    }).length,
    unreadCap
  )

/** Read and delivered markers in `Memory`. */
export const layerMemory = Layer.effect(
  ReadMarkers,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { conversations } = memory
    const pubsub = yield* PubSub
    const { nextUserSeq } = yield* makeChangesMemory
    return ReadMarkers.of({
      markRead: Effect.fnUntraced(function* (userId, conversationId, { force = false, seq }) {
        const { conversation, me } = yield* membership(conversations, userId, conversationId)
        const upTo = Math.min(seq, conversation.log.length)
        const readSeq = Math.max(upTo, force ? me.visibleFromSeq - 1 : me.readSeq)
        if (readSeq === me.readSeq) return
        const deliveredSeq = Math.max(deliveredOf(me), readSeq)
        conversation.members.set(userId, { ...me, readSeq, deliveredSeq, userSeq: nextUserSeq(userId) })
        yield* pubsub.publish(
          isAnnounced(memory, conversation, userId) ? conversationSubject(conversationId) : userSubject(userId),
          [
            encodeEphemeral(
              { event: "read.marked", conversationId, data: { userId, seq: readSeq } },
              { refersTo: readSeq }
            )
          ]
        )
      }),
      markDelivered: Effect.fnUntraced(function* (userId, conversationId, seq) {
        const { conversation, me } = yield* membership(conversations, userId, conversationId)
        const deliveredSeq = Math.min(seq, conversation.log.length)
        if (deliveredSeq <= deliveredOf(me)) return
        conversation.members.set(userId, { ...me, deliveredSeq })
        if (!isAnnounced(memory, conversation, userId)) return
        yield* pubsub.publish(conversationSubject(conversationId), [
          encodeEphemeral(
            { event: "delivered.marked", conversationId, data: { userId, seq: deliveredSeq } },
            { refersTo: deliveredSeq }
          )
        ])
      }),
      unread: (userId) =>
        Effect.sync(() => {
          const memberships = membershipsOf(conversations, userId)
          return {
            unreadCount: memberships.reduce((sum, mine) => sum + unreadOf(mine), 0),
            mentionCount: memberships.reduce((sum, mine) => sum + mentionsOf(mine), 0)
          }
        })
    })
  })
)
