import { assert, describe, it } from "vitest"
import { merge, starUpdated, withPage } from "../../src/client/state/Merge.ts"
import { type ConversationState, newConversation } from "../../src/client/state/State.ts"
import type { Event } from "../../src/domain/Event.ts"
import { SimulatedService, userId } from "../support/SimulatedService.ts"

/** A conversation with one message of another user, in the state after event 9. */
const start = () => {
  const service = new SimulatedService()
  const room = service.create()
  const { message } = service.send(room, userId(1), "hello")
  const reactions = [{ emoji: "👍", count: 2, me: false }]
  const held = { ...message, changedSeq: 9, pinned: true, reactions }
  const conversation = { ...service.conversation(room), seq: 4, lastMessage: held }
  const envelope = { conversationId: room.id, at: message.createdAt, actorId: userId(1) }
  const about = { messageId: message.id, messageSeq: message.seq }
  const state: ConversationState = { ...newConversation(conversation), messages: [held] }
  return { me: service.me, held, envelope, about, state }
}

describe("merging an event", () => {
  it("keeps the later state of a message, and moves the cursor", () => {
    const { about, envelope, held, me, state } = start()
    const events: ReadonlyArray<Event> = [
      { ...envelope, event: "message.unpinned", seq: 5, data: about },
      { ...envelope, event: "message.deleted", seq: 6, data: about },
      { ...envelope, event: "reaction.added", seq: 7, data: { ...about, emoji: "👍", userId: userId(1), count: 1 } },
      { ...envelope, event: "message.edited", seq: 8, data: { message: { ...held, body: "older", changedSeq: 8 } } }
    ]
    const after = events.reduce((next, event) => merge(next, event.seq, event, me).state, state)
    assert.strictEqual(after.conversation.seq, 8)
    assert.deepStrictEqual(after.messages, [held])
    assert.deepStrictEqual(after.conversation.lastMessage, held)
    const later = merge(after, 10, { ...envelope, event: "message.deleted", seq: 10, data: about }, me).state
    assert.deepInclude(later.messages?.[0], { body: "", pinned: false, reactions: [], changedSeq: 10 })
  })

  it("learns from the log which reactions are mine, also for a later state of the message", () => {
    const { about, envelope, me, state } = start()
    const data = { ...about, emoji: "👍", userId: me, count: 1 }
    const after = merge(state, 5, { ...envelope, event: "reaction.added", seq: 5, data }, me).state
    assert.deepStrictEqual(after.messages?.[0]?.reactions, [{ emoji: "👍", count: 2, me: true }])
  })

  it("holds my saved messages until they are taken back or deleted", () => {
    const { about, envelope, me, state } = start()
    const { messageId } = about
    const saved = starUpdated(starUpdated(state, { messageId, starred: true }), { messageId, starred: true })
    assert.deepStrictEqual([...saved.starred], [messageId])
    assert.deepStrictEqual([...starUpdated(saved, { messageId, starred: false }).starred], [])
    const deleted = merge(saved, 10, { ...envelope, event: "message.deleted", seq: 10, data: about }, me).state
    assert.deepStrictEqual([...deleted.starred], [])
  })

  it("leaves no gap before a page that was fetched meanwhile", () => {
    const { envelope, held, me, state } = start()
    const created = (seq: number): Event => ({
      ...envelope,
      event: "message.created",
      seq,
      data: { message: { ...held, seq } }
    })
    const page = { items: [{ ...held, seq: 30 }], hasBefore: true }
    const { messages } = withPage({ ...state, messages: null }, page, [created(20), created(31)], me)
    assert.deepStrictEqual(
      messages?.map(({ seq }) => seq),
      [30, 31]
    )
  })

  it("moves the cursor for an unknown event", () => {
    const { me, state } = start()
    assert.deepStrictEqual(merge(state, 5, null, me).state.messages, state.messages)
    assert.strictEqual(merge(state, 5, null, me).state.conversation.seq, 5)
  })
})
