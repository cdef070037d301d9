import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { type ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { conversationSubject, type Published, userSubject } from "../../../src/services/bus/Subjects.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { Contacts } from "../../../src/services/identity/Contacts.ts"
import {
  append,
  Backstage,
  type Chat,
  dmOf,
  entryOf,
  groupOf,
  listen,
  nowhere,
  people,
  person,
  problem,
  twoOfUs,
  until
} from "../../support/Chat.ts"

const me = (userId: UserId, id: ConversationId) =>
  Conversations.use((conversations) => Effect.map(conversations.get(userId, id), (conversation) => conversation.me))

const deliver = (userId: UserId, id: ConversationId, seq: number) =>
  ReadMarkers.use((markers) => markers.markDelivered(userId, id, seq))

const read = (userId: UserId, id: ConversationId, seq: number, force = false) =>
  ReadMarkers.use((markers) => markers.markRead(userId, id, { seq, force }))

const userSeq = (userId: UserId) =>
  Conversations.use((conversations) => Effect.map(conversations.memberships(userId), (mine) => mine.userSeq))

const seqs = (heard: ReadonlyArray<Published>, name: string) =>
  heard.flatMap(({ event, json }) => (event === name ? [JSON.parse(json).data.seq] : []))

const ephemeral = (heard: ReadonlyArray<Published>) => heard.filter(({ seq }) => seq === null)

const published = (heard: ReadonlyArray<Published>, count: number) =>
  until(Effect.sync(() => ephemeral(heard).length >= count))

/** The behaviour that every implementation of ReadMarkers and of Contacts must have. */
export const readMarkersContract = <E>(layer: Layer.Layer<Chat | Contacts, E>) => {
  withLayer(layer)("delivered markers", (it) => {
    it.effect("move forward up to the head, take no user seq, and are published to the members", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* Effect.forEach(Arr.range(1, 4), () => append(entryOf(id, a)))
        const heard = yield* listen(conversationSubject(id))
        const before = yield* userSeq(b)
        yield* deliver(b, id, 3)
        assert.deepInclude(yield* me(b, id), { deliveredSeq: 3, readSeq: 0, unreadCount: 4 })
        yield* deliver(b, id, 2)
        yield* deliver(b, id, Number.MAX_SAFE_INTEGER)
        yield* deliver(b, id, 5)
        assert.strictEqual((yield* me(b, id)).deliveredSeq, 5)
        yield* published(heard, 2)
        assert.deepStrictEqual(
          ephemeral(heard).map(({ except, json, seq }) => ({ except, seq, frame: JSON.parse(json) })),
          [3, 5].map((seq) => ({
            except: null,
            seq: null,
            frame: { event: "delivered.marked", conversationId: id, data: { userId: b, seq } }
          }))
        )
        assert.strictEqual(yield* userSeq(b), before)
        const { items } = yield* Members.use((members) => members.list(a, id, { limit: 10 }))
        assert.deepStrictEqual(
          new Map(items.map(({ deliveredSeq, user }) => [user.id, deliveredSeq])),
          new Map([
            [a, 5],
            [b, 5]
          ])
        )
      })
    )

    it.effect("a message that was read or sent is delivered, and stays so when it is marked as unread", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* Effect.forEach(Arr.range(1, 4), () => append(entryOf(id, a)))
        const heard = yield* listen(conversationSubject(id))
        assert.strictEqual((yield* me(a, id)).deliveredSeq, 5)
        yield* read(b, id, 4)
        assert.deepInclude(yield* me(b, id), { deliveredSeq: 4, readSeq: 4 })
        yield* deliver(b, id, 4)
        yield* read(b, id, 1, true)
        assert.deepInclude(yield* me(b, id), { deliveredSeq: 4, readSeq: 1 })
        yield* read(a, id, 2, true)
        assert.deepInclude(yield* me(a, id), { deliveredSeq: 5, readSeq: 2 })
        yield* deliver(b, id, 5)
        yield* published(heard, 4)
        assert.deepStrictEqual([seqs(heard, "read.marked"), seqs(heard, "delivered.marked")], [[4, 1, 2], [5]])
      })
    )

    it.effect("many marks at the same time each get their own answer", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const other = yield* groupOf(a, b)
        yield* Effect.forEach(Arr.range(1, 9), () => append(entryOf(id, a)))
        const all = { concurrency: "unbounded" } as const
        const stranger = yield* person
        const outcomes = yield* Effect.forEach(
          [4, 9, 2, 7],
          (seq) => Effect.all([deliver(b, id, seq), deliver(b, other, seq), problem(deliver(stranger, id, seq))], all),
          all
        )
        for (const [, , refused] of outcomes) assert.deepInclude(refused, { status: 404 })
        assert.strictEqual((yield* me(b, id)).deliveredSeq, 9)
        assert.strictEqual((yield* me(b, other)).deliveredSeq, 1)
      })
    )

    it.effect("of more than a hundred members are published only to the reader's own devices", () =>
      Effect.gen(function* () {
        const [a, b, ...others] = yield* people(101)
        assert.isDefined(a)
        assert.isDefined(b)
        const id = yield* groupOf(a, b, ...others)
        yield* append(entryOf(id, a))
        const [heard, own] = [yield* listen(conversationSubject(id)), yield* listen(userSubject(b))]
        yield* deliver(b, id, 1)
        yield* read(b, id, 2)
        assert.deepInclude(yield* me(b, id), { deliveredSeq: 2, readSeq: 2 })
        yield* until(Effect.sync(() => seqs(own, "read.marked").length === 1))
        assert.deepStrictEqual(
          ephemeral(own).flatMap(({ event, json }) => (event === "read.marked" ? [JSON.parse(json)] : [])),
          [{ event: "read.marked", conversationId: id, data: { userId: b, seq: 2 } }]
        )
        assert.deepStrictEqual(ephemeral(heard), [])
        yield* Backstage.use(({ leave }) => leave(id, others[0] ?? a))
        yield* append(entryOf(id, a))
        yield* deliver(b, id, 3)
        yield* read(b, id, 3)
        yield* published(heard, 2)
        assert.deepStrictEqual([seqs(heard, "delivered.marked"), seqs(heard, "read.marked")], [[3], [3]])
      })
    )

    it.effect("a stranger and a former member get the answer for an unknown conversation", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* Backstage.use(({ leave }) => leave(id, b))
        const unknown = yield* problem(deliver(a, nowhere, 1))
        assert.deepInclude(unknown, { status: 404 })
        assert.deepStrictEqual(yield* problem(deliver(b, id, 1)), unknown)
        assert.deepStrictEqual(yield* problem(deliver(yield* person, id, 1)), unknown)
      })
    )
  })

  withLayer(layer)("acquaintances", (it) => {
    it.effect("are the user and the current members of the user's conversations", () =>
      Effect.gen(function* () {
        const acquaintances = yield* Contacts
        const [a, b, c, d] = [yield* person, yield* person, yield* person, yield* person]
        const dm = yield* dmOf(a, b)
        yield* append(entryOf(dm, a))
        const group = yield* groupOf(b, c, a)
        yield* groupOf(c, d)
        const users = [a, b, c, d, UserId.make(nowhere)]
        const pairs = users.flatMap((viewerId) => users.map((userId) => ({ viewerId, userId })))
        const known = Effect.map(acquaintances.among([...pairs, ...pairs]), (found) => {
          assert.strictEqual(new Set(found.map(({ userId, viewerId }) => viewerId + userId)).size, found.length)
          return users.map((viewerId) =>
            users
              .filter((userId) => found.some((pair) => pair.viewerId === viewerId && pair.userId === userId))
              .map((userId) => "abcdx"[users.indexOf(userId)])
              .join("")
          )
        })
        assert.deepStrictEqual(yield* known, ["abc", "abc", "abcd", "cd", "x"])
        yield* Backstage.use(({ leave }) => leave(group, a))
        assert.deepStrictEqual(yield* known, ["ab", "abc", "bcd", "cd", "x"])
        assert.deepStrictEqual(yield* acquaintances.among([]), [])
      })
    )

    it.effect("are the two of a DM from its first message on, and neither of the two after a block by either", () =>
      Effect.gen(function* () {
        const contacts = yield* Contacts
        const blocks = yield* Blocks
        const [a, b] = [yield* person, yield* person]
        const known = Effect.map(
          contacts.among([
            { viewerId: a, userId: b },
            { viewerId: b, userId: a }
          ]),
          ({ length }) => length
        )
        const id = yield* dmOf(a, b)
        assert.strictEqual(yield* known, 0)
        yield* dmOf(b, a)
        assert.strictEqual(yield* known, 0, "opened by both, and empty")
        yield* append(entryOf(id, a))
        yield* groupOf(a, b)
        assert.strictEqual(yield* known, 2)
        for (const [one, other] of [
          [a, b],
          [b, a]
        ] as const) {
          yield* blocks.add(one, other)
          assert.strictEqual(yield* known, 0, "also in a group that they share")
          yield* blocks.remove(one, other)
          assert.strictEqual(yield* known, 2)
        }
      })
    )
  })
}
