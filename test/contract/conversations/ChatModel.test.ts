import { randomInt } from "node:crypto"
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import { Emoji } from "../../../src/domain/Emoji.ts"
import type { Event } from "../../../src/domain/Event.ts"
import { ClientMessageId, type ConversationId, MessageId, type UserId } from "../../../src/domain/Ids.ts"
import type { Message } from "../../../src/domain/Message.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Pins } from "../../../src/services/messages/Pins.ts"
import { Reactions } from "../../../src/services/messages/Reactions.ts"
import { Threads } from "../../../src/services/messages/Threads.ts"
import { someone } from "../../support/Accounts.ts"
import { chat, outcome } from "../../support/Chat.ts"
import { ModelConversation, type Outcome, type Person } from "../../support/ChatModel.ts"
import { databases } from "../../support/Database.ts"

const seed = Number(process.env.CHAT_TEST_SEED ?? randomInt(2 ** 31))
const runs = Number(process.env.CHAT_TEST_RUNS ?? 4)

/** One user does something in one of the conversations; `a` and `b` choose its object. */
const step = fc.record({
  kind: fc.constantFrom(
    ...([
      "send",
      "send",
      "send",
      "send",
      "reply",
      "thread",
      "thread",
      "mark",
      "mark",
      "markThread",
      "pull",
      "pull"
    ] as const),
    ...(["add", "add", "remove", "leave", "role", "history", "block", "unblock"] as const),
    ...(["edit", "edit", "delete", "react", "react", "react", "unreact", "pin", "unpin", "hide"] as const)
  ),
  actor: fc.nat(4),
  conversation: fc.nat(2),
  a: fc.nat(1000),
  b: fc.nat(1000),
  flag: fc.boolean()
})

type Step = typeof step extends fc.Arbitrary<infer A> ? A : never

const plan = fc.array(step, { minLength: 120, maxLength: 160 })

const emojis = ["👍", "❤️", "🎉"].map((emoji) => Emoji.make(emoji))
const roles = ["owner", "admin", "member"] as const
const unknownMessage = MessageId.make("00000000-0000-7000-8000-000000000000")

/** The state of a client that follows the log of a conversation by pulling it now and then. */
class Replica {
  readonly messages = new Map<string, Message>()
  cursor: number
  readonly visibleFromSeq: number

  constructor(visibleFromSeq: number) {
    this.visibleFromSeq = visibleFromSeq
    this.cursor = visibleFromSeq - 1
  }

  take(event: Event): void {
    assert.strictEqual(event.seq, this.cursor + 1, "without holes")
    this.cursor = event.seq
    const { data } = event
    if ("message" in data) this.put(event.seq, data.message.id, () => data.message)
    if ("threadRoot" in data && data.threadRoot !== undefined && "threadReplyCount" in data.threadRoot) {
      const { messageId, threadReplyCount } = data.threadRoot
      this.put(event.seq, messageId, (root) => root && { ...root, threadReplyCount })
    }
    switch (event.event) {
      case "message.deleted":
        this.put(
          event.seq,
          event.data.messageId,
          (old) => old && { ...old, body: "", deletedAt: event.at, pinned: false, reactions: [] }
        )
        break
      case "message.pinned":
      case "message.unpinned":
        this.put(event.seq, event.data.messageId, (old) => old && { ...old, pinned: event.event === "message.pinned" })
        break
      case "reaction.added":
      case "reaction.removed": {
        if (!("emoji" in event.data)) break
        const { count, emoji, messageId } = event.data
        this.put(event.seq, messageId, (old) => {
          if (old === undefined) return undefined
          const known = old.reactions.some((reaction) => reaction.emoji === emoji)
          const all = known ? old.reactions : [...old.reactions, { emoji, count }]
          const reactions = all.map((reaction) => (reaction.emoji === emoji ? { emoji, count } : reaction))
          return { ...old, reactions: reactions.filter((reaction) => reaction.count > 0) }
        })
      }
    }
  }

  /** An event about a message has no effect when the message was changed at or after it. */
  private put(seq: number, id: string, change: (old: Message | undefined) => Message | undefined): void {
    const old = this.messages.get(id)
    if (old !== undefined && seq <= old.changedSeq) return
    const changed = change(old)
    if (changed !== undefined) this.messages.set(id, { ...changed, changedSeq: Math.max(seq, changed.changedSeq) })
  }
}

const run = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>) {
  const blocks = yield* Blocks
  const changes = yield* ConversationChanges
  const conversations = yield* Conversations
  const edits = yield* MessageChanges
  const members = yield* Members
  const messages = yield* Messages
  const pins = yield* Pins
  const reactions = yield* Reactions
  const threads = yield* Threads
  const users = yield* Users

  const people = yield* Effect.replicateEffect(
    Effect.suspend(() => users.register(someone("model"))),
    5
  )
  const ids = people.map(({ id }) => id)
  const names = people.map(({ username }) => username)
  const idOf = (person: Person): UserId => ids[person % 5] ?? assert.fail("nobody")
  const personOf = (id: UserId): Person => ids.indexOf(id)
  const group = (creator: Person, ...others: ReadonlyArray<Person>) =>
    conversations.create(idOf(creator), { kind: "group", title: "Model", memberIds: others.map(idOf) })
  const started = [
    { model: new ModelConversation("group", 0, [1, 2], names, ids), ...(yield* group(0, 1, 2)) },
    { model: new ModelConversation("group", 1, [0, 3], names, ids), ...(yield* group(1, 0, 3)) },
    {
      model: new ModelConversation("dm", 0, [1], names, ids),
      ...(yield* conversations.create(idOf(0), { kind: "dm", userId: idOf(1) }))
    }
  ]
  const blocked = new Set<string>()
  const everyMember = started.map(({ model }) => new Set(model.members.keys()))
  const sent = new Map<string, MessageId>()
  const replicas = new Map<string, Replica>()

  const pull = Effect.fnUntraced(function* (person: Person, id: ConversationId, model: ModelConversation) {
    const key = `${id} ${person}`
    const me = model.members.get(person)
    if (me === undefined) {
      replicas.delete(key)
      return yield* outcome(messages.events(idOf(person), id, { after: 0, limit: 10 }))
    }
    const known = replicas.get(key)
    const replica = known?.visibleFromSeq === me.visibleFromSeq ? known : new Replica(me.visibleFromSeq)
    replicas.set(key, replica)
    while (replica.cursor < model.head) {
      const { head, items } = yield* messages.events(idOf(person), id, { after: replica.cursor, limit: 7 })
      assert.strictEqual(head, model.head)
      for (const event of items) replica.take(event)
    }
    return "ok"
  })

  const apply = Effect.fnUntraced(function* ({ a, actor, b, conversation: index, flag, kind }: Step, number: number) {
    const { conversation, model } = started[index] ?? assert.fail("no conversation")
    const { id } = conversation
    const me = idOf(actor)
    const person = a % 5
    const seq = (a % model.head) + 1
    const emoji = emojis[b % 3] ?? assert.fail("no emoji")
    const messageId = sent.get(`${index} ${seq}`) ?? unknownMessage
    const send = Effect.fnUntraced(function* (replySeq: number | null, threadSeq: number | null) {
      const body = `message ${number}${b % 3 === 0 ? ` for @${names[b % 5]}.` : b % 7 === 0 ? " to @all" : ""}`
      const expected = model.send(actor, body, replySeq, threadSeq)
      const clientMessageId = ClientMessageId.make(`step-${number}`)
      const message = {
        clientMessageId,
        body,
        ...(replySeq !== null && { replyTo: messageId }),
        ...(threadSeq !== null && { threadRoot: messageId })
      }
      const answer = yield* outcome(
        Effect.tap(messages.send(me, id, message), (ack) => {
          assert.strictEqual(ack.seq, model.head)
          sent.set(`${index} ${ack.seq}`, ack.messageId)
          return flag ? messages.send(me, id, message) : Effect.void
        })
      )
      return [answer, expected]
    })
    const isBlocked = (by: Person, other: Person) => blocked.has(`${by} ${other}`)
    switch (kind) {
      case "send":
        return yield* send(null, null)
      case "reply":
        return yield* send(seq, null)
      case "thread":
        return yield* send(null, seq)
      case "mark":
        return [
          yield* outcome(ReadMarkers.use((markers) => markers.markRead(me, id, { seq: a % 40, force: flag }))),
          model.mark(actor, a % 40, flag)
        ]
      case "markThread": {
        const expected = model.markThreadOf(actor, seq, b % 60)
        return [yield* outcome(threads.mark(me, id, messageId, b % 60)), expected]
      }
      case "edit": {
        const body = b % 4 === 0 ? `edited for @${names[b % 5]}` : b % 5 === 0 ? "edited for @all" : `edit ${b}`
        return [yield* outcome(edits.edit(me, id, messageId, { body })), model.edit(actor, seq, body)]
      }
      case "delete":
        return [yield* outcome(edits.delete(me, id, messageId)), model.remove(actor, seq)]
      case "react":
        return [yield* outcome(reactions.add(me, id, messageId, emoji)), model.react(actor, seq, emoji)]
      case "unreact":
        return [yield* outcome(reactions.remove(me, id, messageId, emoji)), model.unreact(actor, seq, emoji)]
      case "pin":
      case "unpin": {
        const pinned = kind === "pin"
        return [yield* outcome((pinned ? pins.add : pins.remove)(me, id, messageId)), model.pin(actor, seq, pinned)]
      }
      case "hide":
        return [yield* outcome(edits.hide(me, id, messageId)), model.hide(actor, seq)]
      case "add": {
        const expected = model.addMember(actor, person, isBlocked(person, actor))
        if (expected === "ok") everyMember[index]?.add(person)
        return [yield* outcome(members.add(me, id, [idOf(person)])), expected]
      }
      case "remove": {
        const expected = model.removeMember(actor, person, everyMember[index]?.has(person) ?? false)
        return [yield* outcome(members.remove(me, id, idOf(person))), expected]
      }
      case "leave":
        return [yield* outcome(members.leave(me, id)), model.removeMember(actor, actor, true)]
      case "role": {
        const role = roles[b % 3] ?? "member"
        return [yield* outcome(members.update(me, id, idOf(person), role)), model.changeRole(actor, person, role)]
      }
      case "history": {
        const historyForNewMembers = flag ? "all" : "from-join"
        return [yield* outcome(changes.update(me, id, { historyForNewMembers })), model.setHistory(actor, flag)]
      }
      case "block":
      case "unblock": {
        if (person === actor) return ["ok", "ok"]
        const key = `${actor} ${person}`
        const dm = started[2]?.model
        const pair = actor < 2 && person < 2
        if (kind === "block") blocked.add(key)
        else blocked.delete(key)
        if (pair && kind === "block") dm?.muted.add(person)
        else if (pair) dm?.muted.delete(person)
        const call = kind === "block" ? blocks.add(me, idOf(person)) : blocks.remove(me, idOf(person))
        return [yield* outcome(call), "ok" satisfies Outcome]
      }
      case "pull":
        return [yield* pull(actor, id, model), model.members.has(actor) ? "ok" : "NotFound"]
    }
  })

  const shown = (message: Message) => ({
    seq: message.seq,
    sender: personOf(message.senderId),
    body: message.body,
    reply:
      message.replyTo === null
        ? null
        : message.replyTo.hidden === true
          ? { seq: message.replyTo.seq, hidden: true }
          : { seq: message.replyTo.seq, excerpt: message.replyTo.excerpt, deleted: message.replyTo.deleted },
    replies: message.threadReplyCount,
    revision: message.revision,
    changedSeq: message.changedSeq,
    deleted: message.deletedAt !== null,
    pinned: message.pinned,
    reactions: message.reactions.map(({ count, emoji }) => ({ emoji, count }))
  })

  const logged = (event: Event, head: number): object => {
    const { actorId, data, seq } = event
    const base = { seq, event: event.event, actor: personOf(actorId) }
    assert.isAtMost(seq, head)
    if (event.event === "conversation.created") return base
    if ("message" in data) return { ...base, message: shown(data.message) }
    if ("user" in data) return { ...base, user: personOf(data.user.id), role: data.role }
    if ("messageSeq" in data) {
      const { messageId: _, messageSeq, ...rest } = data
      return { ...base, messageSeq, ...rest }
    }
    if ("userId" in data) {
      const { userId, ...rest } = data
      return { ...base, user: personOf(userId), ...rest }
    }
    return { ...base, ...data }
  }

  /** Compares everything that each member sees with the model. */
  const compare = Effect.forEach(
    started.flatMap((each) => ids.map((_, person) => ({ ...each, person }))),
    Effect.fnUntraced(function* ({ conversation: { id }, model, person }) {
      const me = idOf(person)
      const mine = model.members.get(person)
      if (mine === undefined) {
        assert.strictEqual(yield* outcome(conversations.get(me, id)), "NotFound")
        assert.strictEqual(yield* outcome(messages.list(me, id, { limit: 10 })), "NotFound")
        return
      }
      const found = yield* conversations.get(me, id)
      assert.strictEqual(found.seq, model.head)
      assert.strictEqual(found.memberCount, model.members.size)
      const { joinedSeq, mentionCount, readSeq, role, unreadCount, visibleFromSeq } = found.me
      assert.deepStrictEqual({ joinedSeq, readSeq, role, visibleFromSeq }, mine)
      assert.deepStrictEqual({ unreadCount, mentionCount }, model.unread(person))
      const { items: history } = yield* messages.list(me, id, { limit: 200 })
      assert.deepStrictEqual(history.map(shown), model.history(person))
      for (const { reactions, seq } of history)
        assert.deepStrictEqual(
          reactions.flatMap(({ emoji, me }) => (me === true ? [emoji] : [])),
          model.given(person, seq)
        )
      assert.deepStrictEqual(found.lastMessage && shown(found.lastMessage), history.map(shown).at(-1) ?? null)
      const { items: log } = yield* messages.events(me, id, { after: 0, limit: 200 })
      assert.deepStrictEqual(
        log.map((event) => logged(event, model.head)),
        model.log(person)
      )
      yield* pull(person, id, model)
      const kept = [...(replicas.get(`${id} ${person}`)?.messages.values() ?? [])]
      // Excerpts follow from the original messages, which the reader has.
      const about = (message: Message) => ({ ...shown(message), reply: message.replyTo?.seq ?? null })
      const followed = kept
        .filter(({ seq, threadRootId }) => threadRootId === null && !model.messages.get(seq)?.hiddenFor.has(person))
        .toSorted((x, y) => x.seq - y.seq)
      assert.deepStrictEqual(followed.map(about), history.map(about), "who follows the log knows the same")
    }),
    { discard: true }
  )

  for (const [number, each] of steps.entries()) {
    const [answer, expected] = yield* apply(each, number)
    assert.strictEqual(answer, expected, `step ${number}: ${JSON.stringify(each)}`)
    if (number % 40 === 39) yield* compare
  }
  yield* compare
  for (const person of people.keys()) {
    const totals = yield* ReadMarkers.use((markers) => markers.unread(idOf(person)))
    const all = started.flatMap(({ model }) => model.unread(person) ?? [])
    const sum = (key: "unreadCount" | "mentionCount") => all.reduce((total, each) => total + each[key], 0)
    assert.deepStrictEqual(totals, { unreadCount: sum("unreadCount"), mentionCount: sum("mentionCount") })
  }
})

const contract = <E>(layer: Layer.Layer<Layer.Success<typeof chat.sql>, E>) =>
  withLayer(layer)("the chat agrees with its model", (it) => {
    for (const [index, steps] of fc.sample(plan, { seed, numRuns: runs }).entries()) {
      it.effect(`whatever people do (CHAT_TEST_SEED=${seed}, plan ${index})`, () => run(steps))
    }
  })

describe("fake", () => contract(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => contract(chat.sql.pipe(Layer.provideMerge(database.layer))))
}
