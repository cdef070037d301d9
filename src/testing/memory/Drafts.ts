import { Clock, Effect, Layer } from "effect"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import { type DraftRow, DraftStorage, Drafts, draftChanged } from "../../services/messages/Drafts.ts"
import { makeChangesMemory } from "./Changes.ts"
import { membership } from "./Log.ts"
import { Memory } from "./State.ts"

const storage = Layer.effect(
  DraftStorage,
  Effect.gen(function* () {
    const { conversations } = yield* Memory
    const { atomically, nextUserSeq } = yield* makeChangesMemory
    const drafts = new Map<UserId, Map<ConversationId, DraftRow>>()
    const draftsOf = (userId: UserId) =>
      Array.from(drafts.get(userId)?.values() ?? [])
        .filter(({ conversationId }) => conversations.get(conversationId)?.members.get(userId)?.leftSeq === null)
        .sort((a, b) => a.userSeq - b.userSeq)
    return DraftStorage.of({
      set: Effect.fnUntraced(function* (userId, conversationId, content, ifUserSeq) {
        yield* membership(conversations, userId, conversationId)
        const old = drafts.get(userId)?.get(conversationId)
        if ((old?.body ?? null) === content.body && (old?.replyTo ?? null) === content.replyTo) return null
        if (ifUserSeq !== null && old !== undefined && old.userSeq > ifUserSeq) return yield* draftChanged
        const updatedAt = new Date(yield* Clock.currentTimeMillis)
        const row = { ...content, conversationId, updatedAt, userSeq: nextUserSeq(userId) }
        drafts.set(userId, (drafts.get(userId) ?? new Map<ConversationId, DraftRow>()).set(conversationId, row))
        return row
      }, atomically),
      list: (userId, before, limit) =>
        Effect.sync(() =>
          draftsOf(userId)
            .filter(({ body, userSeq }) => body !== null && userSeq < before)
            .reverse()
            .slice(0, limit)
        ),
      changedAfter: (userId, userSeq) => Effect.sync(() => draftsOf(userId).filter((row) => row.userSeq > userSeq))
    })
  })
)

/** Drafts in memory, next to the conversations in `Memory`. */
export const layerMemory = Drafts.layerNoDeps.pipe(Layer.provide(storage))
