import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../../domain/Ids.ts"
import { int8s } from "../../platform/Sql.ts"
import { conversationLexeme, senderLexeme, weekLexeme, weekOf } from "./SearchLexemes.ts"
import { tokenize, toTsvector } from "./Tokenizer.ts"

/** How far the log of a conversation goes, and how far it is indexed: `migrations/tables/0008_tokenizer.sql`. */
export interface Head {
  readonly conversationId: ConversationId
  readonly head: number
  readonly seq: number
  readonly tokenizer: number
  readonly renewedSeq: number
}

/** A part of a log, from `after + 1` to `through`. */
interface Range {
  readonly conversationId: ConversationId
  readonly after: number
  readonly through: number
}

interface Body {
  readonly conversationId: ConversationId
  readonly seq: number
  readonly senderId: UserId
  readonly createdAt: Date
  readonly body: string
}

/** The plan of a step: the ranges to index, and the heads as they are after that. */
interface Plan {
  readonly ranges: ReadonlyArray<Range>
  readonly heads: ReadonlyArray<Head>
}

const renewedOf = ({ renewedSeq, tokenizer }: Head, version: number) => (tokenizer < version ? 0 : renewedSeq)

/** Whether words are of an older tokenizer. Those of a newer one belong to nodes of a newer release. */
const isOld = (head: Head, version: number) => head.tokenizer <= version && renewedOf(head, version) < head.seq

/** Whether a step has left messages of a conversation without words, or with those of an older tokenizer. */
export const isUnfinished = (version: number) => (head: Head) => head.seq < head.head || isOld(head, version)

/** Chooses at most `most` log entries: what is new comes before the words of an older tokenizer. */
const planOf = (heads: ReadonlyArray<Head>, version: number, most: number): Plan => {
  let left = most
  const ranges: Array<Range> = []
  const take = (conversationId: ConversationId, after: number, end: number) => {
    const through = Math.min(end, after + left)
    left -= through - after
    if (through > after) ranges.push({ conversationId, after, through })
    return through
  }
  const indexed = heads.map((head): Head => {
    const seq = take(head.conversationId, head.seq, head.head)
    if (head.tokenizer > version) return { ...head, seq }
    const renewed = renewedOf(head, version)
    return { ...head, seq, tokenizer: version, renewedSeq: renewed === head.seq ? seq : renewed }
  })
  const renewed = indexed.map((head, n): Head => {
    const before = heads[n]?.seq ?? 0
    if (!isOld(head, version)) return head
    const through = take(head.conversationId, head.renewedSeq, before)
    return { ...head, renewedSeq: through === before ? head.seq : through }
  })
  return { ranges, heads: renewed }
}

const wordsOf = ({ body, conversationId, createdAt, senderId }: Body): string =>
  [
    toTsvector(tokenize(body)),
    conversationLexeme(conversationId),
    senderLexeme(senderId),
    weekLexeme(weekOf(createdAt.getTime()))
  ].join(" ")

/**
 * A step reads fewer events when their bodies have more characters than this, because the database ends a transaction that
 * waits for five seconds.
 */
const mostCharacters = 100_000

const charactersIn = (bodies: ReadonlyArray<Body>) => bodies.reduce((sum, { body }) => sum + body.length, 0)

/** The event loop gets a turn after this many bodies. */
const bodiesPerTurn = 20

/** Ranges as rows of a statement. */
const rangesOf = (sql: SqlClient.SqlClient) => (ranges: ReadonlyArray<Range>) =>
  sql`unnest(
    ${ranges.map(({ conversationId }) => conversationId)}::uuid[], ${int8s(ranges.map(({ after }) => after))}::bigint[],
    ${int8s(ranges.map(({ through }) => through))}::bigint[]) AS b(id, after, through)`

/** The messages `e` that events of a kind in the range `b` have changed. */
const eventsOf = (sql: SqlClient.SqlClient) => (event: "message.deleted" | "message.edited") =>
  sql`LATERAL (SELECT y.message_seq FROM conversation_events y
    WHERE y.conversation_id = b.id AND y.seq > b.after AND y.seq <= b.through AND y.event = ${event} OFFSET 0) e`

/** The conversation that the sweep comes to first; null when there is none. */
const firstOf = (heads: ReadonlyArray<Head>) =>
  heads.reduce<ConversationId | null>(
    (least, { conversationId }) => (least === null || conversationId < least ? conversationId : least),
    null
  )

/**
 * Makes the statement that writes the result of a step. It calls the sweep back to what the step has left with words of an
 * older tokenizer, and when the sweep is for a newer one, to all that the step has indexed.
 */
const makeWrite = Effect.fnUntraced(function* (version: number) {
  const sql = yield* SqlClient.SqlClient
  const rangesIn = rangesOf(sql)
  const eventsIn = eventsOf(sql)
  return ({ heads, ranges }: Plan, bodies: ReadonlyArray<Body>, words: ReadonlyArray<string>) => sql`
    WITH deleted AS (
      DELETE FROM message_words w WHERE w.ctid = ANY (ARRAY(
        SELECT x.ctid FROM ${rangesIn(ranges)} CROSS JOIN ${eventsIn("message.deleted")} CROSS JOIN LATERAL (
          SELECT y.ctid FROM message_words y WHERE y.conversation_id = b.id AND y.seq = e.message_seq LIMIT 1) x))
    ), written AS (
      INSERT INTO message_words (conversation_id, seq, sender_id, created_at, words)
        SELECT x.id, x.seq, x.sender_id, x.created_at, x.words::tsvector FROM unnest(
          ${bodies.map(({ conversationId }) => conversationId)}::uuid[], ${int8s(bodies.map(({ seq }) => seq))}::bigint[],
          ${bodies.map(({ senderId }) => senderId)}::uuid[], ${bodies.map(({ createdAt }) => createdAt)}::timestamptz[],
          ${words}::text[]) AS x(id, seq, sender_id, created_at, words)
        ON CONFLICT (conversation_id, seq) DO UPDATE SET words = EXCLUDED.words
    ), called_back AS (
      UPDATE search_sweep w SET next_id = LEAST(w.next_id, x.id) FROM (
        SELECT CASE WHEN tokenizer > ${version}::int THEN ${firstOf(heads)}::uuid
          ELSE ${firstOf(heads.filter((head) => isOld(head, version)))}::uuid END AS id FROM search_sweep
      ) x WHERE x.id IS NOT NULL AND (w.next_id IS NULL OR x.id < w.next_id)
    )
    INSERT INTO search_heads AS s (conversation_id, seq, tokenizer, renewed_seq)
      SELECT * FROM unnest(${heads.map(({ conversationId }) => conversationId)}::uuid[],
        ${int8s(heads.map(({ seq }) => seq))}::bigint[], ${heads.map(({ tokenizer }) => tokenizer)}::int[],
        ${int8s(heads.map(({ renewedSeq }) => renewedSeq))}::bigint[])
      ON CONFLICT (conversation_id) DO UPDATE
        SET seq = EXCLUDED.seq, tokenizer = EXCLUDED.tokenizer, renewed_seq = EXCLUDED.renewed_seq`
})

/** The parts of a step. They belong into one transaction, which begins with `lock`. */
export type IndexStep = Effect.Success<ReturnType<typeof makeIndexStep>>

/**
 * Makes the step that brings the index of some conversations up to date: it reads the log after what is indexed, and
 * writes the words of new and edited messages and removes those of deleted ones. It also writes the words again that a
 * tokenizer of an older version has made. Repeating a step is safe.
 */
export const makeIndexStep = Effect.fnUntraced(function* (version: number, eventsPerStep: number) {
  const sql = yield* SqlClient.SqlClient
  const write = yield* makeWrite(version)

  const rangesIn = rangesOf(sql)
  const eventsIn = eventsOf(sql)

  // One step of all nodes runs at a time, also of those of release 0.1.0. The lock is taken by a statement of its own,
  // because a statement that waited or raced sees what was before it; so `sweeping` is a hint.
  const lock = sql<{ locked: boolean; sweeping: boolean }>`
    SELECT pg_try_advisory_xact_lock(hashtext('index_messages')) AS locked,
      (SELECT tokenizer < ${version}::int OR tokenizer = ${version}::int AND next_id IS NOT NULL FROM search_sweep)
        AS sweeping,
      set_config('enable_seqscan', 'off', true)`.pipe(Effect.map(([row]) => row ?? { locked: false, sweeping: false }))

  /** Whether a conversation `h` with the state `s` of its index has something to index. */
  const isBehind = sql`(h.seq > COALESCE(s.seq, 0) OR s.tokenizer < ${version}::int
      OR s.tokenizer = ${version}::int AND s.renewed_seq < s.seq)`

  const headsOf = (ids: ReadonlyArray<ConversationId>) => sql<Head>`
    SELECT h.conversation_id, h.seq AS head, COALESCE(s.seq, 0) AS seq, COALESCE(s.tokenizer, 0) AS tokenizer,
      COALESCE(s.renewed_seq, 0) AS renewed_seq
    FROM unnest(${ids}::uuid[]) AS i(id)
    CROSS JOIN LATERAL (SELECT * FROM conversation_heads y WHERE y.conversation_id = i.id LIMIT 1) h
    LEFT JOIN LATERAL (SELECT * FROM search_heads y WHERE y.conversation_id = i.id LIMIT 1) s ON true
    WHERE ${isBehind}`

  // Everything is looked up row by row. A join of the ranges can read the whole of each conversation, by what the planner
  // believes of their lengths.
  const bodiesOf = (ranges: ReadonlyArray<Range>) => sql<Body>`
    SELECT m.conversation_id, m.seq, m.sender_id, m.created_at, m.body FROM (
      SELECT b.id, n.seq FROM ${rangesIn(ranges)} CROSS JOIN generate_series(b.after + 1, b.through) AS n(seq)
      UNION
      SELECT b.id, e.message_seq FROM ${rangesIn(ranges)} CROSS JOIN ${eventsIn("message.edited")}
    ) touched CROSS JOIN LATERAL (
      SELECT y.* FROM messages y WHERE y.conversation_id = touched.id AND y.seq = touched.seq LIMIT 1
    ) m WHERE m.deleted_at IS NULL`

  /** Indexes conversations, and returns those of them that were behind, with the state of their index after it. */
  const index = Effect.fn("SearchIndex.index")(function* (ids: ReadonlyArray<ConversationId>) {
    const heads = ids.length === 0 ? [] : yield* headsOf(ids)
    if (heads.length === 0) return heads
    let most = eventsPerStep
    let plan = planOf(heads, version, most)
    let bodies = yield* bodiesOf(plan.ranges)
    while (most > 1 && charactersIn(bodies) > mostCharacters) {
      most = Math.ceil(most / 4)
      plan = planOf(heads, version, most)
      bodies = yield* bodiesOf(plan.ranges)
    }
    const words: Array<string> = []
    for (const body of bodies) {
      if (words.push(wordsOf(body)) % bodiesPerTurn === 0) yield* Effect.yieldNow
    }
    yield* write(plan, bodies, words)
    return plan.heads
  })

  return { lock, isBehind, index }
})
