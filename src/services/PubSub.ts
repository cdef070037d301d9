import { Context, Effect, Layer, type Scope } from "effect"
import type { Ephemeral, Event } from "../domain/Event.ts"
import type { ConversationId, SessionId, UserId } from "../domain/Ids.ts"

/** Where events go: one subject per conversation and one per user. Ids are UUIDs, so none can form a wildcard. */
export type Subject = `conversation.${ConversationId}` | `user.${UserId}`

export const conversationSubject = (id: ConversationId): Subject => `conversation.${id}`
export const userSubject = (id: UserId): Subject => `user.${id}`

/**
 * An event on its way to sockets. `json` is the whole frame's text, encoded once where the event was made; `seq` is
 * null for an ephemeral one; `except` names a user who is not to get it (who types need not be told).
 */
export interface Published {
  readonly event: string
  readonly conversationId: ConversationId | null
  readonly seq: number | null
  readonly except: UserId | null
  readonly json: string
}

/** A durable event, encoded once for everybody who will get it. */
export const encodeEvent = (event: Event): Published => ({
  event: event.event,
  conversationId: event.conversationId,
  seq: event.seq,
  except: null,
  json: JSON.stringify(event)
})

/** An ephemeral event, encoded likewise. */
export const encodeEphemeral = (event: Ephemeral, except: UserId | null = null): Published => ({
  event: event.event,
  conversationId: event.conversationId ?? null,
  seq: null,
  except,
  json: JSON.stringify(event)
})

const signal = (event: string, conversationId: ConversationId | null, data: unknown): Published => ({
  event,
  conversationId,
  seq: null,
  except: null,
  json: JSON.stringify(data)
})

/** On a user's subject, to gateways and never to clients: read that membership again. */
export const membershipChanged = (conversationId: ConversationId) => signal("membership.changed", conversationId, {})

/** On a user's subject, to gateways and never to clients: the sockets of these sessions must go. */
export const sessionsEnded = (sessionIds: ReadonlyArray<SessionId>) => signal("sessions.ended", null, { sessionIds })

/**
 * Carries events to every node that wants them. A hint, never the truth: it may lose what it carries, and whoever
 * listens repairs holes from the log.
 */
export class PubSub extends Context.Service<
  PubSub,
  {
    /** Hands the events to the bus in their order. Never fails and never waits for a receiver. */
    readonly publish: (subject: Subject, events: ReadonlyArray<Published>) => Effect.Effect<void>
    /**
     * Calls `onEvents` for all that is published on `subject` after this returned (confirmed: nothing later is
     * missed by a healthy bus) until the scope closes. `onEvents` must be quick and must not throw.
     */
    readonly subscribe: (
      subject: Subject,
      onEvents: (events: ReadonlyArray<Published>) => void
    ) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/PubSub") {
  /** For a single node: the bus is a map in this process. */
  static readonly layer = Layer.sync(PubSub, () => {
    const subjects = new Map<Subject, Set<(events: ReadonlyArray<Published>) => void>>()
    return PubSub.of({
      publish: (subject, events) =>
        Effect.sync(() => {
          for (const listener of subjects.get(subject) ?? []) listener(events)
        }),
      subscribe: (subject, onEvents) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            // A set holds a function once, but the same function may subscribe twice.
            const listener = (events: ReadonlyArray<Published>) => onEvents(events)
            const listeners = subjects.get(subject) ?? new Set()
            subjects.set(subject, listeners.add(listener))
            return { listener, listeners }
          }),
          ({ listener, listeners }) =>
            Effect.sync(() => {
              listeners.delete(listener)
              if (listeners.size === 0 && subjects.get(subject) === listeners) subjects.delete(subject)
            })
        ).pipe(Effect.asVoid)
    })
  })
}
