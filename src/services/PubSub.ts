import { Cause, Context, Effect, Layer, type Scope } from "effect"
import type { Ephemeral, Event } from "../domain/Event.ts"
import type { ConversationId, SessionId, UserId } from "../domain/Ids.ts"
import { lowestReference } from "../domain/Visibility.ts"
import type { Sighting } from "./PresenceStore.ts"
import { Subjects } from "./Subjects.ts"
import { currentTraceparent } from "./Tracing.ts"

/** Where events go: one subject per conversation and one per user. Ids are UUIDs, so none can form a wildcard. */
export type Subject =
  | `conversation.${ConversationId}`
  | `user.${UserId}`
  | `presence.${UserId}`
  | typeof sessionsSubject

export const conversationSubject = (id: ConversationId): Subject => `conversation.${id}`
/** Where every node hears of the ends of sessions. */
export const sessionsSubject = "sessions"
export const userSubject = (id: UserId): Subject => `user.${id}`
/** Where those nodes hear of a user whose sockets watch that user's presence. */
export const presenceSubject = (id: UserId): Subject => `presence.${id}`

/**
 * An event on its way to sockets. `json` is the whole frame's text, encoded once where the event was made; `seq` is
 * null for an ephemeral one; `except` names a user who is not to get it (who types need not be told). `refers` is the
 * lowest seq of the messages that a durable one tells something of besides its own: whoever sees less gets less of it.
 * Of an ephemeral one it is up to where the log was known where it was made: a node that knows less waits for the rest.
 */
export interface Published {
  readonly event: string
  readonly conversationId: ConversationId | null
  readonly seq: number | null
  readonly except: UserId | null
  readonly refers: number | null
  readonly json: string
}

/** A durable event, encoded once for everybody who will get it. */
export const encodeEvent = (event: Event): Published => ({
  event: event.event,
  conversationId: event.conversationId,
  seq: event.seq,
  except: null,
  refers: lowestReference(event),
  json: JSON.stringify(event)
})

/** An ephemeral event, encoded likewise; `refers`: up to where the log was known where it was made. */
export const encodeEphemeral = (
  event: Ephemeral,
  { except = null, refers = null }: { readonly except?: UserId | null; readonly refers?: number | null } = {}
): Published => ({
  event: event.event,
  conversationId: event.conversationId ?? null,
  seq: null,
  except,
  refers,
  json: JSON.stringify(event)
})

const signal = (event: string, conversationId: ConversationId | null, data: unknown): Published => ({
  event,
  conversationId,
  seq: null,
  except: null,
  refers: null,
  json: JSON.stringify(data)
})

/** A listener threw: a bug of ours, and no reason to fail a send. */
export const listenerFailed = (defect: unknown) => Effect.logError("a subscriber of the bus failed", Cause.die(defect))

/** On a user's subject, to gateways and never to clients: read that membership again. */
export const membershipChanged = (conversationId: ConversationId) => signal("membership.changed", conversationId, {})

/** On `sessionsSubject`, to nodes and never to clients: these sessions are no more, or even their user's account. */
export const sessionsEnded = (sessionIds: ReadonlyArray<SessionId>, deleted: boolean) =>
  signal("sessions.ended", null, { sessionIds, deleted })

/** On a user's presence subject, to nodes and never to clients: how others see that user from now on. */
export const presenceSeen = (sighting: Sighting) => signal("presence.seen", null, sighting)

/**
 * Carries events to every node that wants them. A hint, never the truth: it may lose what it carries, and whoever
 * listens repairs holes from the log.
 */
export class PubSub extends Context.Service<
  PubSub,
  {
    /**
     * Hands the events to this node's subscribers and to the bus, in their order. Never fails and never waits, for a
     * receiver or for a bus that is away.
     */
    readonly publish: (subject: Subject, events: ReadonlyArray<Published>) => Effect.Effect<void>
    /**
     * Calls `onEvents` for all that is published on `subject` after this returned (confirmed: nothing later is
     * missed by a healthy bus) until the scope closes. While the bus is away it returns within a second, and the
     * events of other nodes begin when the bus is back. `onEvents` must be quick and must not throw. A `traceparent` is
     * there when what published the events is traced.
     */
    readonly subscribe: (
      subject: Subject,
      onEvents: (events: ReadonlyArray<Published>, traceparent?: string) => void
    ) => Effect.Effect<void, never, Scope.Scope>
    /** False while events of other nodes may be missing. */
    readonly healthy: () => boolean
    /**
     * Calls `listener` each time the bus is back, with all subscriptions confirmed, until the scope closes: what other
     * nodes published meanwhile is to be read from the log.
     */
    readonly onReconnect: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/PubSub") {
  /** For a single node: the bus is a map in this process, and it is always healthy. */
  static readonly layer = Layer.effect(
    PubSub,
    Effect.gen(function* () {
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const subjects = new Subjects((defect) => fork(listenerFailed(defect)))
      return PubSub.of({
        publish: (subject, events) =>
          Effect.withFiberSucceed((fiber) => subjects.deliver(subject, events, currentTraceparent(fiber))),
        subscribe: (subject, onEvents) =>
          Effect.acquireRelease(
            Effect.sync(() => subjects.add(subject, onEvents)),
            (remove) => Effect.sync(remove)
          ).pipe(Effect.asVoid),
        healthy: () => true,
        onReconnect: () => Effect.void
      })
    })
  )
}
