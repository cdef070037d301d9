import { Effect } from "effect"
import type { ConversationId } from "../domain/Ids.ts"
import type { Cursor, Subscriber } from "./Cursor.ts"

/**
 * The shares of a reader's limits at which replays pause, ephemeral events are dropped, bodies are left to a replay, and
 * such a replay begins.
 */
export const loads = { replay: 0.5, dropEphemeral: 0.5, stopBodies: 0.8, resumeBodies: 0.25 }

/** A subscriber that is brought up to date from the log: a socket, or a stream of another transport. */
export interface ResumableSubscriber extends Subscriber {
  /** One cursor for each conversation that it follows. */
  readonly cursors: Map<ConversationId, Cursor>
  readonly isClosing: boolean
  /**
   * Sends an event that must not be dropped. `heads` names the `seq` up to which the reader knows these conversations
   * once it has the event.
   */
  readonly send: (
    event: {
      readonly event: string
      readonly conversationId?: string
      readonly seq?: number
      readonly data: unknown
    },
    heads?: ReadonlyArray<readonly [ConversationId, number]>
  ) => void
  /**
   * Resumes when there is room for a replay. Replays wait for it before each event, so that a replay never makes its
   * own reader a slow one.
   */
  readonly room: Effect.Effect<void>
}

/** Whether this cursor still belongs to the subscriber: it may be dropped or replaced while a read is waited for. */
export const isCurrent = ({ cursors }: ResumableSubscriber, cursor: Cursor): boolean =>
  cursors.get(cursor.conversationId) === cursor

/** Sends an event about a conversation as soon as there is room; with `head` the reader then knows it up to there. */
export const sendWhenRoom = (
  subscriber: ResumableSubscriber,
  event: string,
  id: ConversationId,
  data: unknown,
  head?: number
): Effect.Effect<void> =>
  Effect.map(subscriber.room, () =>
    subscriber.send({ event, conversationId: id, data }, head === undefined ? [] : [[id, head]])
  )
