import { Queue } from "effect"
import { Effect } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Receiver } from "../ws/CatchUp.ts"
import type { Cursor, Frame } from "../ws/Hub.ts"
import type { Position } from "./StreamPosition.ts"

/** One event of the stream, as text/event-stream has it (HTML standard, 9.2). */
export interface ServerSentEvent {
  readonly event: string
  readonly data: string
  readonly id: string
}

/** From this share of the limits on: replays pause, ephemeral events are dropped, bodies are left to a replay. */
const loads = { replay: 0.5, dropEphemeral: 0.5, stopBodies: 0.8, resumeBodies: 0.25 }

/** An id must stay below 4 kB: with a delta of so many characters the stream waits for a new base. */
const longestDelta = 3500

/**
 * One stream of events: a receiver as a socket is, whose reader pulls. What it has been sent is in its position, which
 * goes with every event as the id to resume from.
 */
export class EventStream implements Receiver {
  readonly userId: UserId
  readonly cursors = new Map<ConversationId, Cursor>()
  readonly position: Position
  readonly queue: Queue.Queue<ServerSentEvent, Done>
}
