import { Effect } from "effect"
import { unreadCap } from "../domain/Conversation.ts"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import { participantCap } from "../domain/Thread.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { membership, messagesOf, threadRootOf } from "./LogMemory.ts"
import { noMessage } from "./LogReader.ts"
import { Memory } from "./Memory.ts"
import type { ThreadStorage } from "./Threads.ts"

/** The markers and participants of threads, in `Memory`. */
export const makeThreadsMemory = Effect.gen(function* () {
  const { conversations } = yield* Memory
  const { atomically, nextUserSeq } = yield* makeChangesMemory

  const open = Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId, messageId: MessageId) {
    const { conversation, me } = yield* Effect.mapError(
      membership(conversations, conversationId, userId),
      () => noMessage
    )
    const root = threadRootOf(conversation, me.visibleFromSeq, messageId)
    if (root === undefined) return yield* noMessage
    const members = conversation.threads.get(root.seq) ?? new Map()
    return { conversation, me, root, members, readSeq: members.get(userId)?.readSeq ?? root.seq }
  })

  const storage: ThreadStorage = {
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
  }
  return storage
})
