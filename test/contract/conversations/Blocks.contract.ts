import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { Emoji } from "../../../src/domain/Emoji.ts"
import { ClientMessageId, type ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { conversationSubject, userSubject } from "../../../src/services/bus/Subjects.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Pins } from "../../../src/services/messages/Pins.ts"
import { Polls } from "../../../src/services/messages/Polls.ts"
import { Reactions } from "../../../src/services/messages/Reactions.ts"
import { Typing } from "../../../src/services/presence/Typing.ts"
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
  post,
  refused,
  twoOfUs,
  wholeLog
} from "../../support/Chat.ts"

const nobody = UserId.make("00000000-0000-7000-8000-000000000000")

const userSeq = (userId: UserId) =>
  Conversations.use((conversations) => Effect.map(conversations.memberships(userId), (mine) => mine.userSeq))

let texts = 0

const say = (userId: UserId, id: ConversationId) =>
  Messages.use((messages) =>
    messages.send(userId, id, { clientMessageId: ClientMessageId.make(`t${++texts}`), body: "x" })
  )

/** The behaviour that every implementation of Blocks must have, together with Messages and Conversations. */
export const blocksContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Blocks", (it) => {
    it.effect("keep the blocked user's messages out of the DM until the block is removed", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const { a, b, id } = yield* twoOfUs
        const before = entryOf(id, b)
        yield* append(before)
        yield* blocks.add(a, b)
        assert.strictEqual(yield* outcome(say(b, id)), "Forbidden")
        // Many appends at once go through the other SQL function.
        const refusals = yield* Effect.forEach(Arr.range(1, 5), () => outcome(append(entryOf(id, b))), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(refusals, Arr.replicate("Forbidden", 5))
        assert.lengthOf(yield* wholeLog(id), 2)
        // A retry of an earlier message is answered, and the history can be read.
        assert.isTrue((yield* append(again(before))).ack.duplicate)
        assert.lengthOf((yield* Messages.use((messages) => messages.list(b, id, { limit: 10 }))).items, 1)
        // The block works in one direction only.
        assert.strictEqual(yield* outcome(say(a, id)), "ok")
        yield* blocks.remove(a, b)
        assert.strictEqual(yield* outcome(say(b, id)), "ok")
        assert.lengthOf(yield* wholeLog(id), 4)
      })
    )

    it.effect("keep the blocked user from every change of the DM, except of what is the user's own", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const mine = yield* post(id, b, { body: "mine" })
        const other = yield* post(id, b)
        const theirs = yield* post(id, a)
        const thumb = Emoji.make("👍")
        const fire = Emoji.make("🔥")
        const poll = { question: "?", options: ["yes", "no"], multiple: false }
        const { id: pollId } = yield* post(id, a, { body: "", type: "poll", payload: poll })
        const changes = yield* MessageChanges
        const pins = yield* Pins
        const polls = yield* Polls
        const reactions = yield* Reactions
        const settings = yield* ConversationChanges
        yield* reactions.add(b, id, theirs.id, thumb)
        yield* pins.add(b, id, mine.id)
        yield* polls.vote(b, id, pollId, [0])
        yield* Blocks.use((blocks) => blocks.add(a, b))
        const before = (yield* wholeLog(id)).length
        const forwarded = { conversationId: id, clientMessageId: ClientMessageId.make("forwarded") }
        const refusals = yield* Effect.forEach(
          [
            pins.add(b, id, theirs.id),
            pins.add(b, id, mine.id),
            pins.remove(b, id, mine.id),
            pins.remove(b, id, theirs.id),
            reactions.add(b, id, theirs.id, fire),
            reactions.add(b, id, theirs.id, thumb),
            reactions.remove(b, id, theirs.id, thumb),
            reactions.remove(b, id, theirs.id, fire),
            polls.vote(b, id, pollId, [1]),
            polls.vote(b, id, pollId, []),
            changes.edit(b, id, mine.id, { body: "edited" }),
            changes.edit(b, id, mine.id, { body: "mine" }),
            changes.forward(b, id, theirs.id, forwarded),
            settings.update(b, id, { messageLifetimeSeconds: 5 }),
            settings.update(b, id, { messageLifetimeSeconds: null }),
            settings.update(b, id, { title: "ours" })
          ],
          outcome
        )
        assert.deepStrictEqual(refusals, Arr.replicate("Forbidden", refusals.length))
        assert.strictEqual((yield* wholeLog(id)).length, before)
        const allowed = yield* Effect.forEach(
          [
            changes.delete(b, id, mine.id),
            changes.hide(b, id, other.id),
            settings.settings(b, id, { archived: true }),
            ReadMarkers.use((markers) => markers.markRead(b, id, { seq: 3 })),
            // The one who blocks may still do everything.
            pins.add(a, id, theirs.id),
            settings.update(a, id, { messageLifetimeSeconds: 60 })
          ],
          outcome
        )
        assert.deepStrictEqual(allowed, Arr.replicate("ok", allowed.length))
        yield* Blocks.use((blocks) => blocks.remove(a, b))
        assert.strictEqual(yield* outcome(pins.remove(b, id, theirs.id)), "ok")
      })
    )

    it.effect("publish no markers of the blocked user to the other one", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const markers = yield* ReadMarkers
        yield* append(entryOf(id, a))
        yield* append(entryOf(id, a))
        const heard = yield* listen(conversationSubject(id))
        const heardByDevices = yield* listen(userSubject(b))
        yield* Blocks.use((blocks) => blocks.add(a, b))
        yield* markers.markDelivered(b, id, 2)
        yield* markers.markRead(b, id, { seq: 2 })
        const marks = () => heard.filter(({ event }) => event.endsWith(".marked"))
        assert.lengthOf(marks(), 0)
        // The user's own devices get it all the same.
        assert.deepStrictEqual(
          heardByDevices.map(({ event }) => event),
          ["read.marked"]
        )
        yield* Blocks.use((blocks) => blocks.remove(a, b))
        yield* markers.markRead(b, id, { seq: 3 })
        assert.deepStrictEqual(
          marks().map(({ event }) => event),
          ["read.marked"]
        )
      })
    )

    it.effect("apply to a DM that the one who blocks creates later, and to no group", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const [a, b] = [yield* person, yield* person]
        yield* blocks.add(a, b)
        assert.strictEqual(yield* outcome(dmOf(b, a)), "Forbidden")
        const id = yield* dmOf(a, b)
        assert.strictEqual(yield* outcome(say(b, id)), "Forbidden")
        assert.strictEqual(yield* outcome(say(a, id)), "ok")
        assert.strictEqual(yield* dmOf(b, a), id, "it shows to the blocked user with its first message")
        const group = yield* groupOf(a, b)
        assert.strictEqual(yield* outcome(say(b, group)), "ok")
      })
    )

    it.effect("apply to a DM that is created at the same moment", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        for (const _ of Arr.range(1, 10)) {
          const [a, b] = [yield* person, yield* person]
          const [opened] = yield* Effect.all([outcome(dmOf(b, a)), blocks.add(a, b)], { concurrency: "unbounded" })
          const id = yield* dmOf(a, b)
          assert.include(["ok", "Forbidden"], opened)
          assert.strictEqual(yield* outcome(say(b, id)), "Forbidden")
        }
      })
    )

    it.effect("keep the blocked user from adding the one who blocks to a group", () =>
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
        // A retry is answered with the existing group.
        yield* blocks.add(a, b)
        assert.strictEqual((yield* make).conversation.id, conversation.id)
      })
    )

    it.effect("publish no typing of the blocked user", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const heard = yield* listen(conversationSubject(id))
        yield* Blocks.use((blocks) => blocks.add(a, b))
        yield* Typing.use((typing) => typing.start(b, id))
        yield* Typing.use((typing) => typing.start(a, id))
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

    it.effect("exist for known users only, and not for oneself", () =>
      Effect.gen(function* () {
        const blocks = yield* Blocks
        const a = yield* person
        assert.strictEqual(yield* refused(blocks.add(a, a)), "userId")
        assert.strictEqual(yield* outcome(blocks.add(a, nobody)), "NotFound")
        yield* blocks.remove(a, nobody)
        assert.deepStrictEqual(yield* blocks.list(a, { limit: 10 }), { items: [] })
      })
    )

    it.effect("are listed page by page for the user who made them", () =>
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
