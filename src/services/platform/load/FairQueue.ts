import { Effect, type Scope } from "effect"
import { RateLimited, Unavailable } from "../../../domain/Problem.ts"

const unbounded = Number.MAX_SAFE_INTEGER

interface Bounds {
  /** How much work is done at a time, in total (any, if it is left out) and for one key. */
  readonly atATime?: number
  readonly atATimePerKey: number
  /** How much work may wait, in total and for one key; any, if they are left out. */
  readonly waiting?: number
  readonly waitingPerKey?: number
  /** What the refusals say there is too much of. */
  readonly detail: string
}

interface Lane {
  running: number
  /** Whether the last work of the key rests, or has rested: then one is done at a time. */
  rests: boolean
  readonly waiting: Set<() => void>
}

/** How long a refused caller should wait, in milliseconds. */
const retryAfterMs = 1000

/**
 * A queue for work that takes much of what all users share. Each key (a user, an account) has a lane, and the lanes take
 * turns: work waits for what came before in its own lane, and for one piece of each other lane, however long these are.
 */
export class FairQueue {
  private readonly bounds: Required<Bounds>
  private readonly tooMuch: Effect.Effect<never, RateLimited>
  private readonly full: Effect.Effect<never, Unavailable>
  private readonly lanes = new Map<string, Lane>()
  private running = 0
  private waiting = 0

  constructor(bounds: Bounds) {
    this.bounds = { atATime: unbounded, waiting: unbounded, waitingPerKey: unbounded, ...bounds }
    this.tooMuch = Effect.fail(new RateLimited({ retryAfterMs, detail: bounds.detail }))
    this.full = Effect.fail(new Unavailable({ detail: bounds.detail }))
  }

  /**
   * Does the work in the turn of its key. Fails with `RateLimited` when too much of the same key waits, and with
   * `Unavailable` when too much waits in total. `restOf` says for how many milliseconds after the work its turn goes to no
   * other work of the same key, which is then done one at a time; other keys do not wait for that. Work that has such a rest is
   * done to its end once it has begun, so that a caller who goes away does not get more of it.
   */
  run<A, E, R>(
    key: string,
    work: Effect.Effect<A, E, R>,
    restOf?: (answer: A) => number
  ): Effect.Effect<A, E | RateLimited | Unavailable, R> {
    return Effect.suspend(
      (): Effect.Effect<A, E | RateLimited | Unavailable, R> =>
        this.refusal(key) ?? this.patient(key, work, undefined, restOf)
    )
  }

  /**
   * Does the work in the turn of its key, however much waits. The caller must bound how much it asks for. After `patienceMs`
   * the work is done out of turn, so that what is stuck does not stop what comes after it. `restOf` is that of `run`.
   */
  patient<A, E, R>(
    key: string,
    work: Effect.Effect<A, E, R>,
    patienceMs?: number,
    restOf?: (answer: A) => number
  ): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(this.take(key, patienceMs)), (lane) =>
        lane === undefined
          ? restore(work)
          : Effect.onExit(restOf === undefined ? restore(work) : work, (exit) =>
              Effect.sync(() => this.release(key, lane, exit._tag === "Success" ? restOf?.(exit.value) : 0))
            )
      )
    )
  }

  /** Takes a turn of the key until the scope closes. Fails as `run` does. */
  hold(key: string): Effect.Effect<void, RateLimited | Unavailable, Scope.Scope> {
    return Effect.suspend(
      (): Effect.Effect<void, RateLimited | Unavailable, Scope.Scope> =>
        this.refusal(key) ??
        Effect.asVoid(
          Effect.acquireRelease(
            this.take(key),
            (lane) =>
              Effect.sync(() => {
                if (lane !== undefined) this.release(key, lane)
              }),
            { interruptible: true }
          )
        )
    )
  }

  /**
   * Calls `begin` in the turn of the key, which is over with the turn of the event loop in which that happens: for work that
   * holds up the event loop when much of it begins at once, and may wait for anything after that. Returns the function that
   * ends the wait, if there is one.
   */
  begin(key: string, begin: () => void): (() => void) | undefined {
    return this.enter(key, (lane) => {
      setImmediate(() => this.release(key, lane))
      begin()
    })
  }

  private startsNow(lane: Lane | undefined): boolean {
    return this.running < this.bounds.atATime && (lane === undefined || this.hasTurn(lane))
  }

  private hasTurn({ rests, running }: Lane): boolean {
    return running < (rests ? 1 : this.bounds.atATimePerKey)
  }

  private refusal(key: string) {
    const lane = this.lanes.get(key)
    if (this.startsNow(lane)) return undefined
    if (lane !== undefined && lane.waiting.size >= this.bounds.waitingPerKey) return this.tooMuch
    return this.waiting >= this.bounds.waiting ? this.full : undefined
  }

  /** Waits for the turn of a key, and begins. Undefined when it has waited for `patienceMs`. */
  private take(key: string, patienceMs?: number): Effect.Effect<Lane | undefined> {
    return Effect.callback<Lane | undefined>((resume) => {
      let timer: NodeJS.Timeout | undefined
      const leave = this.enter(key, (lane) => {
        clearTimeout(timer)
        resume(Effect.succeed(lane))
      })
      if (leave === undefined) return
      // A race with a sleeping fiber could lose a turn that comes at the same moment.
      if (patienceMs !== undefined)
        timer = setTimeout(() => {
          leave()
          resume(Effect.succeed(undefined))
        }, patienceMs)
      return Effect.sync(() => {
        clearTimeout(timer)
        leave()
      })
    })
  }

  /** Calls `begin` at once, or in the turn of the key: then it returns the function that ends the wait. */
  private enter(key: string, begin: (lane: Lane) => void): (() => void) | undefined {
    const lane = this.lanes.get(key) ?? { running: 0, rests: false, waiting: new Set() }
    this.lanes.set(key, lane)
    const start = () => {
      if (lane.waiting.delete(start)) this.waiting--
      lane.running++
      this.running++
      begin(lane)
    }
    if (this.startsNow(lane)) {
      start()
      return undefined
    }
    lane.waiting.add(start)
    this.waiting++
    return () => {
      // After the wait another lane may have the key.
      if (!lane.waiting.delete(start)) return
      this.waiting--
      if (lane.running === 0 && lane.waiting.size === 0) this.lanes.delete(key)
    }
  }

  private release(key: string, lane: Lane, restMs = 0): void {
    this.running--
    lane.rests = restMs >= 1
    if (!lane.rests) this.vacate(key, lane)
    else {
      setTimeout(() => this.vacate(key, lane), restMs)
      this.startNext(this.lanes)
    }
  }

  private vacate(key: string, lane: Lane): void {
    lane.running--
    this.lanes.delete(key)
    if (lane.running > 0 || lane.waiting.size > 0) this.lanes.set(key, lane)
    // Where there is no bound for all lanes together, no other lane waits for this one.
    this.startNext(this.bounds.atATime === unbounded ? [[key, lane]] : this.lanes)
  }

  /** Starts what may start. A lane goes to the end when its work starts, and when it ends. */
  private startNext(lanes: Iterable<readonly [string, Lane]>): void {
    for (const [key, lane] of lanes) {
      if (this.running >= this.bounds.atATime) return
      const [start] = this.hasTurn(lane) ? lane.waiting : []
      if (start === undefined) continue
      this.lanes.delete(key)
      this.lanes.set(key, lane)
      start()
    }
  }
}
