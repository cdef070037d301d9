import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { encodeEvent } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Threads } from "../../../src/services/messages/Threads.ts"
import { Backstage, type Chat, dmOf, groupOf, listen, person, post, until, wholeLog } from "../../support/Chat.ts"

/** A new user, with the name that mentions the user. */
const named = Effect.flatMap(person, (id) =>
  Users.use((users) => Effect.map(users.get(id), ({ username }) => ({ id, at: `@${username}` })))
)

const counts = (userId: UserId, id: ConversationId) =>
  Effect.gen(function* () {
    const conversations = yield* Conversations
    const { me } = yield* conversations.get(userId, id)
    return [me.mentionCount, (yield* ReadMarkers.use((markers) => markers.unread(userId))).mentionCount]
  })

const read = (userId: UserId, id: ConversationId, seq: number, force = false) =>
  ReadMarkers.use((markers) => markers.markRead(userId, id, { seq, force }))

/** The contract of mentions, for every Layer. */
export const mentionsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("mentions", (it) => {
    it.effect(
      "members are mentioned once each, in the order of the text, and only owners and admins mention @all",
      () =>
        Effect.gen(function* () {
          const [owner, bob, eve, stranger] = [yield* named, yield* named, yield* named, yield* named]
          const id = yield* groupOf(owner.id, bob.id, eve.id)
          const mentioned = (userId: UserId, body: string) =>
            Effect.map(post(id, userId, { body }), ({ mentions, mentionsAll }) => [mentions, mentionsAll])
          const cases: ReadonlyArray<readonly [string, ReadonlyArray<UserId>, boolean]> = [
            [`${eve.at}, ${bob.at.toUpperCase()} and ${eve.at}!`, [eve.id, bob.id], false],
            [`${stranger.at} and @nobody and mail${bob.at}`, [], false],
            [`See ${bob.at}.`, [bob.id], false],
            ["@all", [], true],
            [`@All: ${bob.at} too`, [bob.id], true],
            [`myself, ${owner.at}`, [owner.id], false]
          ]
          for (const [body, ids, all] of cases)
            assert.deepStrictEqual(yield* mentioned(owner.id, body), [ids, all], body)
          assert.deepStrictEqual(yield* mentioned(bob.id, `@all ${eve.at}`), [[eve.id], false])
          yield* Backstage.use(({ leave }) => leave(id, eve.id))
          assert.deepStrictEqual(yield* mentioned(bob.id, eve.at), [[], false])
          const dm = yield* dmOf(owner.id, bob.id)
          assert.deepInclude(yield* post(dm, owner.id, { body: "@all" }), { mentions: [], mentionsAll: false })
        })
    )

    it.effect("mentions are the same live, in replay and in history", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const [a, b] = [yield* named, yield* named]
        const id = yield* groupOf(a.id, b.id)
        const heard = yield* listen(conversationSubject(id))
        const stored = yield* post(id, a.id, { body: `@all and ${b.at}` })
        yield* until(Effect.sync(() => heard.length === 1))
        assert.deepStrictEqual(heard, (yield* wholeLog(id)).slice(1).map(encodeEvent))
        assert.deepStrictEqual(yield* messages.get(b.id, id, stored.id), stored)
      })
    )

    it.effect("mentions by others in messages that are not deleted count until the read marker passes them", () =>
      Effect.gen(function* () {
        const [a, b, c] = [yield* named, yield* named, yield* named]
        const id = yield* groupOf(a.id, b.id, c.id)
        const other = yield* groupOf(a.id, b.id)
        yield* post(id, a.id, { body: b.at })
        yield* post(id, a.id, { body: "nobody" })
        yield* post(id, a.id, { body: `@all ${b.at}` })
        yield* post(other, a.id, { body: `hey ${b.at}` })
        assert.deepStrictEqual(yield* counts(b.id, id), [2, 3])
        assert.deepStrictEqual(yield* counts(c.id, id), [1, 1])
        assert.deepStrictEqual(yield* counts(a.id, id), [0, 0])
        yield* read(b.id, id, 3)
        assert.deepStrictEqual(yield* counts(b.id, id), [1, 2])
        yield* post(id, b.id, { body: `${b.at} myself` })
        assert.deepStrictEqual(yield* counts(b.id, id), [0, 1])
        yield* read(b.id, id, 0, true)
        assert.deepStrictEqual(yield* counts(b.id, id), [2, 3])
        yield* Backstage.use(({ seeFrom }) => seeFrom(id, b.id, 3))
        assert.deepStrictEqual(yield* counts(b.id, id), [1, 2])
      })
    )

    it.effect("an edit changes the mentions to those of the new body", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const [a, b, c] = [yield* named, yield* named, yield* named]
        const id = yield* groupOf(a.id, b.id, c.id)
        const { id: messageId } = yield* post(id, a.id, { body: `${b.at} and @all` })
        const edited = yield* changes.edit(a.id, id, messageId, { body: `only ${c.at}` })
        assert.deepInclude(edited, { mentions: [c.id], mentionsAll: false })
        assert.deepStrictEqual(
          [yield* counts(b.id, id), yield* counts(c.id, id)],
          [
            [0, 0],
            [1, 1]
          ]
        )
        assert.deepStrictEqual((yield* wholeLog(id)).at(-1)?.data, { message: edited })
        yield* changes.edit(a.id, id, messageId, { body: "@all" })
        assert.deepStrictEqual(
          [yield* counts(b.id, id), yield* counts(c.id, id)],
          [
            [1, 1],
            [1, 1]
          ]
        )
        yield* changes.delete(a.id, id, messageId)
        assert.deepStrictEqual(
          [yield* counts(b.id, id), yield* counts(c.id, id)],
          [
            [0, 0],
            [0, 0]
          ]
        )
        assert.deepInclude(yield* Messages.use((messages) => messages.get(b.id, id, messageId)), {
          mentions: [],
          mentionsAll: false
        })
      })
    )

    it.effect("mentions in a thread count until the thread's marker passes them", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* named, yield* named]
        const id = yield* groupOf(a.id, b.id)
        const root = yield* post(id, a.id)
        yield* post(id, a.id, { body: b.at, threadRoot: root.id })
        const second = yield* post(id, a.id, { body: "@all", threadRoot: root.id })
        const other = yield* post(id, a.id)
        yield* post(id, a.id, { body: b.at, threadRoot: other.id })
        yield* read(b.id, id, 100)
        assert.deepStrictEqual(yield* counts(b.id, id), [3, 3])
        yield* Threads.use((threads) => threads.mark(b.id, id, root.id, second.seq - 1))
        assert.deepStrictEqual(yield* counts(b.id, id), [2, 2])
        yield* post(id, b.id, { threadRoot: root.id })
        assert.deepStrictEqual(yield* counts(b.id, id), [1, 1])
      })
    )

    it.effect("mentions are counted up to 100", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* named, yield* named]
        const id = yield* groupOf(a.id, b.id)
        const root = yield* post(id, a.id, { body: b.at })
        yield* Effect.forEach(Arr.range(1, 105), (n) =>
          post(id, a.id, { body: b.at, ...(n % 2 === 0 && { threadRoot: root.id }) })
        )
        assert.deepStrictEqual(yield* counts(b.id, id), [100, 100])
      })
    )

    it.effect("messages with mentions keep the order of one caller's sends", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* named, yield* named]
        const id = yield* groupOf(a.id, b.id)
        const sent = yield* Effect.forEach(
          Arr.range(1, 40),
          (n) => post(id, a.id, n % 2 === 0 ? { body: `plain ${n}` } : { body: `${b.at} ${n}` }),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          sent.map(({ seq }) => seq),
          Arr.range(2, 41)
        )
        assert.deepStrictEqual(
          sent.map(({ mentions }) => mentions.length),
          Arr.range(1, 40).map((n) => n % 2)
        )
      })
    )
  })
}
