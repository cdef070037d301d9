import { Duration, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { ScheduledMessageId } from "../../domain/Ids.ts"
import { ScheduledContent } from "../../domain/ScheduledMessage.ts"
import { refuse } from "../log/Changes.ts"
import { orUnavailable } from "../platform/Sql.ts"
import {
  ScheduledMessageStorage,
  ScheduledMessages,
  type ScheduledRow,
  scheduledLimit,
  scheduledProblems
} from "./ScheduledMessages.ts"

const decodeContent = Schema.decodeUnknownSync(ScheduledContent)

const decodeRow = (row: ScheduledRow): ScheduledRow => ({ ...row, content: decodeContent(row.content) })

const leaseSeconds = Duration.toSeconds(ScheduledMessageStorage.lease)

const storage = Layer.effect(
  ScheduledMessageStorage,
  Effect.map(SqlClient.SqlClient, (sql) => {
    const columns = sql.literal(`id, user_id, conversation_id, content, send_at, created_at, claimed_until, failure`)
    return ScheduledMessageStorage.of({
      add: Effect.fnUntraced(function* ({ content, conversationId, id, key, sendAt, userId }) {
        const [row] = yield* sql<{ outcome: string; scheduledId: ScheduledMessageId }>`
          SELECT * FROM schedule_message(${id}::uuid, ${userId}::uuid, ${conversationId}::uuid,
            ${JSON.stringify(content)}::jsonb, ${sendAt}::timestamptz, ${key}::text, ${scheduledLimit}::int)`
        if (row === undefined) return yield* Effect.die(new Error("schedule_message answered without a row"))
        yield* refuse(row.outcome, scheduledProblems)
        return row.scheduledId
      }, orUnavailable),
      find: (userId, id) =>
        sql<ScheduledRow>`SELECT ${columns} FROM scheduled_messages
          WHERE id = ${id}::uuid AND user_id = ${userId}::uuid`.pipe(
          Effect.map(([row]) => row && decodeRow(row)),
          orUnavailable
        ),
      list: (userId, after, limit) =>
        sql<ScheduledRow>`SELECT ${columns} FROM scheduled_messages WHERE user_id = ${userId}::uuid
          AND ${after === undefined ? sql`true` : sql`(send_at, id) > (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`}
          ORDER BY send_at, id LIMIT ${limit}`.pipe(
          Effect.map((rows) => rows.map(decodeRow)),
          orUnavailable
        ),
      change: Effect.fnUntraced(function* (userId, id, content, sendAt) {
        const [row] = yield* sql<{ outcome: string }>`
          SELECT reschedule_message(${id}::uuid, ${userId}::uuid, ${JSON.stringify(content)}::jsonb,
            ${sendAt}::timestamptz) AS outcome`
        yield* refuse(row?.outcome, scheduledProblems)
      }, orUnavailable),
      cancel: (userId, id) =>
        sql`DELETE FROM scheduled_messages WHERE id = ${id}::uuid AND user_id = ${userId}::uuid
          AND claimed_until IS NULL RETURNING id`.pipe(
          Effect.map((rows) => rows.length > 0),
          orUnavailable
        ),
      // A volatile function cannot limit the range of an index; its value from a subquery can. The array keeps the
      // planner from joining the due messages with all scheduled ones.
      claim: (limit) =>
        sql<ScheduledRow>`
          WITH claimed AS (
            UPDATE scheduled_messages s
            SET claimed_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}::float8)
            WHERE s.id = ANY (ARRAY(
              SELECT x.id FROM scheduled_messages x
              WHERE x.failure IS NULL AND x.send_at <= (SELECT clock_timestamp())
                AND (x.claimed_until IS NULL OR x.claimed_until < (SELECT clock_timestamp()))
              ORDER BY x.send_at, x.id LIMIT ${limit} FOR UPDATE SKIP LOCKED
            )) RETURNING s.*
          ) SELECT ${columns} FROM claimed ORDER BY send_at, id`.pipe(
          Effect.map((rows) => rows.map(decodeRow)),
          orUnavailable
        ),
      settle: (id, failure) =>
        (failure === null
          ? sql`DELETE FROM scheduled_messages WHERE id = ${id}::uuid`
          : sql`UPDATE scheduled_messages SET failure = ${JSON.stringify(failure)}::jsonb, claimed_until = NULL
              WHERE id = ${id}::uuid`
        ).pipe(orUnavailable, Effect.asVoid)
    })
  })
)

/** Scheduled messages on PostgreSQL. */
export const layer = ScheduledMessages.layerNoDeps.pipe(Layer.provide(storage))
