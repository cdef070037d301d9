import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import type { Message } from "../../../src/domain/Message.ts"
import { encodeEvent } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject, userSubject } from "../../../src/services/bus/Subjects.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Threads } from "../../../src/services/messages/Threads.ts"
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

const reply = (id: ConversationId, userId: UserId, threadRoot: MessageId, body?: string) =>
  post(id, userId, { threadRoot, ...(body !== undefined && { body }) })

const page = (userId: UserId, id: ConversationId, root: MessageId, place: { before?: number; after?: number } = {}) =>
  Threads.use((threads) => threads.list(userId, id, root, { ...place, limit: 10 }))

const mark = (userId: UserId, id: ConversationId, root: MessageId, seq: number) =>
  Threads.use((threads) => threads.mark(userId, id, root, seq))

const me = (userId: UserId, id: ConversationId) =>
  Conversations.use((conversations) => Effect.map(conversations.get(userId, id), (conversation) => conversation.me))

const seqs = (messages: ReadonlyArray<Message>) => messages.map(({ seq }) => seq)

/** The contract of threads and of replies in the log, for every Layer. */
export const threadsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("threads", (it) => {
    it.effect("a reply takes its seq in the log, changes its root, and stays out of the conversation's page", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const root = yield* post(id, a)
        const heard = yield* listen(conversationSubject(id))
        const first = yield* reply(id, b, root.id)
        const second = yield* reply(id, a, root.id)
        assert.deepInclude(first, { seq: 3, threadRootId: root.id, threadReplyCount: 0 })
        const now = yield* messages.get(a, id, root.id)
        assert.deepStrictEqual(now, { ...root, threadReplyCount: 2, changedSeq: second.seq })

        const log = yield* wholeLog(id)
        assert.deepStrictEqual(log[2]?.data, {
          message: first,
          threadRoot: { messageId: root.id, seq: 2, threadReplyCount: 1 }
        })
        assert.deepStrictEqual(log[3]?.data, {
          message: second,
          threadRoot: { messageId: root.id, seq: 2, threadReplyCount: 2 }
        })
        // The root may be published after its acknowledgement.
        const replies = () => heard.filter(({ seq }) => seq !== null && seq > root.seq)
        yield* until(Effect.sync(() => replies().length === 2))
        assert.deepStrictEqual(
          replies(),
          log.slice(2).map((event) => encodeEvent(event)),
          "live and replay are the same bytes"
        )

        const conversation = yield* Conversations.use((conversations) => conversations.get(b, id))
        assert.deepStrictEqual(conversation.lastMessage, now)
        assert.deepInclude(conversation.me, { unreadCount: 1, readSeq: 0 })
        assert.strictEqual(conversation.lastActivityAt, second.createdAt)
        assert.deepStrictEqual(seqs((yield* messages.list(b, id, { limit: 10 })).items), [2])
        assert.deepStrictEqual(seqs((yield* messages.list(b, id, { limit: 10, threads: true })).items), [2, 3, 4])
      })
    )

    it.effect("a reply to a reply belongs to the root's thread; a reply to an unknown message is refused", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const elsewhere = yield* groupOf(a, b)
        const foreign = yield* post(elsewhere, a)
        const root = yield* post(id, a)
        const first = yield* reply(id, b, root.id)
        assert.strictEqual((yield* reply(id, b, first.id)).threadRootId, root.id)
        for (const unknown of [nothing, foreign.id]) {
          assert.strictEqual(yield* outcome(reply(id, a, unknown)), "NotFound")
          assert.strictEqual(yield* outcome(page(a, id, unknown)), "NotFound")
          assert.strictEqual(yield* outcome(mark(a, id, unknown, 1)), "NotFound")
        }
        assert.lengthOf(yield* wholeLog(id), 4)
        // A reply in a thread may itself reply to a message, in the thread or outside of it.
        const both = yield* post(id, a, { threadRoot: root.id, replyTo: first.id })
        assert.deepInclude(both.replyTo, { messageId: first.id })
      })
    )

    it.effect("a thread is read by its root or any reply, in pages by seq", () =>
      Effect.gen(function* () {
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, c)
        const root = yield* post(id, a)
        const empty = { participants: [], readSeq: 2, unreadCount: 0, items: [], hasBefore: false, hasAfter: false }
        assert.deepStrictEqual(yield* page(a, id, root.id), { root, replyCount: 0, ...empty })
        const replies = [yield* reply(id, b, root.id)]
        yield* post(id, b)
        replies.push(yield* reply(id, c, root.id), yield* reply(id, b, root.id))
        const { items, root: shown, ...rest } = yield* page(a, id, replies[1]?.id ?? root.id)
        assert.deepStrictEqual(items, replies)
        assert.deepInclude(shown, { id: root.id, threadReplyCount: 3 })
        assert.deepStrictEqual(rest, {
          replyCount: 3,
          participants: [b, c],
          readSeq: 2,
          unreadCount: 3,
          hasBefore: false,
          hasAfter: false
        })
        const before = yield* Threads.use((threads) => threads.list(a, id, root.id, { before: 6, limit: 1 }))
        assert.deepInclude(before, { items: replies.slice(1, 2), hasBefore: true, hasAfter: true })
        assert.deepStrictEqual(seqs((yield* page(a, id, root.id, { after: 3 })).items), [5, 6])
        const list = (query: { limit: number; before?: number; after?: number }) =>
          refused(Threads.use((threads) => threads.list(a, id, root.id, query)))
        assert.strictEqual(yield* list({ limit: 0 }), "limit")
        assert.strictEqual(yield* list({ limit: 1, before: 1, after: 1 }), "before")
      })
    )

    it.effect("each thread has a marker of its own, which replying moves and reading the conversation does not", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const { a, b, id } = yield* twoOfUs
        const root = yield* post(id, a)
        const other = yield* post(id, a)
        const unseen = yield* post(id, a)
        yield* reply(id, a, root.id)
        yield* ReadMarkers.use((markers) => markers.markRead(b, id, { seq: other.seq }))
        const mine = yield* reply(id, b, root.id)
        yield* reply(id, a, root.id)
        assert.deepInclude(yield* page(b, id, root.id), { readSeq: mine.seq, unreadCount: 1 })
        assert.deepInclude(yield* me(b, id), { readSeq: other.seq, unreadCount: 1 }, `${unseen.seq} is unread`)
        yield* ReadMarkers.use((markers) => markers.markRead(b, id, { seq: 100 }))
        assert.deepInclude(yield* page(b, id, root.id), { readSeq: mine.seq, unreadCount: 1 })
        const { userSeq } = yield* conversations.memberships(b)
        const heard = yield* listen(userSubject(b))
        yield* mark(b, id, mine.id, 3)
        assert.strictEqual((yield* conversations.memberships(b)).userSeq, userSeq)
        yield* mark(b, id, root.id, Number.MAX_SAFE_INTEGER)
        yield* mark(b, id, root.id, Number.MAX_SAFE_INTEGER)
        assert.deepInclude(yield* page(b, id, root.id), { readSeq: 7, unreadCount: 0 })
        assert.strictEqual((yield* conversations.memberships(b)).userSeq, userSeq + 1)
        yield* until(Effect.sync(() => heard.length > 0))
        const published = heard.map(({ json }) => JSON.parse(json))
        const settings = { event: "conversation.settings", conversationId: id, data: { me: yield* me(b, id) } }
        assert.deepStrictEqual(published, [settings])
        assert.deepInclude(yield* page(b, id, other.id), { readSeq: other.seq })
      })
    )

    it.effect("a root from before the member's history is hidden, and found by the replies that the member sees", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const [a, b, late] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, late)
        const root = yield* post(id, a)
        const silent = yield* post(id, a)
        const early = yield* reply(id, b, root.id)
        const seen = yield* reply(id, a, root.id)
        yield* Backstage.use(({ seeFrom }) => seeFrom(id, late, seen.seq))
        const hidden = {
          messageId: root.id,
          seq: 2,
          senderId: null,
          excerpt: "",
          deleted: false,
          hidden: true
        } as const
        for (const name of [root.id, seen.id]) {
          assert.deepStrictEqual(yield* page(late, id, name), {
            root: hidden,
            replyCount: 1,
            participants: [a],
            readSeq: 2,
            unreadCount: 1,
            items: [seen],
            hasBefore: false,
            hasAfter: false
          })
        }
        const { items } = yield* log.events({ conversationId: id, userId: late, after: 0, limit: 10 })
        assert.deepStrictEqual(
          items.map(({ data }) => data),
          [{ message: seen, threadRoot: hidden }]
        )
        for (const unseen of [silent.id, early.id]) {
          assert.strictEqual(yield* outcome(page(late, id, unseen)), "NotFound")
          assert.strictEqual(yield* outcome(reply(id, late, unseen)), "NotFound")
        }
        assert.strictEqual((yield* reply(id, late, root.id)).threadRootId, root.id)
        assert.strictEqual((yield* reply(id, late, seen.id)).threadRootId, root.id)
      })
    )

    it.effect("a root that is deleted, or hidden by the user, keeps its thread", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const { a, b, id } = yield* twoOfUs
        const root = yield* post(id, a)
        const first = yield* reply(id, b, root.id)
        yield* changes.hide(b, id, root.id)
        const shown = yield* Messages.use((messages) => messages.get(b, id, root.id))
        assert.deepInclude(yield* page(b, id, first.id), { root: shown, replyCount: 1, items: [first] })
        yield* changes.delete(a, id, root.id)
        const second = yield* reply(id, b, root.id)
        const { items, root: tombstone } = yield* page(a, id, root.id)
        assert.deepInclude(tombstone, { id: root.id, body: "", threadReplyCount: 2, changedSeq: second.seq })
        assert.deepStrictEqual(items, [first, second])
        yield* changes.delete(b, id, first.id)
        yield* changes.hide(a, id, second.id)
        const rest = yield* page(a, id, root.id)
        assert.deepStrictEqual([seqs(rest.items), rest.replyCount, rest.unreadCount], [[first.seq], 2, 0])
      })
    )

    it.effect("strangers and former members get the same answer as for something that does not exist", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const root = yield* post(id, a)
        yield* Backstage.use(({ leave }) => leave(id, b))
        const answers = (conversationId: ConversationId, userId: UserId) =>
          Effect.all([
            problem(page(userId, conversationId, root.id)),
            problem(mark(userId, conversationId, root.id, 1)),
            problem(reply(conversationId, userId, root.id))
          ])
        const unknown = yield* answers(nowhere, a)
        for (const answer of unknown) assert.deepInclude(answer, { status: 404 })
        assert.deepStrictEqual(yield* answers(id, yield* person), unknown)
        assert.deepStrictEqual(yield* answers(id, b), unknown)
      })
    )
  })
}
