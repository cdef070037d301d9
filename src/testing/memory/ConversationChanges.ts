import { Effect, Layer } from "effect"
import type { ConversationChange } from "../../domain/Conversation.ts"
import { notAllowed } from "../../domain/Refusals.ts"
import { ConversationChangeStorage, ConversationChanges } from "../../services/conversations/ConversationChanges.ts"
import type { MembershipRow } from "../../services/conversations/ConversationRows.ts"
import { changesOnlyLifetime } from "../../services/conversations/ConversationRules.ts"
import { makeChangesMemory } from "./Changes.ts"
import { membership } from "./Log.ts"
import { makeGroupsMemory } from "./Members.ts"
import { checkNotBlocked, Memory, type StoredConversation } from "./State.ts"

/** The fields of a change that differ from the conversation as it is. */
export const differences = (
  conversation: StoredConversation,
  { avatarUrl, historyForNewMembers, messageLifetimeSeconds, title }: ConversationChange
) => ({
  ...(title !== undefined && title !== conversation.title && { title }),
  ...(avatarUrl !== undefined && avatarUrl !== conversation.avatarUrl && { avatarUrl }),
  ...(historyForNewMembers !== undefined &&
    historyForNewMembers !== conversation.historyForNewMembers && { historyForNewMembers }),
  ...(messageLifetimeSeconds !== undefined &&
    messageLifetimeSeconds !== conversation.messageLifetimeSeconds && { messageLifetimeSeconds })
})

/** Ends the present lifetime at `fromSeq`, and begins another one there unless it is null. */
const withLifetime = ({ lifetimes }: StoredConversation, fromSeq: number, seconds: number | null) => [
  ...lifetimes.map((span) => ({ ...span, throughSeq: span.throughSeq ?? fromSeq })),
  ...(seconds === null ? [] : [{ fromSeq, throughSeq: undefined, seconds }])
]

const settingsOf = ({ archived, mutedUntil, notify, pinned }: MembershipRow) =>
  [mutedUntil?.getTime(), archived, pinned, notify].join()

const storage = Layer.effect(
  ConversationChangeStorage,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { conversations } = memory
    const { addEvent, atomically, nextUserSeq } = yield* makeChangesMemory
    const { group } = yield* makeGroupsMemory
    return ConversationChangeStorage.of({
      update: Effect.fnUntraced(function* (actor, change) {
        const { conversationId, userId } = actor
        const { conversation, me } = yield* membership(conversations, userId, conversationId)
        yield* checkNotBlocked(memory, conversation, userId)
        if (!changesOnlyLifetime(change)) yield* group(actor)
        const isForOwners = change.historyForNewMembers !== undefined || change.messageLifetimeSeconds !== undefined
        const isAllowed = me.role === "owner" || (me.role === "admin" && !isForOwners)
        if (conversation.kind === "group" && !isAllowed) return yield* notAllowed
        const data = differences(conversation, change)
        if (Object.keys(data).length === 0) return
        const lifetimes =
          data.messageLifetimeSeconds === undefined
            ? conversation.lifetimes
            : withLifetime(conversation, conversation.log.length + 1, data.messageLifetimeSeconds)
        const changed = { ...conversation, ...data, lifetimes }
        conversations.set(conversation.id, changed)
        yield* addEvent(changed, { event: "conversation.updated", actorId: userId, data })
      }, atomically),
      settings: Effect.fnUntraced(function* ({ conversationId, userId }, { mutedUntil, ...change }) {
        const { conversation, me } = yield* membership(conversations, userId, conversationId)
        const changed = {
          ...me,
          ...change,
          ...(mutedUntil !== undefined && { mutedUntil: mutedUntil === null ? null : new Date(mutedUntil) })
        }
        if (settingsOf(changed) === settingsOf(me)) return false
        conversation.members.set(userId, { ...changed, userSeq: nextUserSeq(userId) })
        return true
      }, atomically)
    })
  })
)

/** Changes of conversations in `Memory`. */
export const layerMemory = ConversationChanges.layerNoDeps.pipe(Layer.provide(storage))
