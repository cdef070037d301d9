import type { Published, Subject } from "./PubSub.ts"

type Listener = (events: ReadonlyArray<Published>, traceparent?: string) => void

/** Who listens to what on this node. A listener that throws is reported to `onDefect`, and the others get theirs. */
export class Subjects {
  private readonly listeners = new Map<Subject, Set<Listener>>()
  private readonly onDefect: (defect: unknown) => void

  constructor(onDefect: (defect: unknown) => void) {
    this.onDefect = onDefect
  }

  /** Gives back what takes the listener off again and says whether it was the last one of its subject. */
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
