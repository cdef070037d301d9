import type { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { MessageId, UserId } from "../../domain/Ids.ts"
import type { NewEntry } from "./Entry.ts"
import type { MessageRow } from "./MessageRows.ts"

/** The outcome of one entry of a batch. */
export interface AppendedRow {
  /** Which entry of the batch it is, from 1 on. */
  readonly position: number
  readonly outcome:
    | "stored"
    | "duplicate"
    | "reused"
    | "not-a-member"
    | "blocked"
    | "no-reply-target"
    | "no-thread-root"
    | "no-attachment"
    | "locked"
  readonly id: MessageId
  readonly seq: number
  readonly createdAt: Date
  /** The user to whom this first message of a DM has shown the DM, if there is one. */
  readonly shownTo: UserId | null
  /** The fields below are present when at least one entry of the batch is a reply or has an `extra`. */
  readonly replySeq?: number | null
  readonly replySenderId?: UserId
  readonly replyExcerpt?: string
  readonly replyDeleted?: boolean
  readonly threadRootId?: MessageId | null
  readonly threadRootSeq?: number | null
  readonly threadPlace?: number | null
  readonly mentions?: ReadonlyArray<UserId> | null
  readonly votes?: ReadonlyArray<number> | null
}

/**
 * Array literals, because the driver encodes one long text many times quicker than many short ones. The first is for
 * values that need no quotes, such as our ids.
 */
const plainArray = (values: ReadonlyArray<string | null>) => `{${values.map((value) => value ?? "NULL").join()}}`
const quotedArray = (values: ReadonlyArray<string | null>) =>
  `{${values.map((value) => (value === null ? "NULL" : `"${value.replaceAll(/["\\]/g, "\\$&")}"`)).join()}}`
const hexArray = (values: ReadonlyArray<string>) => `{${values.map((value) => `\\\\x${value}`).join()}}`
const extraOf = ({ extra }: NewEntry) => (extra === null ? null : JSON.stringify(extra))

/** The stored message, put together from the entry and its outcome: the body is never read back. */
export const storedRow = (entry: NewEntry, row: AppendedRow): MessageRow => ({
  id: row.id,
  conversationId: entry.conversationId,
  seq: row.seq,
  senderId: entry.senderId,
  clientMessageId: entry.clientMessageId,
  type: entry.type,
  body: entry.body,
  replyId: entry.replyTo,
  replySeq: row.replySeq ?? 0,
  replySenderId: row.replySenderId ?? entry.senderId,
  replyExcerpt: row.replyExcerpt ?? "",
  replyDeleted: row.replyDeleted ?? false,
  threadRootId: row.threadRootId ?? null,
  threadRootSeq: row.threadRootSeq ?? null,
  threadPlace: row.threadPlace ?? null,
  threadReplyCount: 0,
  mentions: row.mentions ?? null,
  payload: entry.extra?.payload ?? null,
  votes: row.votes ?? null,
  attachments: entry.extra?.attachments ?? null,
  reactions: null,
  pinned: false,
  createdAt: row.createdAt,
  editedAt: null,
  deletedAt: null,
  revision: 1,
  changedSeq: row.seq
})

/** The columns have the names of the row's fields, because renaming them row by row costs more than reading them. */
const plainColumns = `ord AS position, outcome, id, seq, created_at AS "createdAt", shown_to AS "shownTo"`
const allColumns = `${plainColumns}, reply_seq AS "replySeq",
  reply_sender_id AS "replySenderId", reply_excerpt AS "replyExcerpt", reply_deleted AS "replyDeleted",
  thread_root_id AS "threadRootId", thread_root_seq AS "threadRootSeq", thread_place AS "threadPlace", mentions, votes`

/**
 * Appends a batch. With `wait` it waits for conversation heads that other writers hold; without, the outcome of their
 * entries is "locked".
 */
export const appendAll = (
  sql: SqlClient.SqlClient,
  batch: ReadonlyArray<NewEntry>,
  wait: boolean
): Effect.Effect<ReadonlyArray<AppendedRow>, SqlError> => {
  const isPlain = batch.every(({ extra, replyTo }) => extra === null && replyTo === null)
  const columns = isPlain ? plainColumns : allColumns
  const [only] = batch
  if (batch.length === 1 && only !== undefined) {
    return sql<AppendedRow>`SELECT ${sql.literal(columns)} FROM append_message(${wait}::boolean,
      ${only.conversationId}::uuid, ${only.senderId}::uuid, ${only.id}::uuid, ${only.clientMessageId}::text,
      decode(${only.requestHash}, 'hex'), ${only.type}::text, ${only.body}::text, ${only.replyTo}::uuid,
      ${extraOf(only)}::json)`.withoutTransform
  }
  const plain = (field: "conversationId" | "senderId" | "id" | "type" | "replyTo") =>
    plainArray(batch.map((entry) => entry[field]))
  const extras = batch.map(extraOf)
  return sql<AppendedRow>`SELECT ${sql.literal(columns)} FROM append_messages(${wait}::boolean,
    ${plain("conversationId")}::uuid[], ${plain("senderId")}::uuid[], ${plain("id")}::uuid[],
    ${quotedArray(batch.map((entry) => entry.clientMessageId))}::text[],
    ${hexArray(batch.map((entry) => entry.requestHash))}::bytea[], ${plain("type")}::text[],
    ${batch.map((entry) => entry.body)}::text[], ${plain("replyTo")}::uuid[],
    ${extras.every((extra) => extra === null) ? null : quotedArray(extras)}::json[])`.withoutTransform
}
