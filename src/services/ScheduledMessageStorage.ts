import { Clock, Duration, Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, ScheduledMessageId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { ScheduledContent, type ScheduledMessage } from "../domain/ScheduledMessage.ts"
import { Memory } from "./Memory.ts"
import { orUnavailable } from "./Sql.ts"

/** A row of `scheduled_messages`. */
export interface ScheduledRow {
  readonly id: ScheduledMessageId
  readonly userId: UserId
  readonly conversationId: ConversationId
  readonly content: ScheduledContent
  readonly sendAt: Date
  readonly createdAt: Date
  readonly claimedUntil: Date | null
  readonly failure: ScheduledMessage["failure"]
}

export type NewScheduledRow = Pick<ScheduledRow, "id" | "userId" | "conversationId" | "content" | "sendAt"> & {
  readonly key: string | null
}

/** Where a page begins. */
export interface ScheduledPlace {
  readonly at: number
  readonly id: ScheduledMessageId
}

/** How many a user may have, how far ahead, and for how long a node that sends one has it to itself. */
export const scheduledLimit = 100
const longestWait = Duration.toMillis("365 days")
const lease = Duration.toMillis("30 seconds")

type Refusal = "not-a-member" | "too-early" | "too-late" | "too-many" | "key-reused" | "not-found" | "sending"

/** Where scheduled messages are kept; of the two clocks that of the storage counts. */
export interface ScheduledStorage {
  /** The id of the new one, or of the same one under its key. */
  readonly add: (row: NewScheduledRow) => Effect.Effect<ScheduledMessageId | Refusal, Unavailable>
  readonly find: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<ScheduledRow | undefined, Unavailable>
  /** In the order in which they will be sent. */
  readonly list: (
    userId: UserId,
    after: ScheduledPlace | undefined,
    limit: number
  ) => Effect.Effect<ReadonlyArray<ScheduledRow>, Unavailable>
  readonly change: (
    userId: UserId,
    id: ScheduledMessageId,
    content: Partial<ScheduledContent>,
    sendAt: Date | null
  ) => Effect.Effect<"scheduled" | Refusal, Unavailable>
  /** False when it is being sent or is not there. */
  readonly cancel: (userId: UserId, id: ScheduledMessageId) => Effect.Effect<boolean, Unavailable>
  /** Those that are due and that nobody else is sending, which nobody else gets until the lease is over. */
  readonly claim: (limit: number) => Effect.Effect<ReadonlyArray<ScheduledRow>, Unavailable>
  /** It is sent, or has failed for ever. */
  readonly settle: (id: ScheduledMessageId, failure: ScheduledRow["failure"]) => Effect.Effect<void, Unavailable>
}

export const isRefusal = (outcome: string): outcome is Refusal => !/^[0-9a-f]{8}-/.test(outcome)

const decodeContent = Schema.decodeUnknownSync(ScheduledContent)

const read = (row: ScheduledRow): ScheduledRow => ({ ...row, content: decodeContent(row.content) })

/** In PostgreSQL. */
export const makeSqlScheduled = Effect.map(SqlClient.SqlClient, (sql): ScheduledStorage => {
  const columns = sql.literal(`id, user_id, conversation_id, content, send_at, created_at, claimed_until, failure`)
  return {
    add: Effect.fnUntraced(function* ({ content, conversationId, id, key, sendAt, userId }) {
      const [row] = yield* sql<{ outcome: "scheduled" | Refusal; scheduledId: ScheduledMessageId }>`
        SELECT * FROM schedule_message(${id}::uuid, ${userId}::uuid, ${conversationId}::uuid,
          ${JSON.stringify(content)}::jsonb, ${sendAt}::timestamptz, ${key}::text, ${scheduledLimit}::int)`
      return row === undefined || row.outcome === "scheduled" ? (row?.scheduledId ?? id) : row.outcome
    }, orUnavailable),
    find: (userId, id) =>
      sql<ScheduledRow>`SELECT ${columns} FROM scheduled_messages
        WHERE id = ${id}::uuid AND user_id = ${userId}::uuid`.pipe(
        Effect.map(([row]) => row && read(row)),
        orUnavailable
      ),
    list: (userId, after, limit) =>
      sql<ScheduledRow>`SELECT ${columns} FROM scheduled_messages WHERE user_id = ${userId}::uuid
        AND ${after === undefined ? sql`true` : sql`(send_at, id) > (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`}
        ORDER BY send_at, id LIMIT ${limit}`.pipe(
        Effect.map((rows) => rows.map(read)),
        orUnavailable
      ),
    change: Effect.fnUntraced(function* (userId, id, content, sendAt) {
      const [row] = yield* sql<{ outcome: "scheduled" | Refusal }>`
        SELECT reschedule_message(${id}::uuid, ${userId}::uuid, ${JSON.stringify(content)}::jsonb,
          ${sendAt}::timestamptz) AS outcome`
      return row?.outcome ?? "not-found"
    }, orUnavailable),
    cancel: (userId, id) =>
      sql`DELETE FROM scheduled_messages WHERE id = ${id}::uuid AND user_id = ${userId}::uuid
        AND claimed_until IS NULL RETURNING id`.pipe(
        Effect.map((rows) => rows.length > 0),
        orUnavailable
      ),
    claim: (limit) =>
      sql<ScheduledRow>`
        WITH claimed AS (
          UPDATE scheduled_messages s
          SET claimed_until = clock_timestamp() + make_interval(secs => ${lease / 1000}::float8)
          WHERE s.id IN (
            SELECT x.id FROM scheduled_messages x
            WHERE x.failure IS NULL AND x.send_at <= clock_timestamp()
              AND (x.claimed_until IS NULL OR x.claimed_until < clock_timestamp())
            ORDER BY x.send_at, x.id LIMIT ${limit} FOR UPDATE SKIP LOCKED
          ) RETURNING s.*
        ) SELECT ${columns} FROM claimed ORDER BY send_at, id`.pipe(
        Effect.map((rows) => rows.map(read)),
        orUnavailable
      ),
    settle: (id, failure) =>
      (failure === null
        ? sql`DELETE FROM scheduled_messages WHERE id = ${id}::uuid`
        : sql`UPDATE scheduled_messages SET failure = ${JSON.stringify(failure)}::jsonb, claimed_until = NULL
            WHERE id = ${id}::uuid`
      ).pipe(orUnavailable, Effect.asVoid)
  }
})

const inOrder = (a: ScheduledRow, b: ScheduledRow) =>
  a.sendAt.getTime() - b.sendAt.getTime() || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** In memory, beside `Memory`. */
export const makeMemoryScheduled = Effect.map(Memory, ({ conversations }): ScheduledStorage => {
  const rows = new Map<ScheduledMessageId, ScheduledRow & { readonly key: string | null }>()
  const mine = (userId: UserId, id: ScheduledMessageId) => {
    const row = rows.get(id)
    return row?.userId === userId ? row : undefined
  }
  const all = () => Array.from(rows.values()).sort(inOrder)
  const wrongTime = (sendAt: Date, now: number) =>
    sendAt.getTime() <= now ? "too-early" : sendAt.getTime() > now + longestWait ? "too-late" : undefined
  return {
    add: (row) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const known =
          row.key === null ? undefined : all().find(({ key, userId }) => key === row.key && userId === row.userId)
        if (known !== undefined) {
          const same = [known, row].map(({ content, conversationId, sendAt }) => [content, conversationId, sendAt])
          return JSON.stringify(same[0]) === JSON.stringify(same[1]) ? known.id : "key-reused"
        }
        if (conversations.get(row.conversationId)?.members.get(row.userId)?.leftSeq !== null) return "not-a-member"
        const wrong = wrongTime(row.sendAt, now)
        if (wrong !== undefined) return wrong
        if (all().filter(({ userId }) => userId === row.userId).length >= scheduledLimit) return "too-many"
        rows.set(row.id, { ...row, createdAt: new Date(now), claimedUntil: null, failure: null })
        return row.id
      }),
    find: (userId, id) => Effect.sync(() => mine(userId, id)),
    list: (userId, after, limit) =>
      Effect.sync(() =>
        all()
          .filter((row) => row.userId === userId)
          .filter(({ id, sendAt }) => {
            const later = sendAt.getTime() - (after?.at ?? Number.NEGATIVE_INFINITY)
            return later > 0 || (later === 0 && id > (after?.id ?? ""))
          })
          .slice(0, limit)
      ),
    change: (userId, id, content, sendAt) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const row = mine(userId, id)
        if (row === undefined) return "not-found"
        if (row.claimedUntil !== null) return "sending"
        const at = sendAt ?? row.sendAt
        const wrong = wrongTime(at, now)
        if (wrong !== undefined) return wrong
        rows.set(id, { ...row, content: { ...row.content, ...content }, sendAt: at, failure: null })
        return "scheduled"
      }),
    cancel: (userId, id) => Effect.sync(() => mine(userId, id)?.claimedUntil === null && rows.delete(id)),
    claim: (limit) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const claimed = all()
          .filter(({ claimedUntil, failure, sendAt }) => {
            const isFree = claimedUntil === null || claimedUntil.getTime() < now
            return failure === null && isFree && sendAt.getTime() <= now
          })
          .slice(0, limit)
        for (const row of claimed) rows.set(row.id, { ...row, claimedUntil: new Date(now + lease) })
        return claimed
      }),
    settle: (id, failure) =>
      Effect.sync(() => {
        const row = rows.get(id)
        if (failure === null) rows.delete(id)
        else if (row !== undefined) rows.set(id, { ...row, failure, claimedUntil: null })
      })
  }
})
