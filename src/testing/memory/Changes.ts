import { Clock, Effect } from "effect"
import type { Event } from "../../domain/Event.ts"
import type { UserId } from "../../domain/Ids.ts"
import { encodeEvent, PubSub } from "../../services/bus/PubSub.ts"
import { conversationSubject } from "../../services/bus/Subjects.ts"
import { eventOf } from "./Log.ts"
import {
  dropAttachments,
  type LoggedEvent,
  type LoggedMessage,
  Memory,
  nextUserSeq,
  type StoredConversation
} from "./State.ts"

/** An event without the fields that it gets with its place in the log. */
export type Placeless<E> = E extends Event ? Omit<E, "conversationId" | "seq" | "at"> : never

/** The fields that deleting a message erases. */
const tombstone = (deletedAt: Date): Partial<LoggedMessage> => ({
  body: "",
  payload: null,
  attachments: null,
  mentions: null,
  deletedAt,
  reactions: [],
  revisions: [],
  pinnedAt: null,
  ballots: new Map()
})

/** The parts of durable changes in memory. Each change is to be run `atomically`, as a transaction is. */
export const makeChangesMemory = Effect.gen(function* () {
  const memory = yield* Memory
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
    return logged
  })

  /** Leaves a tombstone in the place of a message, deleted at the time of the event. */
  const erase = Effect.fnUntraced(function* (
    conversation: StoredConversation,
    actorId: UserId,
    message: Pick<LoggedMessage, "id" | "seq">
  ) {
    const data = { messageId: message.id, messageSeq: message.seq }
    dropAttachments(memory, ({ bound }) => bound?.conversationId === conversation.id && bound.seq === message.seq)
    const { at } = yield* addEvent(conversation, { event: "message.deleted", actorId, data })
    yield* amend(conversation, message.seq, tombstone(new Date(at)))
  })

  return {
    addEvent,
    amend,
    erase,
    atomically: memory.atomically,
    nextUserSeq: (userId: UserId) => nextUserSeq(memory, userId)
  }
})
