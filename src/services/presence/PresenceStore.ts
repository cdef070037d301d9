import { Context, type Effect, Schema, type Scope } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { ChosenStatus } from "../../domain/Presence.ts"
import type { ObservedPresence } from "../bus/PubSub.ts"

/** The store cannot be reached, so that nothing is known about any user. */
export class PresenceUnknown extends Schema.TaggedError<PresenceUnknown>()("PresenceUnknown", {
  message: Schema.String
}) {}

/** A connected device is in use, or idle. */
export type DeviceStatus = "online" | "away"

/** A status that holds for all devices of a user; with `auto` the most active device decides. */
export type Choice = ChosenStatus | "auto"

/** A choice, and when it was made by the store's clock, in milliseconds. */
export interface ChosenAt {
  readonly status: Choice
  readonly at: number
}

/** What one node reports about a user. */
export interface Report {
  readonly userId: UserId
  /** The most active of the user's devices on that node; null when the last one has gone; absent when that is unchanged. */
  readonly device?: DeviceStatus | null
  /** The report holds for this many milliseconds, unless it is repeated. */
  readonly lifetimeMs: number
  /** A device was connected this many milliseconds ago: 0 while one is connected. */
  readonly agoMs: number
  /** A new choice has `at: null`. A choice that the node knows of has its `at`, in case the store has lost it. */
  readonly choice?: { readonly status: Choice; readonly at: number | null } | undefined
}

/** How others see a user after a report, whether that is different from before, and the user's choice. */
export interface Reported {
  readonly observed: ObservedPresence
  readonly changed: boolean
  readonly choice: ChosenAt | null
}

/** Where presence is kept for all nodes. It may lose everything: the nodes repeat their reports. */
export class PresenceStore extends Context.Service<
  PresenceStore,
  {
    /**
     * Takes the reports of a node, at most one for each user, and answers in their order. The change of each user is
     * atomic. Repeating a report changes nothing but its lifetime.
     */
    readonly report: (
      nodeId: string,
      reports: ReadonlyArray<Report>
    ) => Effect.Effect<ReadonlyArray<Reported>, PresenceUnknown>
    /** How others see the users, in their order; null for a user about whom nothing is stored. */
    readonly read: (
      userIds: ReadonlyArray<UserId>
    ) => Effect.Effect<ReadonlyArray<ObservedPresence | null>, PresenceUnknown>
    /** Calls `listener` each time the store is reachable again, perhaps emptied, until the scope closes. */
    readonly onReturn: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
    /** After a return, other nodes may need this many milliseconds longer until they reach the store again. */
    readonly returnSpread: number
  }
>()("chat/services/PresenceStore") {}
