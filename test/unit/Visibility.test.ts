import { assert, describe, it } from "@effect/vitest"
import type { Event } from "../../src/domain/Event.ts"
import { ClientMessageId, ConversationId, MessageId, UserId } from "../../src/domain/Ids.ts"
import type { Message } from "../../src/domain/Message.ts"
import { seenFrom } from "../../src/domain/Visibility.ts"
import { Frame } from "../../src/realtime/Frame.ts"
import { encodeEvent } from "../../src/services/bus/PubSub.ts"

const id = (n: number) => `00000000-0000-7000-8000-${`${n}`.padStart(12, "0")}`
const conversationId = ConversationId.make(id(0))
const actorId = UserId.make(id(1))
const messageId = (seq: number) => MessageId.make(id(seq))

/** A message at `seq` that replies to the one at `replySeq`. */
const messageAt = (seq: number, replySeq?: number): Message => ({
  id: messageId(seq),
  conversationId,
  seq,
  senderId: actorId,
  clientMessageId: ClientMessageId.make(`m${seq}`),
  type: "text",
  body: `body ${seq}`,
  replyTo:
    replySeq === undefined
      ? null
      : { messageId: messageId(replySeq), seq: replySeq, senderId: actorId, excerpt: "secret", deleted: false },
  threadRootId: null,
  threadReplyCount: 0,
  mentions: [],
  mentionsAll: false,
  payload: null,
  votes: null,
  attachments: [],
  reactions: [],
  pinned: false,
  createdAt: "2026-11-22T00:00:00.000Z",
  editedAt: null,
  deletedAt: null,
  revision: 1,
  changedSeq: seq
})

const at = { conversationId, at: "2026-11-22T00:00:00.000Z", actorId }
const created = (seq: number, replySeq?: number): Event => ({
  ...at,
  event: "message.created",
  seq,
  data: { message: messageAt(seq, replySeq) }
})
const edited = (message: Message): Event => ({ ...at, event: "message.edited", seq: 20, data: { message } })
const concealed = (seq: number) => ({
  messageId: messageId(seq),
  seq,
  senderId: null,
  excerpt: "",
  deleted: false,
  hidden: true
})

describe("the part of an event that is hidden from a later member", () => {
  it("is nothing of a plain message, a membership or visible messages", () => {
    const role: Event = { ...at, event: "member.role-changed", seq: 20, data: { userId: actorId, role: "admin" } }
    for (const event of [created(9), created(9, 7), edited(messageAt(7)), role])
      assert.strictEqual(seenFrom(event, 7), event)
  })

  it("is an earlier message that is replied to", () => {
    const shown = seenFrom(created(9, 6), 7)
    assert.deepStrictEqual<unknown>(shown, {
      ...created(9),
      data: { message: { ...messageAt(9), replyTo: concealed(6) } }
    })
  })

  it("is the root of a thread, but not the reply", () => {
    const threadRoot = { messageId: messageId(3), seq: 3, threadReplyCount: 4 }
    const reply: Event = { ...at, event: "message.created", seq: 9, data: { message: messageAt(9), threadRoot } }
    assert.deepStrictEqual<unknown>(seenFrom(reply, 4).data, { message: messageAt(9), threadRoot: concealed(3) })
    assert.strictEqual(seenFrom(reply, 3), reply)
  })

  it("is everything but the place of an edit, a reaction or a vote on an earlier message", () => {
    const rest = { messageId: messageId(6), messageSeq: 6 }
    const reaction: Event = {
      ...at,
      event: "reaction.added",
      seq: 20,
      data: { ...rest, emoji: "👍", userId: actorId, count: 1 }
    }
    const vote: Event = { ...at, event: "poll.voted", seq: 20, data: { ...rest, votes: [1, 0] } }
    for (const event of [edited(messageAt(6, 5)), reaction, vote])
      assert.deepStrictEqual<unknown>(seenFrom(event, 7), { ...event, data: rest })
  })
})

describe("Frame", () => {
  const frame = new Frame(encodeEvent(edited(messageAt(8, 6))))
  const read = (json: string): unknown => JSON.parse(json)

  it("is shared by all members who see everything, and encoded once more for each hidden part", () => {
    assert.strictEqual(frame.seenFrom(6), frame)
    const withoutReply = frame.seenFrom(7)
    assert.strictEqual(frame.seenFrom(8), withoutReply)
    assert.deepStrictEqual(read(withoutReply.json), seenFrom(edited(messageAt(8, 6)), 8))
    const place = frame.seenFrom(9)
    assert.strictEqual(frame.seenFrom(1000), place)
    assert.deepStrictEqual(read(place.json), seenFrom(edited(messageAt(8, 6)), 9))
    assert.deepInclude(place, { event: "message.edited", conversationId, seq: 20 })
  })

  it("shows nothing of an event of a later release to members who may not see all of it", () => {
    const event = { event: "message.starred", conversationId, seq: 21, except: null, refersTo: 6 }
    const later = new Frame({ ...event, json: JSON.stringify({ event: "message.starred", data: { body: "secret" } }) })
    assert.strictEqual(later.seenFrom(6), later)
    assert.deepStrictEqual(read(later.seenFrom(7).json), {
      event: "message.starred",
      conversationId,
      seq: 21,
      data: {}
    })
  })
})
