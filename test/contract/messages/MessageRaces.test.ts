import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, Fiber, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Emoji } from "../../../src/domain/Emoji.ts"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Polls } from "../../../src/services/messages/Polls.ts"
import { Reactions } from "../../../src/services/messages/Reactions.ts"
import { Threads } from "../../../src/services/messages/Threads.ts"
import { Backstage, chat, groupOf, messagesIn, nowhere, outcome, people, post, wholeLog } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { makeSession } from "../../support/Explain.ts"
import { blocked, holdHead, holding } from "../../support/Holding.ts"

const all = { concurrency: "unbounded" } as const

const thumb = Schema.decodeSync(Emoji)("👍")

const lunch = { type: "poll", body: "", payload: { question: "Where?", options: ["here", "there"] } } as const

/** Runs `work` so that it has to wait until another connection has locked the head, made its change and committed. */
const behind = Effect.fnUntraced(function* <A, B, E, F>(
  id: ConversationId,
  change: Effect.Effect<B, F>,
  work: Effect.Effect<A, E, Messages | Polls | Reactions>
) {
  const sql = yield* SqlClient.SqlClient
  const release = yield* holding(
    Effect.andThen(sql`SELECT FROM conversation_heads WHERE conversation_id = ${id}::uuid FOR UPDATE`, change)
  )
  const fiber = yield* Effect.forkChild(work, { startImmediately: true })
  yield* blocked(1)
  yield* release
  return yield* Fiber.join(fiber)
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    withLayer(chat.sql.pipe(Layer.provideMerge(database.layer)))("races about a message", (it) => {
      it.effect("what a stranger asks waits for no lock, and is the same work as where nothing is", () =>
        Effect.gen(function* () {
          const [owner, stranger] = yield* people(2)
          if (owner === undefined || stranger === undefined) return yield* Effect.die("nobody")
          const id = yield* groupOf(owner)
          const { id: messageId } = yield* post(id, owner)
          const { work } = yield* makeSession
          const release = yield* holdHead(id)
          const changes = yield* MessageChanges
          for (const root of [undefined, messageId])
            assert.strictEqual(yield* outcome(post(id, stranger, root && { threadRoot: root })), "NotFound")
          assert.strictEqual(yield* outcome(changes.edit(stranger, id, messageId, { body: "x" })), "NotFound")
          assert.strictEqual(yield* outcome(changes.delete(stranger, id, messageId)), "NotFound")
          assert.strictEqual(
            yield* outcome(Reactions.use((all) => all.add(stranger, id, messageId, thumb))),
            "NotFound"
          )
          yield* release
          const one = "SELECT * FROM append_message(true, $1, $2, $3, 'new', '\\x00', 'text', 'hello', NULL)"
          const batch = `SELECT * FROM append_messages(false, $1::uuid[], $2::uuid[], $3::uuid[], ARRAY['new'],
            ARRAY['\\x00'::bytea], ARRAY['text'], ARRAY['hello'], ARRAY[NULL]::uuid[])`
          const edit = "SELECT * FROM edit_body($1, $2, $3, 'hello', false, NULL, 0)"
          const measured = (text: string, values: ReadonlyArray<unknown>) =>
            Effect.promise(async () => {
              await work(text, values, "generic")
              return work(text, values, "generic")
            })
          for (const text of [one, batch, edit]) {
            const valuesOf = (where: string) =>
              [where, stranger, messageId].map((value) => (text === batch ? [value] : value))
            const there = yield* measured(text, valuesOf(id))
            assert.deepStrictEqual(there, yield* measured(text, valuesOf(nowhere)), text)
            assert.strictEqual(there.rows, 0)
          }
        })
      )

      it.effect("a reply to a root that is deleted meanwhile keeps the thread", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a, b] = yield* people(2)
          if (a === undefined || b === undefined) return yield* Effect.die("nobody")
          const id = yield* groupOf(a, b)
          const root = yield* post(id, a)
          const removed = sql`SELECT delete_message(${id}::uuid, ${a}::uuid, ${root.id}::uuid)`
          const reply = yield* behind(id, removed, post(id, b, { threadRoot: root.id }))
          const shown = yield* Threads.use((threads) => threads.list(a, id, root.id, { limit: 10 }))
          assert.deepStrictEqual(shown.items, [reply])
          assert.deepInclude(shown.root, { id: root.id, body: "", threadReplyCount: 1 })
        })
      )

      it.effect("concurrent replies are numbered one after the other", () =>
        Effect.gen(function* () {
          const senders = yield* people(4)
          const [a] = senders
          if (a === undefined) return yield* Effect.die("nobody")
          const id = yield* groupOf(a, ...senders)
          const root = yield* post(id, a)
          yield* Effect.forEach(
            Array.from({ length: 5 }, () => senders).flat(),
            (sender, n) => post(id, sender, n % 3 === 0 ? {} : { threadRoot: root.id }),
            all
          )
          const log = yield* wholeLog(id)
          const counts = log.flatMap(({ data }) =>
            "threadRoot" in data && data.threadRoot !== undefined && "threadReplyCount" in data.threadRoot
              ? [data.threadRoot.threadReplyCount]
              : []
          )
          assert.deepStrictEqual(
            counts,
            counts.map((_, index) => index + 1)
          )
          const { changedSeq, threadReplyCount } = yield* Messages.use((messages) => messages.get(a, id, root.id))
          const last = messagesIn(log).findLast(({ threadRootId }) => threadRootId === root.id)
          assert.deepStrictEqual([threadReplyCount, changedSeq], [counts.length, last?.seq])
        })
      )

      for (const [what, change, expected] of [
        [
          "closed",
          'payload = \'{"question":"?","options":["1","2"],"closesAt":"2020-01-01T00:00:00Z"}\'',
          "poll-closed"
        ],
        ["deleted", "deleted_at = clock_timestamp()", "NotFound"]
      ] as const) {
        it.effect(`a vote in a poll that is ${what} meanwhile is refused`, () =>
          Effect.gen(function* () {
            const sql = yield* SqlClient.SqlClient
            const [a, b] = yield* people(2)
            if (a === undefined || b === undefined) return yield* Effect.die("nobody")
            const id = yield* groupOf(a, b)
            const poll = yield* post(id, a, lunch)
            const over = sql`UPDATE messages SET ${sql.literal(change)} WHERE id = ${poll.id}::uuid`
            const vote = Polls.use((polls) => polls.vote(b, id, poll.id, [0]))
            assert.strictEqual(yield* behind(id, over, outcome(vote)), expected)
            assert.lengthOf(yield* wholeLog(id), 2)
            assert.deepInclude(messagesIn(yield* wholeLog(id))[0], { votes: [0, 0] })
          })
        )
      }

      it.effect("concurrent votes are all counted, each once", () =>
        Effect.gen(function* () {
          const voters = yield* people(8)
          const [a] = voters
          if (a === undefined) return yield* Effect.die("nobody")
          const id = yield* groupOf(a, ...voters)
          const poll = yield* post(id, a, lunch)
          const polls = yield* Polls
          const messages = yield* Messages
          yield* Effect.forEach(
            voters.flatMap((userId, n) => [
              { userId, option: n % 2 },
              { userId, option: 1 }
            ]),
            ({ option, userId }) => polls.vote(userId, id, poll.id, [option]),
            all
          )
          const mine = yield* Effect.forEach(voters, (userId) => messages.get(userId, id, poll.id))
          const chosen = mine.flatMap(({ myVote }) => myVote ?? [])
          assert.lengthOf(chosen, voters.length)
          const votes = [0, 1].map((option) => chosen.filter((one) => one === option).length)
          assert.deepStrictEqual(mine[0]?.votes, votes)
          const last = (yield* wholeLog(id)).at(-1)
          assert.deepInclude(last?.data, { votes })
        })
      )

      it.effect("a change of a message waits for the change before it, and sees its result", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const changes = yield* MessageChanges
          const [owner, admin, member] = yield* people(3)
          if (owner === undefined || admin === undefined || member === undefined) return yield* Effect.die("nobody")
          const id = yield* groupOf(owner, admin, member)
          const backstage = yield* Backstage
          yield* backstage.setRole(id, admin, "admin")
          const message = yield* post(id, member)
          const there = sql`SELECT * FROM edit_body(${id}::uuid, ${member}::uuid, ${message.id}::uuid, 'there', false,
            '[]'::json, 0)`
          const edited = yield* behind(id, there, changes.edit(member, id, message.id, { body: "here" }))
          assert.deepInclude(edited, { body: "here", revision: 3, changedSeq: 4 })
          const demoted = sql`UPDATE conversation_members SET role = 'member' WHERE user_id = ${admin}::uuid`
          const removal = outcome(changes.delete(admin, id, message.id))
          assert.strictEqual(yield* behind(id, demoted, removal), "Forbidden")
          const gone = sql`UPDATE conversation_members SET left_seq = 5 WHERE user_id = ${member}::uuid`
          assert.strictEqual(
            yield* behind(id, gone, outcome(changes.edit(member, id, message.id, { body: "late" }))),
            "NotFound"
          )
          const removed = sql`SELECT * FROM delete_message(${id}::uuid, ${owner}::uuid, ${message.id}::uuid)`
          const reaction = Reactions.use((reactions) => reactions.add(owner, id, message.id, thumb))
          assert.strictEqual(yield* behind(id, removed, outcome(reaction)), "message-deleted")
          assert.lengthOf(yield* wholeLog(id), 5)
        })
      )

      it.effect("many changes of a conversation wait for two connections, and leave the others to everybody else", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const changes = yield* MessageChanges
          const [a, b] = yield* people(2)
          if (a === undefined || b === undefined) return yield* Effect.die("nobody")
          const [held, free] = [yield* groupOf(a, b), yield* groupOf(a, b)]
          const [message, other] = [yield* post(held, a), yield* post(free, b)]
          const release = yield* holdHead(held)
          const edits = yield* Effect.forkChild(
            Effect.forEach(Arr.range(1, 30), (n) => changes.edit(a, held, message.id, { body: `${n}` }), {
              concurrency: "unbounded"
            }),
            { startImmediately: true }
          )
          yield* blocked(2)
          assert.strictEqual((yield* changes.edit(b, free, other.id, { body: "free" })).body, "free")
          const waiting = yield* sql`SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'`
          assert.lengthOf(waiting, 2)
          yield* release
          yield* Fiber.join(edits)
          const { revision } = yield* Messages.use((messages) => messages.get(a, held, message.id))
          assert.strictEqual(revision, 31)
        })
      )

      it.effect("a reaction that another node gives meanwhile is counted once", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a, b] = yield* people(2)
          if (a === undefined || b === undefined) return yield* Effect.die("nobody")
          const id = yield* groupOf(a, b)
          const message = yield* post(id, a)
          const give = (userId: UserId) => sql`SELECT * FROM add_reaction(${id}::uuid, ${userId}::uuid,
            ${message.id}::uuid, ${thumb}, 20)`
          yield* behind(
            id,
            Effect.andThen(give(a), give(b)),
            Reactions.use((reactions) => reactions.add(a, id, message.id, thumb))
          )
          const { reactions } = yield* Messages.use((messages) => messages.get(a, id, message.id))
          assert.deepStrictEqual(reactions, [{ emoji: thumb, count: 2, me: true }])
          assert.lengthOf(yield* wholeLog(id), 4)
        })
      )
    })
  })
}
