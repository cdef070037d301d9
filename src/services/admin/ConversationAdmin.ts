import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { NotFound, Unavailable } from "../../domain/Problem.ts"
import { noConversation } from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../bus/MembershipSignals.ts"
import type { PubSub } from "../bus/PubSub.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import type { AuditActor } from "./Audit.ts"

/** The administration of conversations. */
export class ConversationAdmin extends Context.Service<
  ConversationAdmin,
  {
    /**
     * Deletes a conversation, with a line in the audit log. From then on it is a 404 for everybody: its members get
     * `conversation.removed`, live and after a reconnect, its invites and scheduled messages end, and two users can have a
     * new direct conversation. The purge deletes what is stored of it in small steps, beginning a minute later.
     * `NotFound` when there is none, so also when this is repeated.
     */
    readonly delete: (actor: AuditActor, conversationId: ConversationId) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/ConversationAdmin") {
  /** The rule on any storage: `deleteIt` deletes and gives the members, or undefined when there is no such conversation. */
  static readonly make = (
    deleteIt: (
      actor: AuditActor,
      conversationId: ConversationId
    ) => Effect.Effect<ReadonlyArray<UserId> | undefined, Unavailable>
  ): Effect.Effect<ConversationAdmin["Service"], never, PubSub> =>
    Effect.map(makeMembershipSignals, (signal) =>
      ConversationAdmin.of({
        delete: Effect.fn("ConversationAdmin.delete")(function* (actor, conversationId) {
          const memberIds = yield* deleteIt(actor, conversationId)
          if (memberIds === undefined) return yield* noConversation
          yield* signal(conversationId, memberIds)
        }, Effect.uninterruptible)
      })
    )

  static readonly layer = Layer.effect(
    ConversationAdmin,
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      ConversationAdmin.make((actor, conversationId) =>
        sql<{ readonly memberIds: ReadonlyArray<UserId> | null }>`
          SELECT delete_conversation(${conversationId}::uuid, ${actor}::text) AS member_ids`.pipe(
          retryDeadlocks,
          Effect.map(([row]) => row?.memberIds ?? undefined),
          orUnavailable
        )
      )
    )
  )
}
