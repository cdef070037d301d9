import { assert, describe, it } from "vitest"
import { merge } from "../../src/client/Merge.ts"
import { type ConversationState, newConversation } from "../../src/client/State.ts"
import type { Event } from "../../src/domain/Event.ts"
import { SimulatedService, userId } from "../support/SimulatedService.ts"

/** A conversation with one message by somebody else, held in the state that event 9 has left it in. */
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
  it("leaves a message alone that is held in a later state, and moves the cursor", () => {
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

  it("takes from the log which reactions are mine, also when a later state is held", () => {
    const { about, envelope, me, state } = start()
    const data = { ...about, emoji: "👍", userId: me, count: 1 }
    const after = merge(state, 5, { ...envelope, event: "reaction.added", seq: 5, data }, me).state
    assert.deepStrictEqual(after.messages?.[0]?.reactions, [{ emoji: "👍", count: 2, me: true }])
  })

  it("moves the cursor for what it does not know", () => {
    const { me, state } = start()
    assert.deepStrictEqual(merge(state, 5, null, me).state.messages, state.messages)
    assert.strictEqual(merge(state, 5, null, me).state.conversation.seq, 5)
  })
})
