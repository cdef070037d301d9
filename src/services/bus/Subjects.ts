import type { ConversationId, UserId } from "../../domain/Ids.ts"

/** Where events go: one subject per conversation and one per user. Ids are UUIDs, so none can form a wildcard. */
export type Subject =
  | `conversation.${ConversationId}`
  | `user.${UserId}`
  | `presence.${UserId}`
  | typeof sessionsSubject

/** Carries the events of a conversation. */
export const conversationSubject = (id: ConversationId): Subject => `conversation.${id}`
/** Carries the ends of sessions to every node. */
export const sessionsSubject = "sessions"
/** Carries the events of a user's own state, and signals about the user's memberships, to the user's devices. */
export const userSubject = (id: UserId): Subject => `user.${id}`
/** Carries a user's presence to the nodes whose sockets watch that user. */
export const presenceSubject = (id: UserId): Subject => `presence.${id}`

/**
 * An event on its way to sockets. `json` is the text of the whole frame, encoded once by the publisher. `seq` is null
 * for an ephemeral event. `except` is a user who does not get the event (the author of a typing event, for example).
 * `refersTo` of a durable event is the lowest seq of the other messages that it describes: a member who may not see those
 * gets a reduced event. `refersTo` of an ephemeral event is the head of the log that the publisher knew: a node that
 * knows less of the log first reads the rest.
 */
export interface Published {
  readonly event: string
  readonly conversationId: ConversationId | null
  readonly seq: number | null
  readonly except: UserId | null
  readonly refersTo: number | null
  readonly json: string
}

type Listener = (events: ReadonlyArray<Published>, traceparent?: string) => void

/**
 * The subscriptions of this node. A listener that throws is reported to `onDefect`, and the others still get the
 * events.
 */
export class Subjects {
  private readonly listeners = new Map<Subject, Set<Listener>>()
  private readonly onDefect: (defect: unknown) => void

  constructor(onDefect: (defect: unknown) => void) {
    this.onDefect = onDefect
  }

  /** Returns the function that removes the listener, which says whether it was the last one of its subject. */
  add(subject: Subject, onEvents: Listener): () => boolean {
    // A set holds a function once, but the same function may subscribe twice.
    const listener: Listener = (events, traceparent) => onEvents(events, traceparent)
    const listeners = this.listeners.get(subject) ?? new Set()
    this.listeners.set(subject, listeners.add(listener))
    return () => {
      const last = listeners.delete(listener) && listeners.size === 0
      if (last) this.listeners.delete(subject)
      return last
    }
  }

  /** Calls the listeners of the subject, in the order in which they were added. */
  deliver(subject: Subject, events: ReadonlyArray<Published>, traceparent?: string): void {
    for (const listener of this.listeners.get(subject) ?? []) {
      try {
        listener(events, traceparent)
      } catch (defect) {
        this.onDefect(defect)
      }
    }
  }

  /** How many subjects have listeners. */
  get size(): number {
    return this.listeners.size
  }
}
