import { Effect, Layer } from "effect"
import { unreadCap } from "../../domain/Conversation.ts"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import { noMessage } from "../../domain/Refusals.ts"
import { participantCap } from "../../domain/Thread.ts"
import { ThreadStorage, Threads } from "../../services/messages/Threads.ts"
import { makeChangesMemory } from "./Changes.ts"
import { membership, messagesOf, threadRootOf } from "./Log.ts"
import { Memory } from "./State.ts"

const storage = Layer.effect(
  ThreadStorage,
  Effect.gen(function* () {
    const { conversations } = yield* Memory
    const { atomically, nextUserSeq } = yield* makeChangesMemory

    const open = Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId, messageId: MessageId) {
      const { conversation, me } = yield* Effect.mapError(
        membership(conversations, userId, conversationId),
        () => noMessage
      )
      const root = threadRootOf(conversation, me.visibleFromSeq, messageId)
      if (root === undefined) return yield* noMessage
      const members = conversation.threads.get(root.seq) ?? new Map()
      return { conversation, me, root, members, readSeq: members.get(userId)?.readSeq ?? root.seq }
    })

    return ThreadStorage.of({
      find: Effect.fnUntraced(function* (userId, conversationId, messageId) {
        const { conversation, me, members, readSeq, root } = yield* open(userId, conversationId, messageId)
        const replies = messagesOf(conversation, me.visibleFromSeq).filter((reply) => reply.threadRootSeq === root.seq)
        const unread = replies.filter(
          ({ deletedAt, hiddenFor, senderId, seq }) =>
            seq > readSeq && senderId !== userId && deletedAt === null && !hiddenFor.includes(userId)
        )
        const participants = Array.from(members, ([id, { lastReplySeq }]) => ({ id, seq: lastReplySeq ?? 0 }))
          .filter(({ seq }) => seq >= me.visibleFromSeq)
          .sort((a, b) => b.seq - a.seq)
        return {
          rootId: root.id,
          rootSeq: root.seq,
          replyCount: replies.length,
          participants: participants.slice(0, participantCap).map(({ id }) => id),
          readSeq,
          unreadCount: Math.min(unread.length, unreadCap)
        }
      }),
      mark: Effect.fnUntraced(function* (userId, conversationId, messageId, seq) {
        const { conversation, me, members, readSeq, root } = yield* open(userId, conversationId, messageId)
        const upTo = Math.min(seq, conversation.log.length)
        if (upTo <= readSeq) return false
        members.set(userId, { lastReplySeq: members.get(userId)?.lastReplySeq ?? null, readSeq: upTo })
        conversation.threads.set(root.seq, members)
        conversation.members.set(userId, { ...me, userSeq: nextUserSeq(userId) })
        return true
      }, atomically)
    })
  })
)

/** Threads in `Memory`. */
export const layerMemory = Threads.layerNoDeps.pipe(Layer.provide(storage))
