import { Clock, Context, Effect, Layer } from "effect"
import { Unavailable } from "../../../domain/Problem.ts"
import { loadLevel, shedWork } from "../MetricDefinitions.ts"
import { Metrics } from "../Metrics.ts"
import { monotonicMillis } from "../Monotonic.ts"
import { LoadLevel } from "./LoadLevel.ts"

/** What a busy node no longer does, in this order: each level of load sheds one more. */
const shedInOrder = ["presence", "connections", "reads", "sends"] as const

/** A kind of work that a busy node sheds. */
type Work = (typeof shedInOrder)[number]

/** How often the event loop is measured at most, and while a level lasts at least, in milliseconds. */
const everyMs = { most: 100, least: 1000 }

const detail = "This node is too busy for this now"

interface SheddingShape {
  /** Whether the node is too busy for such work now. Each time that it is, is counted. */
  readonly sheds: (work: Work) => boolean
  /** Fails with `Unavailable` while the node is too busy for such work. */
  readonly check: (work: Work) => Effect.Effect<void, Unavailable>
  /** Whether the node sheds sends, and so should get no new clients. Nothing is counted. */
  readonly isOverloaded: () => boolean
  /** Says that something has come in. Only then, and rarely, the event loop is measured, so an idle node stays idle. */
  readonly noteWork: () => void
  /** Takes a queue of sends into account. */
  readonly watch: (length: () => number) => void
}

/** Sheds nothing unless a layer is given, so that no test depends on how busy its machine is. */
export const Shedding = Context.Reference<SheddingShape>("chat/services/Shedding", {
  defaultValue: () => ({
    sheds: () => false,
    check: () => Effect.void,
    isOverloaded: () => false,
    noteWork: () => {},
    watch: () => {}
  })
})

/** Sheds by the level that `levelOf` gives. */
const make = (levelOf: () => number) =>
  Effect.map(Metrics, (metrics): Pick<SheddingShape, "sheds" | "check" | "isOverloaded"> => {
    const counts = new Map(shedInOrder.map((work) => [work, metrics.counter(shedWork, { work })]))
    const sheds = (work: Work) => {
      if (levelOf() <= shedInOrder.indexOf(work)) return false
      counts.get(work)?.()
      return true
    }
    return {
      sheds,
      check: (work) => Effect.suspend(() => (sheds(work) ? Effect.fail(new Unavailable({ detail })) : Effect.void)),
      isOverloaded: () => levelOf() >= shedInOrder.length
    }
  })

/** Calls `measured` with the milliseconds of one whole turn of the event loop. */
const measureTurn = (measured: (turnMs: number) => void): void => {
  setImmediate(() => {
    const before = performance.now()
    setImmediate(() => measured(performance.now() - before))
  })
}

/** Sheds by a level that a test chooses. */
export const layerAt = (levelOf: () => number) =>
  Layer.effect(
    Shedding,
    Effect.map(make(levelOf), (shedding) => ({ ...shedding, noteWork: () => {}, watch: () => {} }))
  )

/** Sheds by how long the event loop takes for a turn, and by how many sends wait. Each change of the level is one line in the log. */
export const layer = Layer.effect(
  Shedding,
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const load = new LoadLevel(shedInOrder.length)
    const queues: Array<() => number> = []
    let isMeasuring = false
    let measuredAt = Number.NEGATIVE_INFINITY
    let again: NodeJS.Timeout | undefined
    const metrics = yield* Metrics
    metrics.read(loadLevel, () => load.level)

    const measured = (turnMs: number) => {
      isMeasuring = false
      measuredAt = monotonicMillis(clock)
      const waiting = queues.reduce((sum, length) => sum + length(), 0)
      if (load.measured({ turnMs, waiting }, measuredAt)) {
        const shed = shedInOrder.slice(0, load.level).join(", ")
        const fields = { loadLevel: load.level, turnMs: Math.round(turnMs), waiting }
        fork(
          load.level > 0
            ? Effect.logWarning("load is shed", { ...fields, shed })
            : Effect.logInfo("load is no longer shed", fields)
        )
      }
      // A level must end too when nothing comes in any longer.
      clearTimeout(again)
      if (load.level > 0) again = setTimeout(measure, everyMs.least).unref()
    }
    const measure = () => {
      if (isMeasuring) return
      isMeasuring = true
      measureTurn(measured)
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => clearTimeout(again)))

    return {
      ...(yield* make(() => load.level)),
      noteWork: () => {
        if (!isMeasuring && monotonicMillis(clock) - measuredAt >= everyMs.most) measure()
      },
      watch: (length) => {
        queues.push(length)
      }
    }
  })
)
