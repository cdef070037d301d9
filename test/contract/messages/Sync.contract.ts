import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import type { UserId } from "../../../src/domain/Ids.ts"
import type { Synced, SyncRequest } from "../../../src/domain/Sync.ts"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Drafts } from "../../../src/services/messages/Drafts.ts"
import { Sync } from "../../../src/services/messages/Sync.ts"
import { Backstage, type Chat, groupOf, nowhere, person, post } from "../../support/Chat.ts"

/** How many conversations the answers of the layer under test have at most. */
export const conversationsPerAnswer = 2

/**
 * Asks until nothing is left, as a client does, and returns all answers with what the client has then. A request has at most
 * `mostCursors`, and `meanwhile` happens after the first answer.
 */
const syncAll = Effect.fnUntraced(function* (
  userId: UserId,
  request: SyncRequest,
  {
    mostCursors = 5000,
    meanwhile = Effect.void
  }: { mostCursors?: number; meanwhile?: Effect.Effect<unknown, unknown, Chat> } = {}
) {
  const answers: Array<Synced> = []
  const cursors = { ...request.cursors }
  let { userSeq } = request
  for (;;) {
    const sent = Object.fromEntries(Object.entries(cursors).slice(0, mostCursors))
    const nextCursor = answers.at(-1)?.nextCursor
    const answer = yield* Sync.use((sync) =>
      sync.sync(userId, {
        cursors: sent,
        ...(userSeq !== undefined && { userSeq }),
        ...(nextCursor !== undefined && { cursor: nextCursor })
      })
    )
    answers.push(answer)
    if (answers.length === 1) yield* Effect.orDie(meanwhile)
    for (const { id, seq } of answer.added) cursors[id] = seq
    for (const id of answer.removed) delete cursors[id]
    userSeq = answer.userSeq
    assert.isAtMost(answer.added.length + answer.settings.length, conversationsPerAnswer)
    if (answer.more !== true) return { answers, request: { cursors, userSeq } }
    assert.isBelow(answers.length, 20)
  }
})

/** The contract of every Layer of Sync whose answers are that short. */
export const syncContract = <E>(layer: Layer.Layer<Chat | Drafts | Sync, E>) => {
  withLayer(layer)("Sync", (it) => {
    it.effect("a client that knows nothing is told each conversation once, in several answers", () =>
      Effect.gen(function* () {
        const a = yield* person
        const ids = yield* Effect.forEach([1, 2, 3, 4, 5], () => groupOf(a))
        const { answers, request } = yield* syncAll(a, { cursors: {} })
        assert.lengthOf(answers, 3)
        const told = answers.flatMap(({ added }) => added.map(({ id }) => id))
        assert.deepStrictEqual(told.toSorted(), ids.toSorted())
        const { userSeq } = yield* Conversations.use((conversations) => conversations.memberships(a))
        assert.strictEqual(request.userSeq, userSeq)
        const { answers: again } = yield* syncAll(a, request)
        assert.deepStrictEqual(again, [
          { userSeq, added: [], removed: [], behind: [], drafts: [], stars: [], hidden: [], settings: [] }
        ])
      })
    )

    it.effect(
      "a client in more conversations than a request has cursors for is told each one, and comes to an end",
      () =>
        Effect.gen(function* () {
          const a = yield* person
          const ids = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7], () => groupOf(a))
          const [, changed = nowhere, ...others] = ids
          const { answers } = yield* syncAll(
            a,
            { cursors: {} },
            {
              mostCursors: 1,
              // What has changed since it was told is told again.
              meanwhile: ConversationChanges.use((changes) => changes.settings(a, changed, { archived: true }))
            }
          )
          const told = answers.flatMap(({ added }) => added.map(({ id, me }) => [id, me.archived] as const))
          assert.deepStrictEqual(
            told.filter(([id]) => others.includes(id)).map(([id]) => id),
            others
          )
          assert.deepStrictEqual(
            told.filter(([id]) => id === changed),
            [
              [changed, false],
              [changed, true]
            ]
          )
          const bad = Sync.use((sync) => sync.sync(a, { cursors: {}, cursor: "nonsense" }))
          assert.strictEqual((yield* Effect.flip(bad))._tag, "InvalidRequest")
        })
    )

    it.effect("settings, drafts and what is behind are complete with the last answer", () =>
      Effect.gen(function* () {
        const a = yield* person
        const ids = yield* Effect.forEach([1, 2, 3, 4, 5], () => groupOf(a))
        const { request } = yield* syncAll(a, { cursors: {} })
        const [first = nowhere, second = nowhere, ...others] = ids
        yield* Drafts.use((drafts) => drafts.set(a, first, { body: "early" }))
        yield* Effect.forEach(ids, (id) =>
          ConversationChanges.use((changes) => changes.settings(a, id, { archived: true }))
        )
        yield* Drafts.use((drafts) => drafts.set(a, second, { body: "late" }))
        yield* post(first, a)
        const added = yield* Effect.forEach([1, 2, 3], () => groupOf(a))
        yield* Backstage.use(({ leave }) => leave(others[0] ?? nowhere, a))

        const { answers, request: after } = yield* syncAll(a, request)
        const all = <Key extends "added" | "drafts" | "settings" | "behind">(key: Key) =>
          answers.flatMap((answer) => answer[key].map((one) => ("id" in one ? one.id : one.conversationId)))
        assert.deepStrictEqual(all("added").toSorted(), added.toSorted())
        // What was added has own state too, which may be told again.
        assert.includeMembers(all("settings"), [first, second, ...others.slice(1)])
        assert.notInclude(all("settings"), others[0])
        assert.deepStrictEqual([...new Set(all("drafts"))].toSorted(), [first, second].toSorted())
        assert.deepStrictEqual(all("behind"), [first])
        assert.deepStrictEqual(answers.at(-1)?.behind.length, 1)
        assert.notProperty(after.cursors, others[0] ?? nowhere)
        // Own state is told when the client has all conversations.
        assert.deepStrictEqual([answers[0]?.settings, answers[0]?.drafts], [[], []])
        assert.strictEqual(answers[0]?.userSeq, request.userSeq)
      })
    )

    it.effect("a client that keeps no own state is told none", () =>
      Effect.gen(function* () {
        const a = yield* person
        const id = yield* groupOf(a)
        yield* Drafts.use((drafts) => drafts.set(a, id, { body: "draft" }))
        const { answers } = yield* syncAll(a, { cursors: { [id]: 1 } })
        assert.deepStrictEqual(
          answers.map(({ added, drafts, settings }) => [added, drafts, settings]),
          [[[], [], []]]
        )
      })
    )
  })
}
