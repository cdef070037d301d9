import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ExternalId } from "../../domain/ExternalId.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import { noUser } from "../../domain/Refusals.ts"
import { makeMembershipSignals } from "../bus/MembershipSignals.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { type KeyedRow, noMembers, ServerConversationStorage, ServerConversations } from "./ServerConversations.ts"

/** The result of `put_conversation`. */
interface Put extends Changed {
  readonly conversationId: ConversationId | null
  readonly userIds: ReadonlyArray<UserId> | null
}

const makeStorage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { change } = yield* makeChanges
  const signal = yield* makeMembershipSignals

  const find: ServerConversationStorage["Service"]["find"] = (key) =>
    sql<KeyedRow>`SELECT c.id, c.title, c.avatar_url, c.created_by, c.created_at, h.seq,
        (SELECT count(*) FROM conversation_members m WHERE m.conversation_id = c.id AND m.left_seq IS NULL)
          AS member_count
      FROM conversation_keys k
      JOIN conversations c ON c.id = k.conversation_id
      JOIN conversation_heads h ON h.conversation_id = c.id
      WHERE k.key = ${key}`.pipe(
      Effect.map((rows) => rows[0]),
      orUnavailable
    )

  return ServerConversationStorage.of({
    put: Effect.fnUntraced(function* ({ actor, change: fields, id, key, memberIds }) {
      const known = yield* find(key)
      const call = sql<Put>`SELECT * FROM put_conversation(${key}::text, ${id}::uuid, ${JSON.stringify(fields)}::jsonb,
        ${memberIds ?? null}::uuid[], ${actor}::text)`
      // Who lost a race to make the group publishes nothing: the nodes find such events when they compare heads.
      yield* change(
        known?.id ?? id,
        Effect.tap(call, ([row]) =>
          row === undefined || row.conversationId === null ? Effect.void : signal(row.conversationId, row.userIds ?? [])
        ),
        { "no-user": noUser, "no-members": noMembers }
      )
    }),
    find,
    users: (issuer, subjects) =>
      sql<{ readonly subject: ExternalId; readonly userId: UserId }>`SELECT subject, user_id FROM external_identities
        WHERE issuer = ${issuer} AND subject = ANY (${subjects}::text[]) AND closed_at IS NULL`.pipe(
        Effect.map((rows) => new Map(rows.map(({ subject, userId }) => [subject, userId]))),
        orUnavailable
      )
  })
})

/** The groups of the application on PostgreSQL. */
export const layer = ServerConversations.layerNoDeps.pipe(
  Layer.provide(Layer.effect(ServerConversationStorage, makeStorage))
)
