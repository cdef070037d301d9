import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Conversation, ConversationChange, Membership, SettingsChange } from "../../domain/Conversation.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import {
  type Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  type NotFound,
  type Unavailable
} from "../../domain/Problem.ts"
import { blocked, noConversation } from "../../domain/Refusals.ts"
import { longerThan } from "../../domain/Text.ts"
import { type Changed, makeChanges, refuse } from "../log/Changes.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { groupProblems } from "./ConversationRules.ts"
import { Conversations } from "./Conversations.ts"
import { makeDeviceSync } from "./DeviceSync.ts"
import type { Actor } from "./MemberStorage.ts"

/** Stores changes of conversations, each in one transaction. */
export class ConversationChangeStorage extends Context.Service<
  ConversationChangeStorage,
  {
    /**
     * Changes the fields that the change names, with one event for all that differ. Fails with `NotFound` for
     * non-members, `Forbidden` without the right, and `Conflict` for a change that a DM cannot have.
     */
    readonly update: (
      actor: Actor,
      change: ConversationChange
    ) => Effect.Effect<unknown, NotFound | Forbidden | Conflict | Unavailable>
    /** Changes the member's own settings. Answers false when the change alters nothing. `NotFound` for non-members. */
    readonly settings: (actor: Actor, change: SettingsChange) => Effect.Effect<boolean, NotFound | Unavailable>
  }
>()("chat/services/ConversationChangeStorage") {}

/** Changes of a conversation for all its members, and of one member's own settings in it. */
export class ConversationChanges extends Context.Service<
  ConversationChanges,
  {
    /**
     * Changes a group, for owners; admins may change its title and picture. In a DM both members may change
     * `messageLifetimeSeconds`; any other change of a DM is a `Conflict` ("not-a-group"). One event has all that
     * changed, and a change that alters nothing makes no event, so repeating it is safe. `NotFound` for non-members,
     * `Forbidden` without the right and when the other member of the DM has blocked the
     * user, `InvalidRequest` for a title beyond the limit.
     */
    readonly update: (
      userId: UserId,
      conversationId: ConversationId,
      change: ConversationChange
    ) => Effect.Effect<Conversation, InvalidRequest | NotFound | Forbidden | Conflict | Unavailable>
    /**
     * Changes the member's own settings in any conversation. The member's devices get them as `conversation.settings`.
     * Repeating it is safe. `NotFound` for non-members.
     */
    readonly settings: (
      userId: UserId,
      conversationId: ConversationId,
      change: SettingsChange
    ) => Effect.Effect<Membership, NotFound | Unavailable>
  }
>()("chat/services/ConversationChanges") {
  /** The rules, on any storage. */
  static readonly layerNoDeps = Layer.effect(
    ConversationChanges,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const { limits } = yield* Settings
      const storage = yield* ConversationChangeStorage
      const syncDevices = yield* makeDeviceSync
      return ConversationChanges.of({
        update: Effect.fn("ConversationChanges.update")(function* (userId, conversationId, change) {
          if (change.title !== undefined && longerThan(change.title, limits.titleLength))
            return yield* invalid("title", `must have at most ${limits.titleLength} characters`)
          yield* storage.update({ userId, conversationId }, change)
          return yield* conversations.get(userId, conversationId)
        }),
        settings: Effect.fn("ConversationChanges.settings")(function* (
          userId,
          conversationId,
          { mutedUntil, ...change }
        ) {
          const changed = yield* storage.settings(
            { userId, conversationId },
            {
              ...change,
              ...(mutedUntil !== undefined && { mutedUntil: mutedUntil && new Date(mutedUntil).toISOString() })
            }
          )
          if (changed) return yield* syncDevices(userId, conversationId)
          return (yield* conversations.get(userId, conversationId)).me
        })
      })
    })
  )

  /** The implementation on PostgreSQL. */
  static readonly layer = ConversationChanges.layerNoDeps.pipe(
    Layer.provide(
      Layer.effect(
        ConversationChangeStorage,
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { change } = yield* makeChanges
          return ConversationChangeStorage.of({
            update: ({ conversationId, userId }, fields) =>
              change(
                conversationId,
                sql<Changed>`SELECT * FROM update_group(${conversationId}::uuid, ${userId}::uuid,
                  ${JSON.stringify(fields)}::jsonb)`,
                { ...groupProblems, blocked }
              ),
            settings: Effect.fnUntraced(function* ({ conversationId, userId }, fields) {
              const [row] = yield* sql<{ outcome: string }>`SELECT change_settings(${conversationId}::uuid,
                ${userId}::uuid, ${JSON.stringify(fields)}::jsonb) AS outcome`.pipe(retryDeadlocks)
              yield* refuse(row?.outcome, { "not-a-member": noConversation })
              return row?.outcome === "changed"
            }, orUnavailable)
          })
        })
      )
    )
  )
}
