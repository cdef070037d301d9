import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Conversation, ConversationChange, Membership, SettingsChange } from "../domain/Conversation.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import {
  type Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  type NotFound,
  type Unavailable
} from "../domain/Problem.ts"
import { longerThan } from "../domain/Text.ts"
import { type Changed, makeChanges } from "./Changes.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { Conversations } from "./Conversations.ts"
import { groupProblems, notAllowed } from "./GroupRules.ts"
import { membership } from "./LogMemory.ts"
import { noConversation } from "./LogReader.ts"
import { makeGroupsMemory } from "./MembersMemory.ts"
import { Memory } from "./Memory.ts"
import { encodeEphemeral, PubSub, userSubject } from "./PubSub.ts"
import { Settings } from "./Settings.ts"
import { isRetryable, orUnavailable } from "./Sql.ts"

type Where = { readonly conversationId: ConversationId; readonly userId: UserId }

/** How conversations change, each time in one transaction. */
interface Storage {
  readonly update: (
    where: Where,
    change: ConversationChange
  ) => Effect.Effect<unknown, NotFound | Forbidden | Conflict | Unavailable>
  /** False when everything was like that before. */
  readonly settings: (where: Where, change: SettingsChange) => Effect.Effect<boolean, NotFound | Unavailable>
}

/** What may be changed of a conversation: what it is for all its members, and what it is for me. */
export class ConversationChanges extends Context.Service<
  ConversationChanges,
  {
    /**
     * Of a group, for owners; admins may change title and picture. Of a DM both may change `messageLifetimeSeconds`, and
     * nothing else. One event has all that changed.
     */
    readonly update: (
      userId: UserId,
      conversationId: ConversationId,
      change: ConversationChange
    ) => Effect.Effect<Conversation, InvalidRequest | NotFound | Forbidden | Conflict | Unavailable>
    /** Of any conversation, for me alone. My own devices are told with `conversation.settings`. */
    readonly settings: (
      userId: UserId,
      conversationId: ConversationId,
      change: SettingsChange
    ) => Effect.Effect<Membership, NotFound | Unavailable>
  }
>()("chat/services/ConversationChanges") {
  static readonly make = Effect.fnUntraced(function* (storage: Storage) {
    const conversations = yield* Conversations
    const pubsub = yield* PubSub
    const { limits } = yield* Settings
    return ConversationChanges.of({
      update: Effect.fn("ConversationChanges.update")(function* (userId, conversationId, change) {
        if (change.title !== undefined && longerThan(change.title, limits.titleLength))
          return yield* invalid("title", `must have at most ${limits.titleLength} characters`)
        yield* storage.update({ conversationId, userId }, change)
        return yield* conversations.get(userId, conversationId)
      }),
      settings: Effect.fn("ConversationChanges.settings")(function* (
        userId,
        conversationId,
        { mutedUntil, ...change }
      ) {
        const changed = yield* storage.settings(
          { conversationId, userId },
          {
            ...change,
            ...(mutedUntil !== undefined && { mutedUntil: mutedUntil && new Date(mutedUntil).toISOString() })
          }
        )
        const { me } = yield* conversations.get(userId, conversationId)
        if (changed) {
          const event = encodeEphemeral({ event: "conversation.settings", conversationId, data: { me } })
          yield* pubsub.publish(userSubject(userId), [event])
        }
        return me
      })
    })
  })

  /** On PostgreSQL. */
  static readonly layer = Layer.effect(
    ConversationChanges,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      return yield* ConversationChanges.make({
        update: ({ conversationId, userId }, fields) =>
          change(
            conversationId,
            sql<Changed>`SELECT * FROM update_group(${conversationId}::uuid, ${userId}::uuid,
              ${JSON.stringify(fields)}::jsonb)`,
            groupProblems
          ),
        settings: Effect.fnUntraced(function* ({ conversationId, userId }, fields) {
          const [row] = yield* sql<{ outcome: string }>`SELECT change_settings(${conversationId}::uuid, ${userId}::uuid,
            ${JSON.stringify(fields)}::jsonb) AS outcome`.pipe(Effect.retry({ while: isRetryable, times: 2 }))
          if (row?.outcome === "not-a-member") return yield* noConversation
          return row?.outcome === "changed"
        }, orUnavailable)
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(
    ConversationChanges,
    Effect.gen(function* () {
      const { conversations } = yield* Memory
      const { addEvent, atomically, nextUserSeq } = yield* makeChangesMemory
      const { group } = yield* makeGroupsMemory
      return yield* ConversationChanges.make({
        update: Effect.fnUntraced(function* (where, change) {
          const { avatarUrl, historyForNewMembers, messageLifetimeSeconds, title } = change
          const { conversation, me } = yield* Object.keys(change).join() === "messageLifetimeSeconds"
            ? membership(conversations, where.conversationId, where.userId)
            : group(where)
          const isForOwners = historyForNewMembers !== undefined || messageLifetimeSeconds !== undefined
          const isAllowed = me.role === "owner" || (me.role === "admin" && !isForOwners)
          if (conversation.kind === "group" && !isAllowed) return yield* notAllowed
          const news = {
            ...(title !== undefined && title !== conversation.title && { title }),
            ...(avatarUrl !== undefined && avatarUrl !== conversation.avatarUrl && { avatarUrl }),
            ...(historyForNewMembers !== undefined &&
              historyForNewMembers !== conversation.historyForNewMembers && { historyForNewMembers }),
            ...(messageLifetimeSeconds !== undefined &&
              messageLifetimeSeconds !== conversation.messageLifetimeSeconds && { messageLifetimeSeconds })
          }
          if (Object.keys(news).length === 0) return
          const fromSeq = conversation.log.length + 1
          const lifetimes =
            "messageLifetimeSeconds" in news
              ? [
                  ...conversation.lifetimes.map((span) => ({ ...span, throughSeq: span.throughSeq ?? fromSeq })),
                  ...(messageLifetimeSeconds == null
                    ? []
                    : [{ fromSeq, throughSeq: undefined, seconds: messageLifetimeSeconds }])
                ]
              : conversation.lifetimes
          const changed = { ...conversation, ...news, lifetimes }
          conversations.set(conversation.id, changed)
          yield* addEvent(changed, { event: "conversation.updated", actorId: where.userId, data: news })
        }, atomically),
        settings: Effect.fnUntraced(function* ({ conversationId, userId }, { mutedUntil, ...change }) {
          const { conversation, me } = yield* membership(conversations, conversationId, userId)
          const changed = {
            ...me,
            ...change,
            ...(mutedUntil !== undefined && { mutedUntil: mutedUntil === null ? null : new Date(mutedUntil) })
          }
          const shown = (row: typeof me) => [row.mutedUntil?.getTime(), row.archived, row.pinned, row.notify].join()
          if (shown(changed) === shown(me)) return false
          conversation.members.set(userId, { ...changed, userSeq: nextUserSeq(userId) })
          return true
        }, atomically)
      })
    })
  )
}
