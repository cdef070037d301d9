import { Clock, Effect } from "effect"
import type { Event } from "../domain/Event.ts"
import type { UserId } from "../domain/Ids.ts"
import { eventOf } from "./LogMemory.ts"
import { type LoggedEvent, type LoggedMessage, Memory, type StoredConversation } from "./Memory.ts"
import { conversationSubject, encodeEvent, PubSub } from "./PubSub.ts"

/** Without the place in the log that it is about to get. */
export type Placeless<E> = E extends Event ? Omit<E, "conversationId" | "seq" | "at"> : never

/** What the durable changes of the fakes are made of, each to be run `atomically`: as migration 0009 has it. */
export const makeChangesMemory = Effect.gen(function* () {
  const { atomically, userHeads } = yield* Memory
  const pubsub = yield* PubSub

  /** Replaces columns of a message. */
  const amend = (conversation: StoredConversation, seq: number, columns: Partial<LoggedMessage>) =>
    Effect.sync(() => {
      const message = conversation.log[seq - 1]
      if (message?.event === "message.created") conversation.log[seq - 1] = { ...message, ...columns }
    })

  /** Gives a change its place in the log, stamps the message that it changes, and publishes it. */
  const addEvent = Effect.fnUntraced(function* (conversation: StoredConversation, event: Placeless<LoggedEvent>) {
    const seq = conversation.log.length + 1
    const at = new Date(yield* Clock.currentTimeMillis).toISOString()
    const logged: LoggedEvent = { ...event, conversationId: conversation.id, seq, at }
    conversation.log.push(logged)
    if ("messageSeq" in logged.data) yield* amend(conversation, logged.data.messageSeq, { changedSeq: seq })
    yield* pubsub.publish(conversationSubject(conversation.id), [encodeEvent(eventOf(conversation, logged))])
    return seq
  })

  const nextUserSeq = (userId: UserId) => {
    const seq = (userHeads.get(userId) ?? 0) + 1
    userHeads.set(userId, seq)
    return seq
  }

  return { addEvent, amend, atomically, nextUserSeq }
})
