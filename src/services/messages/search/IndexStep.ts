import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../../domain/Ids.ts"
import { int8s, orUnavailable } from "../../platform/Sql.ts"
import { conversationLexeme, senderLexeme, weekLexeme, weekOf } from "./SearchLexemes.ts"
import { tokenize, toTsvector } from "./Tokenizer.ts"

/** How far the log of a conversation goes, and how far it is indexed: `migrations/tables/0008_tokenizer.sql`. */
interface Head {
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
  /** The conversations that have more to index. */
  readonly rest: ReadonlyArray<ConversationId>
}

const renewedOf = ({ renewedSeq, tokenizer }: Head, version: number) => (tokenizer < version ? 0 : renewedSeq)

/** Whether words are of an older tokenizer. Those of a newer one belong to nodes of a newer release. */
const isOld = (head: Head, version: number) => head.tokenizer <= version && renewedOf(head, version) < head.seq

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
  const rest = renewed.filter((head) => head.seq < head.head || isOld(head, version))
  return { ranges, heads: renewed, rest: rest.map(({ conversationId }) => conversationId) }
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
const mostCharacters = 400_000

const charactersIn = (bodies: ReadonlyArray<Body>) => bodies.reduce((sum, { body }) => sum + body.length, 0)

/** The event loop gets a turn after this many bodies. */
const bodiesPerTurn = 20

/** The result of a step: what is left to index, and whether the step did as much as one may do. */
interface Step {
  readonly rest: ReadonlyArray<ConversationId>
  readonly full: boolean
}

/**
 * Makes the step that brings the index of some conversations up to date: it reads the log after what is indexed, and
 * writes the words of new and edited messages and removes those of deleted ones. It also writes the words again that a
 * tokenizer of an older version has made. One step of all nodes runs at a time; otherwise everything is left.
 * Repeating a step is safe.
 */
export const makeIndexStep = Effect.fnUntraced(function* (version: number, eventsPerStep: number) {
  const sql = yield* SqlClient.SqlClient

  const rangesIn = (ranges: ReadonlyArray<Range>) => sql`unnest(
    ${ranges.map(({ conversationId }) => conversationId)}::uuid[], ${int8s(ranges.map(({ after }) => after))}::bigint[],
    ${int8s(ranges.map(({ through }) => through))}::bigint[]) AS b(id, after, through)`

  // The lock is taken by a statement of its own, because a statement that waited or raced sees what was before it.
  const lock = sql<{ locked: boolean }>`
    SELECT pg_try_advisory_xact_lock(hashtext('index_messages')) AS locked, set_config('enable_seqscan', 'off', true),
      set_config('plan_cache_mode', 'force_custom_plan', true)`

  const headsOf = (ids: ReadonlyArray<ConversationId>) => sql<Head>`
    SELECT h.conversation_id, h.seq AS head, COALESCE(s.seq, 0) AS seq, COALESCE(s.tokenizer, 0) AS tokenizer,
      COALESCE(s.renewed_seq, 0) AS renewed_seq
    FROM unnest(${ids}::uuid[]) AS i(id) JOIN conversation_heads h ON h.conversation_id = i.id
    LEFT JOIN search_heads s ON s.conversation_id = i.id
    WHERE h.seq > COALESCE(s.seq, 0) OR s.tokenizer < ${version}::int
      OR s.tokenizer = ${version}::int AND s.renewed_seq < s.seq`

  const bodiesOf = (ranges: ReadonlyArray<Range>) => sql<Body>`
    SELECT m.conversation_id, m.seq, m.sender_id, m.created_at, m.body FROM (
      SELECT b.id, m.seq FROM ${rangesIn(ranges)}
        JOIN messages m ON m.conversation_id = b.id AND m.seq > b.after AND m.seq <= b.through
      UNION
      SELECT b.id, e.message_seq FROM ${rangesIn(ranges)}
        JOIN conversation_events e ON e.conversation_id = b.id AND e.seq > b.after AND e.seq <= b.through
        WHERE e.event = 'message.edited'
    ) touched JOIN messages m ON m.conversation_id = touched.id AND m.seq = touched.seq
    WHERE m.deleted_at IS NULL`

  const write = ({ heads, ranges }: Plan, bodies: ReadonlyArray<Body>, words: ReadonlyArray<string>) => sql`
    WITH deleted AS (
      DELETE FROM message_words w USING ${rangesIn(ranges)}
        JOIN conversation_events e ON e.conversation_id = b.id AND e.seq > b.after AND e.seq <= b.through
        WHERE e.event = 'message.deleted' AND w.conversation_id = e.conversation_id AND w.seq = e.message_seq
    ), written AS (
      INSERT INTO message_words (conversation_id, seq, sender_id, created_at, words)
        SELECT x.id, x.seq, x.sender_id, x.created_at, x.words::tsvector FROM unnest(
          ${bodies.map(({ conversationId }) => conversationId)}::uuid[], ${int8s(bodies.map(({ seq }) => seq))}::bigint[],
          ${bodies.map(({ senderId }) => senderId)}::uuid[], ${bodies.map(({ createdAt }) => createdAt)}::timestamptz[],
          ${words}::text[]) AS x(id, seq, sender_id, created_at, words)
        ON CONFLICT (conversation_id, seq) DO UPDATE SET words = EXCLUDED.words
    )
    INSERT INTO search_heads AS s (conversation_id, seq, tokenizer, renewed_seq)
      SELECT * FROM unnest(${heads.map(({ conversationId }) => conversationId)}::uuid[],
        ${int8s(heads.map(({ seq }) => seq))}::bigint[], ${heads.map(({ tokenizer }) => tokenizer)}::int[],
        ${int8s(heads.map(({ renewedSeq }) => renewedSeq))}::bigint[])
      ON CONFLICT (conversation_id) DO UPDATE
        SET seq = EXCLUDED.seq, tokenizer = EXCLUDED.tokenizer, renewed_seq = EXCLUDED.renewed_seq`

  return Effect.fn("SearchIndex.step")(
    function* (ids: ReadonlyArray<ConversationId>) {
      const [held] = yield* lock
      if (held?.locked !== true) return { rest: ids, full: false } satisfies Step
      const heads = yield* headsOf(ids)
      if (heads.length === 0) return { rest: [], full: false } satisfies Step
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
      return {
        rest: plan.rest,
        full: plan.rest.length > 0 && plan.heads.some(({ head, seq }) => seq < head)
      } satisfies Step
    },
    sql.withTransaction,
    orUnavailable
  )
})
