import { Effect, Layer } from "effect"
import { ConversationAdmin } from "../../services/admin/ConversationAdmin.ts"
import { addAudit } from "./Audit.ts"
import { currentMembers } from "./Members.ts"
import { dropAttachments, Memory, nextUserSeq } from "./State.ts"

/** The administration of conversations in `Memory`. A deleted conversation is gone at once. */
export const layerMemory = Layer.effect(
  ConversationAdmin,
  Effect.flatMap(Memory, (memory) =>
    ConversationAdmin.make((actor, conversationId) =>
      memory.atomically(
        Effect.gen(function* () {
          const { conversations, scheduledMessages } = memory
          const conversation = conversations.get(conversationId)
          if (conversation === undefined) return undefined
          const memberIds = currentMembers(conversation).map(({ userId }) => userId)
          for (const userId of memberIds) nextUserSeq(memory, userId)
          for (const { conversationId: id, id: key } of scheduledMessages.values()) {
            if (id === conversationId) scheduledMessages.delete(key)
          }
          conversations.delete(conversationId)
          dropAttachments(memory, ({ bound }) => bound?.conversationId === conversationId)
          const detail = { kind: conversation.kind, members: memberIds.length }
          const target = { targetKind: "conversation", targetId: conversationId }
          yield* addAudit(memory, { actor, act: "admin.deleteConversation", ...target, detail })
          return memberIds
        })
      )
    )
  )
)
