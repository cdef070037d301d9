import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Emoji } from "../../../src/domain/Emoji.ts"
import { ClientMessageId, type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import { conversationSubject, userSubject } from "../../../src/services/bus/Subjects.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Pins } from "../../../src/services/messages/Pins.ts"
import { Polls } from "../../../src/services/messages/Polls.ts"
import { Reactions } from "../../../src/services/messages/Reactions.ts"
import { Threads } from "../../../src/services/messages/Threads.ts"
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
} from "../../support/Chat.ts"

const nothing = MessageId.make("00000000-0000-7000-8000-000000000000")
const emoji = Schema.decodeSync(Emoji)
const all = { limit: 50 }
const many = { concurrency: "unbounded" } as const

/** Sends a new message and returns its id. */
const say = (id: ConversationId, senderId: UserId, body?: string) =>
  Effect.map(store(entryOf(id, senderId, body === undefined ? {} : { body })), ({ message }) => message.id)

/** The last event of the log, which must have been published too, and the length of the log. */
const last = Effect.fnUntraced(function* (id: ConversationId) {
  const events = yield* wholeLog(id)
  return { head: events.length, event: events.at(-1) }
})

const head = (id: ConversationId) => Effect.map(wholeLog(id), (events) => events.length)

const systemStage = Effect.all({ changes: MessageChanges, messages: Messages })

type Do = (
  userId: UserId,
  conversationId: ConversationId,
  messageId: MessageId
) => Effect.Effect<unknown, { readonly _tag: string; readonly code?: string }>

/** Every operation on an existing message. */
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
    remove: changes.delete,
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

/** The contract of MessageChanges, and of the access to messages that Reactions and Pins share with it. */
export const messageChangesContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("changes of messages", (it) => {
    it.effect("nobody edits a system message, a copy of it is text, and a silent one does not count as unread", () =>
      Effect.gen(function* () {
        const { changes, messages } = yield* systemStage
        const { a, b, id } = yield* twoOfUs
        let sent = 0
        const send = (body: string, silent: boolean, byProgram = true) => {
          const clientMessageId = ClientMessageId.make(`system-${++sent}`)
          return messages.post(a, id, { clientMessageId, body, type: "system", silent }, byProgram)
        }
        const { message: loud } = yield* send("Order shipped", false)
        const { message: silent } = yield* send("Order checked", true)
        assert.deepStrictEqual([loud.type, loud.payload], ["system", null])
        assert.deepStrictEqual([silent.type, silent.payload], ["system", { silent: true }])
        const { me } = yield* Conversations.use((conversations) => conversations.get(b, id))
        assert.strictEqual(me.unreadCount, 1)
        assert.strictEqual(yield* refused(send("x", false, false)), "type")
        assert.strictEqual(yield* refused(send(" ", false)), "body")
        const quiet = { clientMessageId: ClientMessageId.make("quiet"), body: "x", silent: true }
        assert.strictEqual(yield* refused(messages.send(a, id, quiet, true)), "silent")
        for (const user of [a, b])
          assert.strictEqual(yield* outcome(changes.edit(user, id, loud.id, { body: "Order lost" })), "Forbidden")
        for (const messageId of [loud.id, silent.id]) {
          const clientMessageId = ClientMessageId.make(`copy-${messageId}`)
          const copy = yield* changes.forward(b, id, messageId, { conversationId: id, clientMessageId })
          assert.deepStrictEqual([copy.message.type, copy.message.payload], ["text", null])
        }
        yield* changes.delete(a, id, loud.id)
      })
    )

    it.effect("every operation answers those who cannot see the message as if it did not exist", () =>
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

    it.effect("editing one's own message keeps its previous body, and makes an event for everybody", () =>
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
        assert.deepStrictEqual(yield* log.message(b, id, message.id), edited)
        assert.strictEqual((yield* log.message(b, id, reply.message.id)).replyTo?.excerpt, "second")
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

    it.effect("editing is refused for messages of others and for bad bodies; the same body changes nothing", () =>
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

    it.effect("a message is edited at most 100 times", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const { a, id } = yield* twoOfUs
        const message = yield* post(id, a)
        const edit = (n: number) => outcome(changes.edit(a, id, message.id, { body: `edit ${n}` }))
        const outcomes = yield* Effect.forEach(Arr.range(1, 101), edit)
        assert.deepStrictEqual(outcomes, [...Arr.replicate("ok", 100), "too-many-edits"])
        assert.strictEqual(yield* edit(100), "ok", "it changes nothing")
        assert.strictEqual(yield* outcome(changes.delete(a, id, message.id)), "ok")
      })
    )

    it.effect("after an edit, only the users named in the new body are mentioned", () =>
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
        yield* changes.delete(a, id, message.id)
        assert.strictEqual(yield* counted, 0)
        assert.deepInclude(yield* Messages.use((messages) => messages.get(b, id, message.id)), { mentions: [] })
      })
    )

    it.effect("a message with a payload may have an empty body, and deleting it erases both and the votes", () =>
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
        yield* changes.delete(a, id, poll.id)
        assert.deepInclude(yield* messages.get(b, id, poll.id), { type: "poll", payload: null, votes: null })
        assert.notInclude(JSON.stringify(yield* wholeLog(id)), "When?")
      })
    )

    it.effect("deleting leaves a tombstone and erases the content", () =>
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
        yield* changes.delete(a, id, message.id)
        const tombstone = yield* log.message(b, id, message.id)
        assert.deepInclude(tombstone, { seq: 2, body: "", reactions: [], pinned: false, changedSeq: 7 })
        const { event } = yield* last(id)
        assert.strictEqual(tombstone.deletedAt, event?.at)
        assert.deepInclude(event, {
          event: "message.deleted",
          seq: 7,
          actorId: a,
          data: { messageId: message.id, messageSeq: 2 }
        })
        assert.notInclude(JSON.stringify(yield* wholeLog(id)), "secret")
        const { replyTo } = yield* log.message(b, id, reply.message.id)
        assert.deepInclude(replyTo, { messageId: message.id, excerpt: "", deleted: true })
        assert.deepStrictEqual(yield* changes.revisions(a, id, message.id, all), { items: [] })
        assert.deepStrictEqual(yield* pins.list(a, id, all), { items: [] })
        assert.strictEqual((yield* conversations.get(b, id)).me.unreadCount, 1)
        yield* changes.delete(a, id, message.id)
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

    it.effect("owners may delete every message, admins those of members, and members their own", () =>
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
          return yield* outcome(changes.delete(actor, id, messageId))
        })
        assert.strictEqual(yield* may(owner, admin), "ok")
        assert.strictEqual(yield* may(owner, member), "ok")
        assert.strictEqual(yield* may(admin, admin), "ok")
        assert.strictEqual(yield* may(admin, member), "ok")
        assert.strictEqual(yield* may(admin, otherAdmin), "Forbidden")
        assert.strictEqual(yield* may(admin, owner), "Forbidden")
        assert.strictEqual(yield* may(member, member), "ok")
        assert.strictEqual(yield* may(member, other), "Forbidden")
        assert.strictEqual(yield* may(admin, gone, true), "ok", "the former admin counts as a member")
        const dm = yield* twoOfUs
        const theirs = yield* say(dm.id, dm.b)
        assert.strictEqual(yield* outcome(changes.delete(dm.a, dm.id, theirs)), "Forbidden")
      })
    )

    it.effect("hiding a message takes it out of the user's own history only", () =>
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
        const before = yield* conversations.memberships(b)
        const devices = yield* listen(userSubject(b))
        yield* changes.hide(b, id, third)
        yield* changes.hide(b, id, first)
        const after = yield* conversations.memberships(b)
        assert.strictEqual(after.userSeq, before.userSeq + 2)
        assert.strictEqual(after.memberships.find((place) => place.conversationId === id)?.userSeq, after.userSeq)
        yield* changes.hide(b, id, first)
        assert.strictEqual((yield* conversations.memberships(b)).userSeq, after.userSeq, "it was hidden already")
        yield* until(Effect.sync(() => devices.length >= 4))
        assert.deepStrictEqual(
          devices.map(({ event }) => event),
          ["message.hidden", "conversation.settings", "message.hidden", "conversation.settings"]
        )
        const hidden = [third, first].map((messageId, index) => ({
          conversationId: id,
          messageId,
          messageSeq: 4 - 2 * index
        }))
        assert.deepStrictEqual(
          devices.filter(({ event }) => event === "message.hidden").map(({ json }) => JSON.parse(json).data),
          hidden.map(({ messageId, messageSeq }) => ({ messageId, messageSeq }))
        )
        const hiddenAfter = (userId: UserId, userSeq: number) => changes.hiddenAfter(userId, userSeq)
        assert.deepStrictEqual(yield* hiddenAfter(b, before.userSeq), hidden)
        assert.deepStrictEqual(yield* hiddenAfter(b, before.userSeq + 1), hidden.slice(1))
        assert.deepStrictEqual(yield* hiddenAfter(a, 0), [])
        assert.deepStrictEqual(yield* bodies(b, { limit: 2 }), { bodies: "2", hasBefore: false, hasAfter: false })
        assert.deepStrictEqual(yield* bodies(b, { before: 3, limit: 2 }), {
          bodies: "",
          hasBefore: false,
          hasAfter: true
        })
        const mine = yield* conversations.get(b, id)
        assert.deepInclude(mine.lastMessage, { body: "2" })
        assert.deepInclude(mine.me, { unreadCount: 1 })
        assert.deepInclude(yield* ReadMarkers.use((markers) => markers.unread(b)), { unreadCount: 1 })
        assert.deepInclude(yield* messages.get(b, id, third), { body: "3" }, "by its id it is there")
        assert.strictEqual((yield* bodies(a, { limit: 5 })).bodies, "1 2 3")
        assert.deepInclude((yield* conversations.get(a, id)).lastMessage, { body: "3" })
        assert.strictEqual(yield* head(id), 4, "nobody else hears of it")
      })
    )

    it.effect("a hidden message can be edited, forwarded and replied to as before", () =>
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

    it.effect("a hidden message counts neither as a mention, nor as a pin, nor as an unread reply", () =>
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

    it.effect("forwarding sends a copy in the user's own name, once for each clientMessageId", () =>
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
        yield* changes.delete(a, id, messageId)
        assert.deepStrictEqual(yield* changes.forward(b, id, messageId, to), { ...copy, duplicate: true })
        const late = { ...to, clientMessageId: ClientMessageId.make("late") }
        assert.strictEqual(yield* outcome(changes.forward(b, id, messageId, late)), "message-deleted")
        assert.strictEqual(yield* head(other), 2)
      })
    )

    it.effect("concurrent changes and messages take their seqs without a hole", () =>
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
        const message = yield* Log.use((log) => log.message(b, id, messageId))
        assert.deepInclude(message, { revision: 11, pinned: true, reactions: [] })
        assert.lengthOf((yield* changes.revisions(b, id, messageId, all)).items, 11)
      })
    )
  })
}

/** The contract of MessageChanges when `limits.editWindow` is a millisecond. */
export const editWindowContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("after the edit window", (it) => {
    it.effect("a message can no longer be edited, but repeating its current body succeeds", () =>
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
