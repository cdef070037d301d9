import { randomInt } from "node:crypto"
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as fc from "fast-check"
import { unreadCap } from "../../../src/domain/Conversation.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { type HistoryPlace, pageBounds } from "../../../src/services/log/Entry.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { chat, twoOfUs } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"

const seed = Number(process.env.CHAT_TEST_SEED ?? randomInt(2 ** 31))
const runs = Number(process.env.CHAT_TEST_RUNS ?? 12)

/** The seqs of the roots of the two threads of each conversation. */
const roots = [2, 3] as const

/**
 * A run of seqs of one kind: messages outside of threads, deleted ones, replies, deleted replies, events of other kinds, or
 * messages with a reply or a deleted one in between now and then. Some are hidden.
 */
const run = fc.record({
  kind: fc.constantFrom("plain", "deleted", "reply", "reply", "deleted reply", "event", "mixed"),
  length: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 20, max: 400 })),
  root: fc.constantFrom(...roots),
  every: fc.integer({ min: 2, max: 40 }),
  mine: fc.constantFrom(0, 0, 0.5),
  hidden: fc.constantFrom(0, 0, 0, 0.3, 1)
})

const seqs = fc.nat(1500)

const place: fc.Arbitrary<HistoryPlace> = fc.oneof(
  fc.record({ before: seqs }),
  fc.record({ after: seqs }),
  fc.record({ around: seqs }),
  fc.constant({ newest: true } as const)
)

const plan = fc.record({
  runs: fc.array(run, { minLength: 1, maxLength: 12 }),
  visibleFrom: fc.oneof(fc.constant(1), seqs),
  read: fc.oneof(fc.constant(0), seqs),
  pages: fc.array(
    fc.record({
      place,
      limit: fc.integer({ min: 1, max: 200 }),
      replies: fc.constantFrom(undefined, undefined, undefined, "all" as const, ...roots.map((to) => ({ to })))
    }),
    { minLength: 40, maxLength: 40 }
  )
})

type Plan = typeof plan extends fc.Arbitrary<infer A> ? A : never

interface Row {
  readonly seq: number
  readonly root: number | null
  readonly place: number | null
  readonly deleted: boolean
  readonly mine: boolean
  readonly hidden: boolean
}

/** The rows of a log, from the two roots on, and its head. */
const rowsOf = (plan: Plan) => {
  const plain = { root: null, place: null, deleted: false, mine: false, hidden: false }
  const rows: Array<Row> = roots.map((seq) => ({ ...plain, seq }))
  const places = new Map<number, number>()
  let head = 3
  for (const { every, hidden, kind, length, mine, root } of plan.runs) {
    for (let n = 0; n < length; n++) {
      const seq = ++head
      if (kind === "event") continue
      const often = n % every > 0
      const reply = kind === "mixed" ? often : kind.endsWith("reply")
      const deleted = kind === "mixed" ? n % (3 * every) === 0 : kind.startsWith("deleted")
      if (reply) places.set(root, (places.get(root) ?? 0) + 1)
      rows.push({
        seq,
        root: reply ? root : null,
        place: reply ? (places.get(root) ?? null) : null,
        deleted,
        mine: (seq * 7) % 10 < mine * 10,
        hidden: (seq * 3) % 10 < hidden * 10
      })
    }
  }
  return { rows, head, replyCount: (root: number) => places.get(root) ?? 0 }
}

/** Fills a new conversation of two users as the plan says. */
const fill = Effect.fnUntraced(function* ({ head, replyCount, rows }: ReturnType<typeof rowsOf>, change: Plan) {
  const sql = yield* SqlClient.SqlClient
  const { a, b, id } = yield* twoOfUs
  yield* sql`INSERT INTO messages (conversation_id, seq, id, sender_id, client_message_id, request_hash, type, body,
      created_at, changed_seq, thread_root_seq, thread_place, deleted_at, thread_reply_count)
    SELECT ${id}::uuid, r.seq, gen_random_uuid(), CASE WHEN r.mine THEN ${b}::uuid ELSE ${a}::uuid END, 'm' || r.seq, '',
      'text', 'message', now(), r.seq, r.root, r.place, CASE WHEN r.deleted THEN now() END, r.replies
    FROM json_to_recordset(${JSON.stringify(rows.map((row) => ({ ...row, replies: replyCount(row.seq) })))}::json)
      AS r(seq bigint, root bigint, place int, deleted bool, mine bool, replies int)`
  yield* sql`INSERT INTO hidden_messages (user_id, conversation_id, message_seq, user_seq)
    SELECT ${b}::uuid, ${id}::uuid, seq, 1
    FROM json_to_recordset(${JSON.stringify(rows.filter(({ hidden }) => hidden))}::json) AS r(seq bigint)`
  yield* sql`UPDATE conversation_heads SET seq = ${head} WHERE conversation_id = ${id}`
  yield* sql`UPDATE conversation_members SET hides = true, visible_from_seq = ${Math.min(change.visibleFrom, head)},
    read_seq = ${Math.min(change.read, head)} WHERE conversation_id = ${id} AND user_id = ${b}`
  return { b, id }
})

const runPlan = Effect.fnUntraced(function* (made: Plan) {
  const log = rowsOf(made)
  const { b, id } = yield* fill(log, made)
  const visible = log.rows.filter(({ hidden, seq }) => !hidden && seq >= Math.min(made.visibleFrom, log.head))

  for (const { limit, place, replies } of made.pages) {
    const page = yield* Log.use((log) =>
      log.messages({ conversationId: id, userId: b, place, limit, ...(replies === undefined ? {} : { replies }) })
    )
    const history = visible.flatMap(({ root, seq }) => {
      const belongs = replies === "all" || root === (replies === undefined ? null : replies.to)
      return belongs ? [seq] : []
    })
    const { from, newer, older } = pageBounds(place, limit)
    const before = history.filter((seq) => seq < from)
    const after = history.filter((seq) => seq >= from)
    assert.deepStrictEqual(
      { ...page, items: page.items.map(({ seq }) => seq) },
      {
        items: [...(older > 0 ? before.slice(-older) : []), ...after.slice(0, newer)],
        hasBefore: before.length > older,
        hasAfter: after.length > newer
      },
      JSON.stringify({ place, limit, replies })
    )
  }

  const timeline = visible.filter(({ root }) => root === null)
  const unread = timeline.filter(({ deleted, mine, seq }) => !deleted && !mine && seq > Math.min(made.read, log.head))
  const conversation = yield* Conversations.use((conversations) => conversations.get(b, id))
  assert.strictEqual(conversation.me.unreadCount, Math.min(unread.length, unreadCap))
  assert.strictEqual(conversation.lastMessage?.seq, timeline.at(-1)?.seq)
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    withLayer(chat.sql.pipe(Layer.provideMerge(database.layer)))("pages, the last message and what is unread", (it) => {
      for (const [run, made] of fc.sample(plan, { seed, numRuns: runs }).entries()) {
        it.effect(`are those of a filter over all messages (CHAT_TEST_SEED=${seed}, plan ${run})`, () => runPlan(made))
      }
    })
  })
}
