import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Emoji } from "../../src/domain/Emoji.ts"
import { ClientMessageId, type ConversationId, MessageId, type UserId } from "../../src/domain/Ids.ts"
import { Conversations } from "../../src/services/Conversations.ts"
import { Log } from "../../src/services/Log.ts"
import { MessageChanges } from "../../src/services/MessageChanges.ts"
import { Messages } from "../../src/services/Messages.ts"
import { Pins } from "../../src/services/Pins.ts"
import { Polls } from "../../src/services/Polls.ts"
import { conversationSubject, userSubject } from "../../src/services/PubSub.ts"
import { Reactions } from "../../src/services/Reactions.ts"
import { Threads } from "../../src/services/Threads.ts"
import { Users } from "../../src/services/Users.ts"
import {
  again,
  append,
  Backstage,
  type Chat,
  dmOf,
  entryOf,
  groupOf,
  listen,
  nowhere,
  outcome,
  person,
  post,
  problem,
  refused,
  store,
  twoOfUs,
  until,
  wholeLog
} from "../support/Chat.ts"

const nothing = MessageId.make("00000000-0000-7000-8000-000000000000")
const emoji = Schema.decodeSync(Emoji)
const all = { limit: 50 }
const many = { concurrency: "unbounded" } as const

/** A new message's id. */
const say = (id: ConversationId, senderId: UserId, body?: string) =>
  Effect.map(store(entryOf(id, senderId, body === undefined ? {} : { body })), ({ message }) => message.id)

/** The event at the end of the log, as it was published too, with how long the log is. */
const last = Effect.fnUntraced(function* (id: ConversationId) {
  const events = yield* wholeLog(id)
  return { head: events.length, event: events.at(-1) }
})

const head = (id: ConversationId) => Effect.map(wholeLog(id), (events) => events.length)

type Do = (
  userId: UserId,
  conversationId: ConversationId,
  messageId: MessageId
) => Effect.Effect<unknown, { readonly _tag: string; readonly code?: string }>

/** Everything that can be done to a message that is there. */
const operations = Effect.gen(function* () {
  const changes = yield* MessageChanges
  const reactions = yield* Reactions
  const pins = yield* Pins
  const conversations = yield* Conversations
  const toMyself = Effect.fnUntraced(function* (...[userId, ...message]: Parameters<Do>) {
    const { conversation } = yield* conversations.create(userId, { kind: "dm", userId })
    const to = { conversationId: conversation.id, clientMessageId: ClientMessageId.make("copy") }
    return yield* changes.forward(userId, ...message, to)
  })
  const each: Readonly<Record<string, Do>> = {
    edit: (...args) => changes.edit(...args, { body: "edited" }),
    remove: changes.remove,
    hide: changes.hide,
    revisions: (...args) => changes.revisions(...args, all),
    forward: toMyself,
    react: (...args) => reactions.add(...args, emoji("👍")),
    unreact: (...args) => reactions.remove(...args, emoji("👍")),
    pin: pins.add,
    unpin: pins.remove
  }
  return each
})

/** What MessageChanges, Reactions and Pins keep on every Layer. */
export const messageChangesContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("changes of messages", (it) => {
    it.effect("are open to those alone who see the message, and leave no trace of it to others", () =>
      Effect.gen(function* () {
        const backstage = yield* Backstage
        const { a, b, id } = yield* twoOfUs
        const [stranger, gone] = [yield* person, yield* person]
        const group = yield* groupOf(a, b, gone)
        const early = yield* say(group, a)
        const seen = yield* say(group, a)
        yield* backstage.leave(group, gone)
        yield* backstage.seeFrom(group, b, 3)
        for (const [name, act] of Object.entries(yield* operations)) {
          const unknown = yield* problem(act(a, group, nothing))
          assert.deepInclude(unknown, { detail: "There is no such message" }, name)
          const answers = [
            yield* problem(act(stranger, group, seen)),
            yield* problem(act(gone, group, seen)),
            yield* problem(act(b, group, early)),
            yield* problem(act(a, id, seen)),
            yield* problem(act(a, nowhere, seen))
          ]
          for (const answer of answers) assert.deepStrictEqual(answer, unknown, name)
        }
        assert.strictEqual(yield* head(group), 3)
      })
    )

    it.effect("editing one's own message keeps what it said before, and tells everybody", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        const entry = entryOf(id, a, { body: "first" })
        const { message } = yield* store(entry)
        const reply = yield* store(entryOf(id, b, { replyTo: message.id }))
        const heard = yield* listen(conversationSubject(id))
        const edited = yield* changes.edit(a, id, message.id, { body: "second" })
        assert.deepInclude(edited, { id: message.id, seq: 2, body: "second", revision: 2, changedSeq: 4 })
        assert.isNotNull(edited.editedAt)
        const { event } = yield* last(id)
        assert.deepInclude(event, { event: "message.edited", seq: 4, actorId: a, data: { message: edited } })
        const published = () => heard.find(({ seq }) => seq === 4)
        yield* until(Effect.sync(() => published() !== undefined))
        assert.deepStrictEqual<unknown>(JSON.parse(published()?.json ?? ""), event)
        assert.deepStrictEqual(yield* log.message(id, b, message.id), edited)
        assert.strictEqual((yield* log.message(id, b, reply.message.id)).replyTo?.excerpt, "second")
        assert.deepInclude((yield* append(again(entry))).ack, { messageId: message.id, duplicate: true })
        yield* changes.edit(a, id, message.id, { body: "third" })
        const { items } = yield* changes.revisions(b, id, message.id, all)
        assert.deepStrictEqual(
          items.map(({ body, revision }) => [revision, body]),
          [
            [3, "third"],
            [2, "second"],
            [1, "first"]
          ]
        )
        assert.strictEqual(items[2]?.createdAt, message.createdAt)
        assert.strictEqual(items[1]?.createdAt, edited.editedAt)
        const first = yield* changes.revisions(b, id, message.id, { limit: 2 })
        const next = yield* changes.revisions(b, id, message.id, { limit: 2, cursor: first.nextCursor })
        assert.deepStrictEqual([...first.items, ...next.items], items)
        assert.notProperty(next, "nextCursor")
      })
    )

    it.effect("editing is refused for others' messages and bad bodies, and the same body is no change", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const owner = yield* person
        const member = yield* person
        const id = yield* groupOf(owner, member)
        const messageId = yield* say(id, member, "same")
        assert.strictEqual(yield* outcome(changes.edit(owner, id, messageId, { body: "other" })), "Forbidden")
        assert.strictEqual(yield* refused(changes.edit(member, id, messageId, { body: " " })), "body")
        assert.strictEqual(yield* refused(changes.edit(member, id, messageId, { body: "x".repeat(8001) })), "body")
        assert.deepInclude(yield* changes.edit(member, id, messageId, { body: "same" }), {
          revision: 1,
          editedAt: null
        })
        assert.strictEqual(yield* head(id), 2)
      })
    )

    it.effect("an edit mentions whom its new body names, and nobody else any more", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const conversations = yield* Conversations
        const users = yield* Users
        const { a, b, id } = yield* twoOfUs
        const { username } = yield* users.get(b)
        const counted = Effect.map(conversations.get(b, id), ({ me }) => me.mentionCount)
        const message = yield* post(id, a, { body: "nobody" })
        assert.deepStrictEqual((yield* changes.edit(a, id, message.id, { body: `@${username}!` })).mentions, [b])
        assert.strictEqual(yield* counted, 1)
        assert.deepStrictEqual((yield* changes.edit(a, id, message.id, { body: "nobody now" })).mentions, [])
        assert.strictEqual(yield* counted, 0)
        yield* changes.edit(a, id, message.id, { body: `@${username}` })
        yield* changes.remove(a, id, message.id)
        assert.strictEqual(yield* counted, 0)
        assert.deepInclude(yield* Messages.use((messages) => messages.get(b, id, message.id)), { mentions: [] })
      })
    )

    it.effect("of a message with a payload the body may be empty, and deleting takes both and the votes", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const payload = { question: "When?", options: ["now", "later"] }
        const poll = yield* post(id, a, { type: "poll", body: "Well?", payload })
        yield* Polls.use((polls) => polls.vote(b, id, poll.id, [1]))
        assert.deepInclude(yield* changes.edit(a, id, poll.id, { body: "" }), { body: "", votes: [0, 1], payload })
        const to = { conversationId: yield* dmOf(b, b), clientMessageId: ClientMessageId.make("copy") }
        const copy = yield* changes.forward(b, id, poll.id, to)
        assert.deepInclude(copy.message, { type: "poll", payload, votes: [0, 0] })
        yield* changes.remove(a, id, poll.id)
        assert.deepInclude(yield* messages.get(b, id, poll.id), { type: "poll", payload: null, votes: null })
        assert.notInclude(JSON.stringify(yield* wholeLog(id)), "When?")
      })
    )

    it.effect("deleting leaves a tombstone: everything that was said is gone", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const conversations = yield* Conversations
        const reactions = yield* Reactions
        const pins = yield* Pins
        const log = yield* Log
        const { a, b, id } = yield* twoOfUs
        const entry = entryOf(id, a, { body: "a secret" })
        const { message } = yield* store(entry)
        const reply = yield* store(entryOf(id, a, { replyTo: message.id }))
        yield* changes.edit(a, id, message.id, { body: "another secret" })
        yield* reactions.add(b, id, message.id, emoji("👍"))
        yield* pins.add(b, id, message.id)
        assert.strictEqual((yield* conversations.get(b, id)).me.unreadCount, 2)
        yield* changes.remove(a, id, message.id)
        const tombstone = yield* log.message(id, b, message.id)
        assert.deepInclude(tombstone, { seq: 2, body: "", reactions: [], pinned: false, changedSeq: 7 })
        assert.isNotNull(tombstone.deletedAt)
        const { event } = yield* last(id)
        assert.deepInclude(event, {
          event: "message.deleted",
          seq: 7,
          actorId: a,
          data: { messageId: message.id, messageSeq: 2 }
        })
        assert.notInclude(JSON.stringify(yield* wholeLog(id)), "secret")
        const { replyTo } = yield* log.message(id, b, reply.message.id)
        assert.deepInclude(replyTo, { messageId: message.id, excerpt: "", deleted: true })
        assert.deepStrictEqual(yield* changes.revisions(a, id, message.id, all), { items: [] })
        assert.deepStrictEqual(yield* pins.list(a, id, all), { items: [] })
        assert.strictEqual((yield* conversations.get(b, id)).me.unreadCount, 1)
        yield* changes.remove(a, id, message.id)
        yield* reactions.remove(b, id, message.id, emoji("👍"))
        yield* pins.remove(b, id, message.id)
        for (const again of ["edit", "react", "pin"])
          assert.strictEqual(
            yield* outcome((yield* operations)[again]?.(a, id, message.id) ?? Effect.void),
            "message-deleted"
          )
        assert.deepInclude((yield* append(again(entry))).ack, { messageId: message.id, duplicate: true })
        assert.strictEqual(yield* head(id), 7)
      })
    )

    it.effect("owners delete everybody's messages, admins those of members, and members their own", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const backstage = yield* Backstage
        const [owner, admin, otherAdmin, member, other, gone] = [
          yield* person,
          yield* person,
          yield* person,
          yield* person,
          yield* person,
          yield* person
        ]
        const id = yield* groupOf(owner, admin, otherAdmin, member, other, gone)
        yield* backstage.setRole(id, admin, "admin")
        yield* backstage.setRole(id, otherAdmin, "admin")
        yield* backstage.setRole(id, gone, "admin")
        const may = Effect.fnUntraced(function* (actor: UserId, sender: UserId, leaves = false) {
          const messageId = yield* say(id, sender)
          if (leaves) yield* backstage.leave(id, sender)
          return yield* outcome(changes.remove(actor, id, messageId))
        })
        assert.strictEqual(yield* may(owner, admin), "ok")
        assert.strictEqual(yield* may(owner, member), "ok")
        assert.strictEqual(yield* may(admin, admin), "ok")
        assert.strictEqual(yield* may(admin, member), "ok")
        assert.strictEqual(yield* may(admin, otherAdmin), "Forbidden")
        assert.strictEqual(yield* may(admin, owner), "Forbidden")
        assert.strictEqual(yield* may(member, member), "ok")
        assert.strictEqual(yield* may(member, other), "Forbidden")
        assert.strictEqual(yield* may(admin, gone, true), "ok", "he is no admin any more")
        const dm = yield* twoOfUs
        const theirs = yield* say(dm.id, dm.b)
        assert.strictEqual(yield* outcome(changes.remove(dm.a, dm.id, theirs)), "Forbidden")
      })
    )

    it.effect("hiding takes a message out of one's own history alone", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const conversations = yield* Conversations
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const bodies = (userId: UserId, query: { before?: number; limit: number }) =>
          Effect.map(messages.list(userId, id, query), ({ hasAfter, hasBefore, items }) => ({
            bodies: items.map(({ body }) => body).join(" "),
            hasBefore,
            hasAfter
          }))
        const ids = yield* Effect.forEach(["1", "2", "3"], (body) => say(id, a, body))
        const [first, second, third] = ids
        if (first === undefined || second === undefined || third === undefined) return yield* Effect.die("no message")
        const before = yield* conversations.places(b)
        const devices = yield* listen(userSubject(b))
        yield* changes.hide(b, id, third)
        yield* changes.hide(b, id, first)
        const after = yield* conversations.places(b)
        assert.strictEqual(after.userSeq, before.userSeq + 2)
        assert.strictEqual(after.places.find((place) => place.conversationId === id)?.userSeq, after.userSeq)
        yield* changes.hide(b, id, first)
        assert.strictEqual((yield* conversations.places(b)).userSeq, after.userSeq, "it was hidden already")
        yield* until(Effect.sync(() => devices.length >= 2))
        assert.deepStrictEqual(
          devices.map(({ event }) => event),
          ["conversation.settings", "conversation.settings"]
        )
        assert.deepStrictEqual(yield* bodies(b, { limit: 2 }), { bodies: "2", hasBefore: false, hasAfter: false })
        assert.deepStrictEqual(yield* bodies(b, { before: 3, limit: 2 }), {
          bodies: "",
          hasBefore: false,
          hasAfter: true
        })
        const mine = yield* conversations.get(b, id)
        assert.deepInclude(mine.lastMessage, { body: "2" })
        assert.deepInclude(mine.me, { unreadCount: 1 })
        assert.deepInclude(yield* conversations.unread(b), { unreadCount: 1 })
        assert.deepInclude(yield* messages.get(b, id, third), { body: "3" }, "by its id it is there")
        assert.strictEqual((yield* bodies(a, { limit: 5 })).bodies, "1 2 3")
        assert.deepInclude((yield* conversations.get(a, id)).lastMessage, { body: "3" })
        assert.strictEqual(yield* head(id), 4, "nobody else hears of it")
      })
    )

    it.effect("what I have hidden can be edited, forwarded and replied to as before", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const threads = yield* Threads
        const { a, id } = yield* twoOfUs
        const messageId = yield* say(id, a)
        yield* changes.hide(a, id, messageId)
        assert.deepInclude(yield* changes.edit(a, id, messageId, { body: "edited" }), { body: "edited" })
        assert.lengthOf((yield* changes.revisions(a, id, messageId, all)).items, 2)
        const to = { conversationId: id, clientMessageId: ClientMessageId.make("copy") }
        assert.deepInclude((yield* changes.forward(a, id, messageId, to)).message, { body: "edited" })
        yield* post(id, a, { threadRoot: messageId })
        assert.deepInclude(yield* threads.list(a, id, messageId, all), { replyCount: 1 })
      })
    )

    it.effect("what is hidden is no mention, no pin and no unread reply either", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const conversations = yield* Conversations
        const pins = yield* Pins
        const threads = yield* Threads
        const { a, b, id } = yield* twoOfUs
        const name = yield* Users.use((users) => users.get(b))
        const root = yield* post(id, a, { body: `@${name.username}` })
        const reply = yield* post(id, a, { threadRoot: root.id })
        yield* pins.add(a, id, root.id)
        assert.deepInclude((yield* conversations.get(b, id)).me, { mentionCount: 1, unreadCount: 1 })
        yield* changes.hide(b, id, root.id)
        yield* changes.hide(b, id, reply.id)
        assert.deepInclude((yield* conversations.get(b, id)).me, { mentionCount: 0, unreadCount: 0 })
        assert.deepStrictEqual(yield* pins.list(b, id, all), { items: [] })
        assert.lengthOf((yield* pins.list(a, id, all)).items, 1)
        const other = yield* post(id, a, { threadRoot: root.id })
        const thread = yield* threads.list(a, id, other.id, all)
        assert.deepStrictEqual(
          thread.items.map((message) => message.id),
          [reply.id, other.id]
        )
      })
    )

    it.effect("each member gives each reaction once, and everybody hears the count", () =>
      Effect.gen(function* () {
        const reactions = yield* Reactions
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const messageId = yield* say(id, a)
        const shown = (userId: UserId) =>
          Effect.map(messages.get(userId, id, messageId), (message) => message.reactions)
        yield* reactions.add(a, id, messageId, emoji("👍"))
        yield* reactions.add(b, id, messageId, emoji("❤️"))
        yield* reactions.add(b, id, messageId, emoji("👍"))
        yield* reactions.add(b, id, messageId, emoji("👍"))
        const { event } = yield* last(id)
        const data = { messageId, messageSeq: 2, emoji: "👍", userId: b, count: 2 }
        assert.deepInclude(event, { event: "reaction.added", seq: 5, actorId: b, data })
        assert.deepStrictEqual(yield* shown(a), [
          { emoji: "👍", count: 2, me: true },
          { emoji: "❤️", count: 1, me: false }
        ])
        const inList = yield* messages.list(b, id, { limit: 1 })
        assert.deepStrictEqual(inList.items[0]?.reactions, [
          { emoji: "👍", count: 2, me: true },
          { emoji: "❤️", count: 1, me: true }
        ])
        const { lastMessage } = yield* Conversations.use((conversations) => conversations.get(a, id))
        assert.deepStrictEqual(lastMessage?.reactions, yield* shown(a))
        const [, created] = yield* wholeLog(id)
        assert.deepStrictEqual(created?.event === "message.created" && created.data.message.reactions, [
          { emoji: "👍", count: 2 },
          { emoji: "❤️", count: 1 }
        ])
        yield* reactions.remove(a, id, messageId, emoji("👍"))
        yield* reactions.remove(a, id, messageId, emoji("❤️"))
        yield* reactions.remove(b, id, messageId, emoji("❤️"))
        const removed = yield* last(id)
        assert.deepInclude(removed.event, {
          event: "reaction.removed",
          seq: 7,
          data: { messageId, messageSeq: 2, emoji: "❤️", userId: b, count: 0 }
        })
        assert.deepStrictEqual(yield* shown(a), [{ emoji: "👍", count: 1, me: false }])
        yield* reactions.remove(b, id, messageId, emoji("👍"))
        assert.deepStrictEqual(yield* shown(a), [])
      })
    )

    it.effect("a message has at most 20 different reactions", () =>
      Effect.gen(function* () {
        const reactions = yield* Reactions
        const { a, b, id } = yield* twoOfUs
        const messageId = yield* say(id, a)
        const different = Arr.range(0, 20).map((n) => emoji(String.fromCodePoint(0x1f600 + n)))
        const outcomes = yield* Effect.forEach(different, (each) => outcome(reactions.add(a, id, messageId, each)))
        assert.deepStrictEqual(outcomes, [...Arr.replicate("ok", 20), "too-many-reactions"])
        assert.strictEqual(yield* outcome(reactions.add(b, id, messageId, emoji("😀"))), "ok")
        assert.strictEqual(yield* outcome(reactions.add(a, id, messageId, emoji("😀"))), "ok", "it is there already")
        assert.strictEqual(yield* head(id), 23)
      })
    )

    it.effect("pins are set by role, told to everybody and listed, the latest message first", () =>
      Effect.gen(function* () {
        const pins = yield* Pins
        const backstage = yield* Backstage
        const [owner, admin, member] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(owner, admin, member)
        yield* backstage.setRole(id, admin, "admin")
        const [one, two, three] = [yield* say(id, member), yield* say(id, owner), yield* say(id, admin)]
        assert.strictEqual(yield* outcome(pins.add(member, id, one)), "Forbidden")
        assert.strictEqual(yield* outcome(pins.remove(member, id, one)), "Forbidden")
        yield* pins.add(admin, id, three)
        yield* pins.add(owner, id, one)
        yield* pins.add(admin, id, two)
        yield* pins.add(owner, id, two)
        const { event, head } = yield* last(id)
        assert.deepInclude(event, {
          event: "message.pinned",
          actorId: admin,
          data: { messageId: two, messageSeq: 3 }
        })
        const { items } = yield* pins.list(member, id, all)
        assert.deepStrictEqual(
          items.map((message) => [message.id, message.pinned]),
          [
            [three, true],
            [two, true],
            [one, true]
          ]
        )
        const first = yield* pins.list(member, id, { limit: 2 })
        const next = yield* pins.list(member, id, { limit: 2, cursor: first.nextCursor })
        assert.deepStrictEqual([...first.items, ...next.items], items)
        assert.strictEqual(yield* refused(pins.list(member, id, { limit: 2, cursor: "?" })), "cursor")
        yield* pins.remove(admin, id, one)
        yield* pins.remove(owner, id, one)
        const unpinned = yield* last(id)
        assert.deepInclude(unpinned.event, { event: "message.unpinned", seq: head + 1 })
        assert.strictEqual(unpinned.head, head + 1)
        yield* backstage.seeFrom(id, member, 4)
        assert.deepStrictEqual(
          (yield* pins.list(member, id, all)).items.map((message) => message.id),
          [three]
        )
        assert.strictEqual(yield* outcome(pins.list(yield* person, id, all)), "NotFound")
        const dm = yield* twoOfUs
        const theirs = yield* say(dm.id, dm.a)
        yield* pins.add(dm.b, dm.id, theirs)
        assert.lengthOf((yield* pins.list(dm.a, dm.id, all)).items, 1)
      })
    )

    it.effect("forwarding sends a copy as one's own, once for its id", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const { a, b, id } = yield* twoOfUs
        const other = yield* dmOf(b, yield* person)
        const original = yield* store(entryOf(id, a, { body: "pass it on" }))
        const messageId = original.message.id
        const to = { conversationId: other, clientMessageId: ClientMessageId.make("copy") }
        const copy = yield* changes.forward(b, id, messageId, to)
        assert.isFalse(copy.duplicate)
        assert.deepInclude(copy.message, { conversationId: other, senderId: b, body: "pass it on", seq: 2 })
        assert.notStrictEqual(copy.message.id, messageId)
        assert.strictEqual(yield* outcome(changes.forward(a, id, messageId, to)), "NotFound", "no member there")
        const another = yield* say(id, a)
        assert.strictEqual(yield* outcome(changes.forward(b, id, another, to)), "message-id-reused")
        yield* changes.remove(a, id, messageId)
        assert.deepStrictEqual(yield* changes.forward(b, id, messageId, to), { ...copy, duplicate: true })
        const late = { ...to, clientMessageId: ClientMessageId.make("late") }
        assert.strictEqual(yield* outcome(changes.forward(b, id, messageId, late)), "message-deleted")
        assert.strictEqual(yield* head(other), 2)
      })
    )

    it.effect("take their seqs among concurrent messages without a hole", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const reactions = yield* Reactions
        const pins = yield* Pins
        const { a, b, id } = yield* twoOfUs
        const messageId = yield* say(id, a)
        const heard = yield* listen(conversationSubject(id))
        const toggle = Effect.fnUntraced(function* (userId: UserId) {
          yield* reactions.add(userId, id, messageId, emoji("🎉"))
          yield* reactions.remove(userId, id, messageId, emoji("🎉"))
        })
        yield* Effect.all(
          [
            ...Arr.range(1, 10).map((n) => changes.edit(a, id, messageId, { body: `${n}` })),
            ...Arr.range(1, 10).map((n) => append(entryOf(id, n % 2 === 0 ? a : b))),
            ...[a, b].map(toggle),
            pins.add(a, id, messageId),
            pins.add(b, id, messageId)
          ],
          many
        )
        const events = yield* wholeLog(id)
        assert.lengthOf(events, 2 + 10 + 10 + 4 + 1)
        const seqs = () => heard.map(({ seq }) => seq ?? 0).filter((seq) => seq > 2)
        yield* until(Effect.sync(() => seqs().length >= 25))
        assert.deepStrictEqual(
          seqs().sort((x, y) => x - y),
          Arr.range(3, 27)
        )
        const message = yield* Log.use((log) => log.message(id, b, messageId))
        assert.deepInclude(message, { revision: 11, pinned: true, reactions: [] })
        assert.lengthOf((yield* changes.revisions(b, id, messageId, all)).items, 11)
      })
    )
  })
}

/** What Messages changes keep when `limits.editWindow` is a millisecond. */
export const editWindowContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("after the time for edits", (it) => {
    it.effect("a message stays as it is, and what it says already is no edit", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const { a, id } = yield* twoOfUs
        const messageId = yield* say(id, a, "0")
        yield* TestClock.adjust("1 second")
        let tries = 0
        const tryToEdit = Effect.suspend(() => outcome(changes.edit(a, id, messageId, { body: `${++tries}` })))
        yield* until(Effect.map(tryToEdit, (tag) => tag === "Forbidden"))
        const { body } = yield* changes.edit(a, id, messageId, { body: `${tries - 1}` })
        assert.strictEqual(body, `${tries - 1}`)
      })
    )
  })
}
