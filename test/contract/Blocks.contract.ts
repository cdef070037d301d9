import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { ClientMessageId, type ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Blocks } from "../../src/services/Blocks.ts"
import { Conversations } from "../../src/services/Conversations.ts"
import { Messages } from "../../src/services/Messages.ts"
import { conversationSubject } from "../../src/services/PubSub.ts"
import {
  again,
  append,
  type Chat,
  cursorWith,
  dmOf,
  entryOf,
  groupOf,
  listen,
  outcome,
  people,
  person,
  refused,
  twoOfUs,
  wholeLog
} from "../support/Chat.ts"

const nobody = UserId.make("00000000-0000-7000-8000-000000000000")

const userSeq = (userId: UserId) =>
  Conversations.use((conversations) => Effect.map(conversations.places(userId), (places) => places.userSeq))

let texts = 0

const say = (userId: UserId, id: ConversationId) =>
  Messages.use((messages) =>
    messages.send(userId, id, { clientMessageId: ClientMessageId.make(`t${++texts}`), body: "x" })
  )

/** What every Layer of Blocks keeps, with those of Messages and Conversations around it. */
export const blocksContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Blocks", (it) => {
    it.effect("keep the messages of who is blocked out of the DM, until unblocked", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const { a, b, id } = yield* twoOfUs
        const before = entryOf(id, b)
        yield* append(before)
        yield* blocks.add(a, b)
        assert.strictEqual(yield* outcome(say(b, id)), "Forbidden")
        // Many at once go through the other function.
        const refusals = yield* Effect.forEach(Arr.range(1, 5), () => outcome(append(entryOf(id, b))), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(refusals, Arr.replicate("Forbidden", 5))
        assert.lengthOf(yield* wholeLog(id), 2)
        // What was stored before is answered again, and what is there can be read.
        assert.isTrue((yield* append(again(before))).ack.duplicate)
        assert.lengthOf((yield* Messages.use((messages) => messages.list(b, id, { limit: 10 }))).items, 1)
        // It is the other one's wish alone.
        assert.strictEqual(yield* outcome(say(a, id)), "ok")
        yield* blocks.remove(a, b)
        assert.strictEqual(yield* outcome(say(b, id)), "ok")
        assert.lengthOf(yield* wholeLog(id), 4)
      })
    )

    it.effect("hold in a DM that is made later, whoever makes it, and in no group", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        for (const first of ["blocked", "blocker"]) {
          const [a, b] = [yield* person, yield* person]
          yield* blocks.add(a, b)
          const id = first === "blocked" ? yield* dmOf(b, a) : yield* dmOf(a, b)
          assert.strictEqual(yield* outcome(say(b, id)), "Forbidden")
          assert.strictEqual(yield* outcome(say(a, id)), "ok")
          const group = yield* groupOf(a, b)
          assert.strictEqual(yield* outcome(say(b, group)), "ok")
        }
      })
    )

    it.effect("hold in a DM that is made at the same moment", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        for (const _ of Arr.range(1, 10)) {
          const [a, b] = [yield* person, yield* person]
          const [id] = yield* Effect.all([dmOf(b, a), blocks.add(a, b)], { concurrency: "unbounded" })
          assert.strictEqual(yield* outcome(say(b, id)), "Forbidden")
        }
      })
    )

    it.effect("let nobody be put into a group by whom he has blocked", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const conversations = yield* Conversations
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const make = conversations.create(b, { kind: "group", title: "x", memberIds: [c, a] }, "key")
        yield* blocks.add(a, b)
        assert.strictEqual(yield* outcome(make), "Forbidden")
        assert.deepStrictEqual((yield* conversations.list(c, { limit: 10 })).items, [])
        yield* blocks.remove(a, b)
        const { conversation } = yield* make
        // A retry is answered with what was made.
        yield* blocks.add(a, b)
        assert.strictEqual((yield* make).conversation.id, conversation.id)
      })
    )

    it.effect("tell nobody that the blocked one is typing", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const heard = yield* listen(conversationSubject(id))
        yield* Blocks.use((blocks) => blocks.add(a, b))
        yield* Conversations.use((conversations) => conversations.typing(b, id, "typing.started"))
        yield* Conversations.use((conversations) => conversations.typing(a, id, "typing.started"))
        assert.deepStrictEqual(
          heard.map(({ except }) => except),
          [a]
        )
      })
    )

    it.effect("count once as a change of my own state, and not at all when they change nothing", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const [a, b] = [yield* person, yield* person]
        yield* Effect.replicateEffect(blocks.add(a, b), 5, { concurrency: "unbounded" })
        assert.strictEqual(yield* userSeq(a), 1)
        yield* Effect.replicateEffect(blocks.remove(a, b), 5, { concurrency: "unbounded" })
        assert.strictEqual(yield* userSeq(a), 2)
        assert.strictEqual(yield* userSeq(b), 0)
      })
    )

    it.effect("are of users who are there, and not of oneself", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const a = yield* person
        assert.strictEqual(yield* refused(blocks.add(a, a)), "userId")
        assert.strictEqual(yield* outcome(blocks.add(a, nobody)), "NotFound")
        yield* blocks.remove(a, nobody)
        assert.deepStrictEqual(yield* blocks.list(a, { limit: 10 }), { items: [] })
      })
    )

    it.effect("are listed for who made them, page by page", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const a = yield* person
        const others = yield* people(5)
        yield* Effect.forEach(others, (id) => blocks.add(a, id))
        yield* blocks.add(others[0] ?? nobody, a)
        const first = yield* blocks.list(a, { limit: 3 })
        assert.lengthOf(first.items, 3)
        const rest = yield* blocks.list(a, { limit: 3, cursor: first.nextCursor })
        assert.isUndefined(rest.nextCursor)
        const listed = [...first.items, ...rest.items].map(({ user }) => user.id)
        assert.deepStrictEqual([...listed].sort(), [...others].sort())
        assert.strictEqual(yield* refused(blocks.list(a, { limit: 0 })), "limit")
        for (const cursor of ["x", cursorWith({ at: 9e15, id: a }), cursorWith({ at: -8.64e15, id: a })])
          assert.strictEqual(yield* refused(blocks.list(a, { limit: 1, cursor })), "cursor")
      })
    )
  })
}
