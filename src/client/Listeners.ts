import { Effect, Stream } from "effect"
import type { Refused } from "./Failures.ts"
import type { ChatEvent, ChatState, EventName, EventOf } from "./Plain.ts"
import { Realtime } from "./Realtime.ts"
import { emptyState } from "./state/State.ts"

/** Calls a listener as an `EventTarget` does: what it throws is an uncaught error of the app, and stops nothing here. */
const call = <A>(listener: (value: A) => void, value: A) => {
  try {
    listener(value)
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

const isNamed = <Name extends EventName>(event: ChatEvent, name: Name): event is EventOf<Name> => event.event === name

/** The listeners of an app, and the current state for them. All of them have one subscription to `Realtime`. */
export class Listeners {
  private latest: ChatState = emptyState
  private readonly stateListeners = new Set<(state: ChatState) => void>()
  private readonly eventListeners = new Set<(event: ChatEvent) => void>()

  /** The current state. */
  get state(): ChatState {
    return this.latest
  }

  private set(state: ChatState): void {
    if (state === this.latest) return
    this.latest = state
    for (const listener of [...this.stateListeners]) call(listener, state)
  }

  /** Follows the client until it ends. When listeners are called with an event, the state includes it. */
  readonly follow: Effect.Effect<void, never, Realtime> = Effect.flatMap(Realtime, ({ changes, events, state }) => {
    // Always the state of now: the two streams must not bring back an older one.
    const refresh = Effect.map(state, (now) => this.set(now))
    const dispatch = (event: ChatEvent) =>
      Effect.map(refresh, () => {
        for (const listener of [...this.eventListeners]) call(listener, event)
      })
    return Effect.all([Stream.runForEach(changes, () => refresh), Effect.ignore(Stream.runForEach(events, dispatch))], {
      concurrency: "unbounded",
      discard: true
    })
  })

  /** Calls `listener` soon with the current state, and after each change, until the returned function is called. */
  subscribe(listener: (state: ChatState) => void): () => void {
    // A function of its own, so that the same listener may be added twice.
    const own = (state: ChatState) => listener(state)
    this.stateListeners.add(own)
    queueMicrotask(() => {
      if (this.stateListeners.has(own)) call(own, this.latest)
    })
    return () => void this.stateListeners.delete(own)
  }

  /** Calls `listener` for each event of that name, until the returned function is called. */
  on<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void {
    const own = (event: ChatEvent) => {
      if (isNamed(event, name)) listener(event)
    }
    this.eventListeners.add(own)
    return () => void this.eventListeners.delete(own)
  }

  /** Shows that the client was closed: by the app, or because the service does not know the user. */
  closed(why: Refused | null = null): void {
    if (this.latest.connection.status !== "closed") this.set({ ...this.latest, connection: { status: "closed", why } })
  }
}
