import { Cause, Clock, Effect, Schedule, type Tracer } from "effect"
import { Unavailable } from "../../../domain/Problem.ts"
import { nextTick } from "../Background.ts"
import { commitBatch, commitDuration, commitQueue } from "../MetricDefinitions.ts"
import { Metrics } from "../Metrics.ts"
import { monotonicMillis } from "../Monotonic.ts"
import { sampledSpan } from "../Tracing.ts"
import { Shedding } from "./Shedding.ts"

/** One input to commit, and the caller that waits for it. */
export interface Pending<In, Out, E> {
  readonly input: In
  /** When it was submitted, in milliseconds of the monotonic clock. */
  readonly since: number
  /** The span in which the caller waits, when that is traced. The commit is not its child: it serves many callers. */
  readonly span: Tracer.AnySpan | undefined
  /** Answers the caller. Only the first answer counts. */
  readonly answer: (result: Effect.Effect<Out, E | Unavailable>) => void
}

interface Options<In, Out, E> {
  /** The label of the metrics. */
  readonly queue: "messages" | "reads" | "deliveries" | "presence" | "audit" | "sessions"
  readonly capacity: number
  readonly maxBatch: number
  readonly patienceMs: number
  readonly startsBatch?: (batch: ReadonlyArray<In>, next: In) => boolean
  readonly commit: (batch: ReadonlyArray<Pending<In, Out, E>>) => Effect.Effect<void>
}

const tooBusy = Effect.fail(new Unavailable({ detail: "Too many writes are waiting; retry with the same id" }))
const tooLate = Effect.fail(new Unavailable({ detail: "The service is stopping; retry with the same id" }))
const tooLong = Effect.fail(new Unavailable({ detail: "The write took too long; retry with the same id" }))

/**
 * The usual size of a queue: how many entries may wait, how many go into one batch, and how long one may wait, in
 * milliseconds.
 */
export const queueSize = { capacity: 20_000, maxBatch: 256, patienceMs: 10_000 }

/** Waits for the rest of this turn of the event loop, so that a batch has all the inputs that arrived in it. */
const restOfTurn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** An entry that waits, among those that wait longer and shorter. */
interface Waiting<In, Out, E> extends Pending<In, Out, E> {
  waits: boolean
  before: Waiting<In, Out, E> | undefined
  after: Waiting<In, Out, E> | undefined
}

/**
 * Makes the queue: the entries whose callers wait for an answer, and those of them that no batch has taken yet.
 *
 * The first are a linked list, and what leaves it keeps no link. A set would leave one table of entries after the other, and
 * V8 keeps all that such a dead table names, and the next table, until it collects the whole heap.
 */
const makeQueue = <In, Out, E>({ maxBatch, startsBatch }: Options<In, Out, E>) => {
  let oldest: Waiting<In, Out, E> | undefined
  let newest: Waiting<In, Out, E> | undefined
  let size = 0
  let queue: Array<Waiting<In, Out, E>> = []

  const remove = (entry: Waiting<In, Out, E>) => {
    const { after, before } = entry
    if (before === undefined) oldest = after
    else before.after = after
    if (after === undefined) newest = before
    else after.before = before
    entry.before = undefined
    entry.after = undefined
    entry.waits = false
    size--
  }

  return {
    size: () => size,
    hasMore: () => queue.length > 0,
    add: (entry: Omit<Pending<In, Out, E>, "answer">, resume: Pending<In, Out, E>["answer"]) => {
      const waiting: Waiting<In, Out, E> = {
        ...entry,
        answer: (result) => {
          if (!waiting.waits) return
          remove(waiting)
          resume(result)
        },
        waits: true,
        before: newest,
        after: undefined
      }
      if (newest === undefined) oldest = waiting
      else newest.after = waiting
      newest = waiting
      size++
      queue.push(waiting)
    },
    /** Takes the next batch. It may be empty while there is more. */
    take: () => {
      const batch: Array<Pending<In, Out, E>> = []
      const inputs: Array<In> = []
      let taken = 0
      for (const waiting of queue) {
        if (batch.length === maxBatch || startsBatch?.(inputs, waiting.input)) break
        taken++
        // A caller that got `Unavailable` retries. Committing entries without a caller would only prolong an overload.
        if (!waiting.waits) continue
        batch.push(waiting)
        inputs.push(waiting.input)
      }
      queue = queue.slice(taken)
      return batch
    },
    /** Answers the callers that have waited since `latest` or longer with `Unavailable`. */
    giveUp: (latest: number) => {
      while (oldest !== undefined && oldest.since <= latest) oldest.answer(tooLong)
    }
  }
}

/**
 * Commits the inputs of many callers in as few calls as possible, without a timer: the next batch gathers while one is
 * on its way, so an idle service answers after one round trip and a busy one shares it.
 *
 * At most `capacity` entries wait. Beyond that, and for an entry without an answer within `patienceMs`, the answer is
 * `Unavailable`, which does not tell whether the entry was committed. Interrupting a caller cancels nothing.
 * `commit` answers the entries of its batch, or keeps some for later; `startsBatch` says when an entry must not share a
 * batch with those before it. Closing the scope waits for the submitted entries, but at most `patienceMs`; later ones
 * are answered with `Unavailable`.
 */
export const makeGroupCommit = Effect.fnUntraced(function* <In, Out, E>(options: Options<In, Out, E>) {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const queue = makeQueue(options)
  const labels = { queue: options.queue }
  const metrics = yield* Metrics
  const batchSize = metrics.histogram(commitBatch, labels)
  const duration = metrics.histogram(commitDuration, labels)
  metrics.read(commitQueue, queue.size, labels)
  if (options.queue === "messages") (yield* Shedding).watch(queue.size)
  const scope = yield* Effect.scope
  let running = false
  let watching = false
  let closed = false

  const drain = Effect.gen(function* () {
    yield* restOfTurn
    while (queue.hasMore()) {
      const batch = queue.take()
      if (batch.length === 0) continue
      const since = clock.monotonicTimeNanosUnsafe()
      yield* options.commit(batch).pipe(
        Effect.catchCause((cause) =>
          Effect.sync(() => {
            for (const pending of batch) pending.answer(Effect.failCause(Cause.die(Cause.squash(cause))))
          })
        )
      )
      batchSize(batch.length)
      duration(Number(clock.monotonicTimeNanosUnsafe() - since) / 1e9)
    }
    running = false
  }).pipe(Effect.uninterruptible)

  /** Gives up entries that wait too long, until none is left: an idle queue has no timer. */
  const watch = Effect.gen(function* () {
    while (queue.size() > 0) {
      yield* nextTick("1 second")
      queue.giveUp(monotonicMillis(clock) - options.patienceMs)
    }
    watching = false
  })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
    }).pipe(
      Effect.repeat({ until: () => queue.size() === 0, schedule: Schedule.spaced("20 millis") }),
      Effect.timeoutOption(options.patienceMs),
      Effect.andThen(Effect.sync(() => queue.giveUp(Number.POSITIVE_INFINITY)))
    )
  )

  /** Succeeds when the entry is committed. */
  const submit = (input: In): Effect.Effect<Out, E | Unavailable> =>
    Effect.withFiber((fiber) => enqueue(input, sampledSpan(fiber)))

  const enqueue = (input: In, span: Tracer.AnySpan | undefined) =>
    Effect.callback<Out, E | Unavailable>((resume) => {
      if (closed) return resume(tooLate)
      if (queue.size() >= options.capacity) return resume(tooBusy)
      queue.add({ input, span, since: monotonicMillis(clock) }, resume)
      if (!watching) {
        watching = true
        fork(Effect.forkIn(watch, scope))
      }
      if (running) return
      running = true
      fork(drain)
    })

  return { submit, size: queue.size }
})
