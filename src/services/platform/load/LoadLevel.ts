/** How long a window is at least, in milliseconds, and how many measurements it has at least. */
const window = { ms: 1000, measurements: 2 }

/** The load at which the first level begins: milliseconds for one turn of the event loop, or sends that wait. */
const firstLevel = { turnMs: 150, waiting: 2000 }

/** What is measured: how long the event loop takes for one turn, and how many sends wait for their commit. */
interface Load {
  readonly turnMs: number
  readonly waiting: number
}

/**
 * How busy a node is, as a level from 0 to `highest`. Each level begins at twice the load of the one before it, and ends at half
 * of where it began. As in CoDel (RFC 8289), what counts is the lowest load of a window: a long pause alone is no overload,
 * but a load that never goes down is. The level changes by one at the end of a window.
 */
export class LoadLevel {
  level = 0
  private readonly highest: number
  private since = Number.NEGATIVE_INFINITY
  private last = Number.NEGATIVE_INFINITY
  private lowest = Number.POSITIVE_INFINITY
  private measurements = 0

  constructor(highest: number) {
    this.highest = highest
  }

  /** Takes a measurement at a time in milliseconds, and says whether the level has changed. */
  measured({ turnMs, waiting }: Load, now: number): boolean {
    // Of a time without measurements nothing is known.
    if (now - this.last > 2 * window.ms + turnMs) this.begin(now)
    this.last = now
    this.measurements++
    this.lowest = Math.min(this.lowest, Math.max(turnMs / firstLevel.turnMs, waiting / firstLevel.waiting))
    if (now - this.since < window.ms || this.measurements < window.measurements) return false
    const { level, lowest } = this
    if (lowest >= 2 ** level) this.level = Math.min(level + 1, this.highest)
    else if (level > 0 && lowest < 2 ** (level - 1) / 2) this.level = level - 1
    this.begin(now)
    return this.level !== level
  }

  private begin(now: number): void {
    this.since = now
    this.lowest = Number.POSITIVE_INFINITY
    this.measurements = 0
  }
}
