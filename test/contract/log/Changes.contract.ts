import { assert, layer as withLayer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { SqlError } from "effect/sql"
import { SqlClient } from "effect/sql"
import type { ConversationId, MessageId, UserId } from "../../../src/domain/Ids.ts"
import type { Unavailable } from "../../../src/domain/Problem.ts"
import { seenFrom } from "../../../src/domain/Visibility.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { makeChanges } from "../../../src/services/log/Changes.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { makeChangesMemory, type Placeless } from "../../../src/testing/memory/Changes.ts"
import { type LoggedEvent, Memory } from "../../../src/testing/memory/State.ts"
import {
  Backstage,
  type Chat,
  dmOf,
  entryOf,
  groupOf,
  listen,
  people,
  store,
  until,
  wholeLog
} from "../../support/Chat.ts"

/** Adds an event to a log and does nothing else, which is the part that all durable changes share. */
export class Recorder extends Context.Service<
  Recorder,
  {
    readonly record: (id: ConversationId, event: Placeless<LoggedEvent>) => Effect.Effect<void, Unavailable>
    readonly userSeqs: (userIds: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyMap<UserId, number>, SqlError.SqlError>
  }
>()("chat/test/Recorder") {
  static readonly layerMemory = Layer.effect(
    Recorder,
    Effect.gen(function* () {
      const { conversations } = yield* Memory
      const { addEvent, atomically, nextUserSeq } = yield* makeChangesMemory
      return Recorder.of({
        record: (id, event) => {
          const conversation = conversations.get(id)
          return conversation === undefined ? Effect.die("nowhere") : atomically(addEvent(conversation, event))
        },
        userSeqs: (ids) => Effect.sync(() => new Map([...new Set(ids)].map((id) => [id, nextUserSeq(id)])))
      })
    })
  )

  static readonly layer = Layer.effect(
    Recorder,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      return Recorder.of({
        record: (id, { actorId, data: { ...data }, event }) => {
          const messageSeq = "messageSeq" in data ? data.messageSeq : null
          // `member.joined` stores a reference to the user.
          const stored = "user" in data ? { userId: data.user.id, role: data.role } : data
          return change(
            id,
            sql`SELECT 'changed' AS outcome, seq AS first_seq, seq AS last_seq FROM add_event(${id}::uuid, ${event}::text,
              ${actorId}::uuid, ${messageSeq}::bigint, ${JSON.stringify(stored)}::jsonb) AS seq`,
            {}
          )
        },
        userSeqs: (ids) =>
          Effect.map(
            sql<{ userId: UserId; seq: number }>`SELECT * FROM next_user_seqs(${ids}::uuid[])`,
            (rows) => new Map(rows.map(({ seq, userId }) => [userId, seq]))
          )
      })
    })
  )
}

/** Events of every kind about a message and a user; no body is among them. */
const kinds = (actorId: UserId, messageId: MessageId, messageSeq: number) => {
  const about = { messageId, messageSeq }
  const reaction = { ...about, emoji: "👍", userId: actorId, count: 1 }
  const events: ReadonlyArray<Placeless<LoggedEvent>> = [
    { event: "conversation.updated", actorId, data: { title: "Other", avatarUrl: null } },
    { event: "conversation.updated", actorId, data: { historyForNewMembers: "all", messageLifetimeSeconds: 60 } },
    { event: "message.deleted", actorId, data: about },
    { event: "reaction.added", actorId, data: reaction },
    { event: "reaction.removed", actorId, data: reaction },
    { event: "message.pinned", actorId, data: about },
    { event: "message.unpinned", actorId, data: about },
    { event: "poll.voted", actorId, data: { ...about, votes: [0, 2] } },
    { event: "member.left", actorId, data: { userId: actorId, removed: false } },
    { event: "member.role-changed", actorId, data: { userId: actorId, role: "admin" } }
  ]
  return events
}

/** The behaviour of the log that every durable change must keep. */
export const changesContract = <E>(layer: Layer.Layer<Chat | Recorder, E>) => {
  withLayer(layer)("Changes", (it) => {
    it.effect("take the next seq each, are published in order, and read back as they were", () =>
      Effect.gen(function* () {
        const recorder = yield* Recorder
        const log = yield* Log
        const [a, b] = yield* people(2)
        if (a === undefined || b === undefined) return yield* Effect.die("nobody")
        const id = yield* groupOf(a, b)
        const { message } = yield* store(entryOf(id, a))
        const before = yield* Conversations.use((conversations) => conversations.get(b, id))
        const heard = yield* listen(conversationSubject(id))
        const events = kinds(a, message.id, message.seq)
        for (const event of events) yield* recorder.record(id, event)
        // The message may be published after it was acknowledged.
        const changes = () => heard.filter(({ seq }) => seq !== message.seq)
        yield* until(Effect.sync(() => changes().length >= events.length))
        const logged = (yield* wholeLog(id)).slice(2)
        assert.deepStrictEqual<unknown>(
          logged.map(({ actorId, data, event }) => ({ event, actorId, data })),
          events
        )
        assert.deepStrictEqual<unknown>(
          changes().map(({ json }) => JSON.parse(json)),
          logged
        )
        assert.deepStrictEqual(
          changes().map(({ refersTo }) => refersTo),
          [null, null, 2, 2, 2, 2, 2, 2, null, null]
        )
        const page = yield* log.events({ conversationId: id, userId: b, after: 2, limit: 100 })
        assert.deepStrictEqual(page, { items: logged, head: 2 + events.length, visibleFromSeq: 1 })
        const changed = yield* log.message(b, id, message.id)
        assert.strictEqual(changed.changedSeq, logged.findLast(({ event }) => event === "poll.voted")?.seq)
        const after = yield* Conversations.use((conversations) => conversations.get(b, id))
        assert.strictEqual(after.lastActivityAt, before.lastActivityAt, "only messages are activity")
      })
    )

    it.effect("carry a message as it is now, and the profile of the user who joined", () =>
      Effect.gen(function* () {
        const recorder = yield* Recorder
        const users = yield* Users
        const [a, b] = yield* people(2)
        if (a === undefined || b === undefined) return yield* Effect.die("nobody")
        const id = yield* groupOf(a, b)
        const original = yield* store(entryOf(id, a))
        const { message } = yield* store(entryOf(id, b, { replyTo: original.message.id }))
        yield* recorder.record(id, {
          event: "message.edited",
          actorId: b,
          data: { messageId: message.id, messageSeq: message.seq }
        })
        const user = yield* users.get(b)
        yield* recorder.record(id, { event: "member.joined", actorId: a, data: { user, role: "member" } })
        const [edited, joined] = (yield* wholeLog(id)).slice(3)
        assert.deepStrictEqual<unknown>(edited?.data, { message: { ...message, changedSeq: 4 } })
        assert.deepInclude(joined, { event: "member.joined", actorId: a, data: { user, role: "member" } })
      })
    )

    it.effect("show to a member who joined later only the place of events about earlier messages", () =>
      Effect.gen(function* () {
        const recorder = yield* Recorder
        const log = yield* Log
        const backstage = yield* Backstage
        const [a, b] = yield* people(2)
        if (a === undefined || b === undefined) return yield* Effect.die("nobody")
        const id = yield* dmOf(a, b)
        const early = yield* store(entryOf(id, a))
        yield* store(entryOf(id, a, { replyTo: early.message.id }))
        for (const event of kinds(a, early.message.id, 2)) yield* recorder.record(id, event)
        yield* recorder.record(id, {
          event: "message.edited",
          actorId: a,
          data: { messageId: early.message.id, messageSeq: 2 }
        })
        yield* backstage.seeFrom(id, b, 3)
        const { items } = yield* log.events({ conversationId: id, userId: b, after: 0, limit: 100 })
        assert.deepStrictEqual(
          items,
          (yield* wholeLog(id)).slice(2).map((event) => seenFrom(event, 3))
        )
        assert.notInclude(JSON.stringify(items), early.message.body)
        assert.notInclude(JSON.stringify(items), "👍")
      })
    )

    it.effect("take a user seq for each user whose own state changes, also when a user is named twice", () =>
      Effect.gen(function* () {
        const recorder = yield* Recorder
        const [a, b] = yield* people(2)
        if (a === undefined || b === undefined) return yield* Effect.die("nobody")
        const first = yield* recorder.userSeqs([a])
        const second = yield* recorder.userSeqs([b, a, a])
        assert.strictEqual(second.get(a), (first.get(a) ?? 0) + 1)
        assert.strictEqual(second.size, 2)
        const heads = yield* Conversations.use((conversations) => conversations.userHeads([a, b]))
        assert.deepStrictEqual([...heads].sort(), [...second].sort())
      })
    )
  })
}
