import { Cause, Context, Effect, Layer, Schema, type Scope } from "effect"
import type { Ephemeral, Event } from "../../domain/Event.ts"
import type { ConversationId, SessionId, UserId } from "../../domain/Ids.ts"
import { lowestReference } from "../../domain/Visibility.ts"
import { holding } from "../platform/Holding.ts"
import { currentTraceparent } from "../platform/Tracing.ts"
import { type Published, type Subject, Subjects } from "./Subjects.ts"

/** How others see a user, and since when (`at`, by the store's clock: the later of two is the newer one). */
export const ObservedPresence = Schema.Struct({
  status: Schema.Literals(["online", "away", "dnd", "offline"]),
  seenAt: Schema.NullOr(Schema.Finite),
  at: Schema.Finite
})
export type ObservedPresence = typeof ObservedPresence.Type

/** A durable event, encoded once for everybody who will get it. */
export const encodeEvent = (event: Event): Published => ({
  event: event.event,
  conversationId: event.conversationId,
  seq: event.seq,
  except: null,
  refersTo: lowestReference(event),
  json: JSON.stringify(event)
})

/** An ephemeral event, encoded once. `refersTo` is the head of the log that the publishing node knew. */
export const encodeEphemeral = (
  event: Ephemeral,
  { except = null, refersTo = null }: { readonly except?: UserId | null; readonly refersTo?: number | null } = {}
): Published => ({
  event: event.event,
  conversationId: event.conversationId ?? null,
  seq: null,
  except,
  refersTo,
  json: JSON.stringify(event)
})

const signal = (event: string, conversationId: ConversationId | null, data: unknown): Published => ({
  event,
  conversationId,
  seq: null,
  except: null,
  refersTo: null,
  json: JSON.stringify(data)
})

/** Logs that a listener threw. It is a bug of ours, and no reason to fail a send. */
export const listenerFailed = (defect: unknown) => Effect.logError("a subscriber of the bus failed", Cause.die(defect))

/** For gateways, on a user's subject, and never for clients: the membership must be read again. */
export const membershipChanged = (conversationId: ConversationId) => signal("membership.changed", conversationId, {})

/**
 * For nodes, on `sessionsSubject`, and never for clients: these sessions have ended. `closed` says that the account
 * was deleted or disabled; it is named `deleted` for nodes of release 0.1.0, which read it.
 */
export const sessionsEnded = (sessionIds: ReadonlyArray<SessionId>, closed: boolean) =>
  signal("sessions.ended", null, { sessionIds, deleted: closed })

/** For nodes, on a user's presence subject, and never for clients: check again who may see that user's presence. */
export const contactsChanged = signal("contacts.changed", null, {})

/** For nodes, on a user's presence subject, and never for clients: how others see that user from now on. */
export const presenceSeen = (sighting: ObservedPresence) => signal("presence.seen", null, sighting)

/**
 * For how many milliseconds a look at the nodes is trusted, from when it began. A node that starts is heard by all others after
 * this time: whoever looked before it announced itself, and so believes to be alone, no longer trusts that look.
 */
export const lookMillis = 2000

/**
 * Carries events to every node that subscribes to them. It may lose events, so it is a hint and the log is the truth:
 * subscribers repair gaps from the log.
 */
export class PubSub extends Context.Service<
  PubSub,
  {
    /**
     * Hands the events to this node's subscribers and to the bus, in their order. It never fails, and never waits for a
     * subscriber or for a bus that is down.
     */
    readonly publish: (subject: Subject, events: ReadonlyArray<Published>) => Effect.Effect<void>
    /**
     * Calls `onEvents` for all events that are published on `subject` after this has returned, until the scope closes;
     * a healthy bus misses none of them. While the bus is down, this returns within a second, and the events of other
     * nodes begin when the bus is back. `onEvents` must be quick and must not throw. It gets a `traceparent` when the
     * publisher is traced.
     */
    readonly subscribe: (
      subject: Subject,
      onEvents: (events: ReadonlyArray<Published>, traceparent?: string) => void
    ) => Effect.Effect<void, never, Scope.Scope>
    /** False while events of other nodes may be missing. */
    readonly healthy: () => boolean
    /** Why the bus is not healthy, in one line without credentials. It has no meaning while the bus is healthy. */
    readonly reason: () => string
    /**
     * Calls `listener` each time the bus is back and all subscriptions are confirmed, until the scope closes. Events
     * that other nodes published during the outage must be read from the log.
     */
    readonly onReconnect: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
    /**
     * Tells the bus whether a look at the nodes, which began at `asked` on the monotonic clock, showed that this one is
     * alone. Until `lookMillis` after that, or until a look shows another node, events need not leave this node.
     */
    readonly seeAlone: (alone: boolean, asked: number) => void
  }
>()("chat/services/PubSub") {
  /** For a single node. The bus is a map in this process and always healthy. */
  static readonly layer = Layer.effect(
    PubSub,
    Effect.gen(function* () {
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const subjects = new Subjects((defect) => fork(listenerFailed(defect)))
      return PubSub.of({
        publish: (subject, events) =>
          Effect.withFiberSucceed((fiber) => subjects.deliver(subject, events, currentTraceparent(fiber))),
        subscribe: (subject, onEvents) =>
          holding(
            Effect.sync(() => subjects.add(subject, onEvents)),
            Effect.sync
          ).pipe(Effect.asVoid),
        healthy: () => true,
        reason: () => "",
        onReconnect: () => Effect.void,
        seeAlone: () => {}
      })
    })
  )
}
