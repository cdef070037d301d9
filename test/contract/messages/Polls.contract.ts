import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import { encodeEvent } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Polls } from "../../../src/services/messages/Polls.ts"
import {
  Backstage,
  type Chat,
  groupOf,
  listen,
  nowhere,
  outcome,
  person,
  post,
  problem,
  refused,
  twoOfUs,
  until,
  wholeLog
} from "../../support/Chat.ts"

const nothing = MessageId.make("00000000-0000-7000-8000-000000000000")

const lunch = { question: "Where?", options: ["here", "there", "nowhere"] }

const vote = (userId: UserId, id: ConversationId, messageId: MessageId, ...options: ReadonlyArray<number>) =>
  Polls.use((polls) => polls.vote(userId, id, messageId, options))

const poll = (id: ConversationId, userId: UserId, change: { multiple?: boolean; closesAt?: string } = {}) =>
  post(id, userId, { type: "poll", body: "", payload: { ...lunch, ...change } })

/** The contract of Polls, for every Layer. */
export const pollsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Polls", (it) => {
    it.effect("shows the counts of all votes, and to each user only their own vote", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, c)
        const { id: messageId, seq: messageSeq, votes } = yield* poll(id, a, { multiple: true })
        assert.deepStrictEqual(votes, [0, 0, 0])
        const heard = yield* listen(conversationSubject(id))
        yield* vote(a, id, messageId, 2, 0, 2)
        yield* vote(b, id, messageId, 2)
        yield* vote(a, id, messageId, 0, 2)
        yield* vote(a, id, messageId, 1)
        yield* vote(b, id, messageId)
        yield* vote(c, id, messageId)
        const log = yield* wholeLog(id)
        const event = "poll.voted"
        assert.deepStrictEqual(
          log.slice(2).map(({ actorId, data, event }) => ({ actorId, data, event })),
          [
            { event, actorId: a, data: { messageId, messageSeq, votes: [1, 0, 1] } },
            { event, actorId: b, data: { messageId, messageSeq, votes: [1, 0, 2] } },
            { event, actorId: a, data: { messageId, messageSeq, votes: [0, 1, 1] } },
            { event, actorId: b, data: { messageId, messageSeq, votes: [0, 1, 0] } }
          ]
        )
        const voted = () => heard.filter(({ event }) => event === "poll.voted")
        yield* until(Effect.sync(() => voted().length === 4))
        assert.deepStrictEqual(voted(), log.slice(2).map(encodeEvent))
        assert.deepInclude(yield* messages.get(a, id, messageId), { votes: [0, 1, 0], myVote: [1], changedSeq: 6 })
        const { items } = yield* messages.list(b, id, { limit: 10 })
        assert.deepInclude(items[0], { votes: [0, 1, 0], myVote: [] })
        assert.notInclude(JSON.stringify(log), "myVote")
      })
    )

    it.effect("a poll takes one option unless it is multiple, and only options that it has", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a)
        assert.strictEqual(yield* refused(vote(b, id, messageId, 0, 1)), "options")
        assert.strictEqual(yield* refused(vote(b, id, messageId, 3)), "options")
        const text = yield* post(id, a)
        assert.strictEqual(yield* outcome(vote(b, id, text.id, 0)), "not-a-poll")
        assert.strictEqual(yield* outcome(vote(b, id, nothing, 0)), "NotFound")
        assert.lengthOf(yield* wholeLog(id), 3)
      })
    )

    it.effect("a closed poll refuses a new vote, and accepts the same vote again", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a, { closesAt: "1970-01-01T00:00:00.000Z" })
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 0)), "poll-closed")
        assert.strictEqual(yield* outcome(vote(b, id, messageId)), "ok")
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )

    it.effect("a blocked user can neither vote nor take a vote back", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a)
        yield* vote(b, id, messageId, 1)
        yield* Blocks.use((blocks) => blocks.add(a, b))
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 0)), "Forbidden")
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 1)), "Forbidden")
        assert.strictEqual(yield* outcome(vote(b, id, messageId)), "Forbidden")
        assert.lengthOf(yield* wholeLog(id), 3)
      })
    )

    it.effect("deleting a poll erases its question and votes", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const { id: messageId } = yield* poll(id, a)
        yield* vote(b, id, messageId, 1)
        yield* MessageChanges.use((changes) => changes.delete(a, id, messageId))
        const tombstone = yield* messages.get(b, id, messageId)
        assert.deepInclude(tombstone, { type: "poll", body: "", payload: null, votes: null })
        assert.notProperty(tombstone, "myVote")
        assert.strictEqual(yield* outcome(vote(b, id, messageId, 0)), "NotFound")
      })
    )

    it.effect(
      "strangers, former members and members who do not see the poll get the same answer as for one that does not exist",
      () =>
        Effect.gen(function* () {
          const [a, b, late] = [yield* person, yield* person, yield* person]
          const id = yield* groupOf(a, b, late)
          const { id: messageId, seq } = yield* poll(id, a)
          yield* Backstage.use(({ leave }) => leave(id, b))
          yield* Backstage.use(({ seeFrom }) => seeFrom(id, late, seq + 1))
          const unknown = yield* problem(vote(a, nowhere, messageId, 0))
          assert.deepInclude(unknown, { status: 404 })
          for (const userId of [b, late, yield* person]) {
            assert.deepStrictEqual(yield* problem(vote(userId, id, messageId, 0)), unknown)
          }
        })
    )
  })
}
