import { Cause, Clock, Effect, Schedule, type Tracer } from "effect"
import { Unavailable } from "../domain/Problem.ts"
import { every } from "./Background.ts"
import { commitBatch, commitDuration, commitQueue } from "./MetricDefinitions.ts"
import { Metrics } from "./Metrics.ts"
import { sampledSpan } from "./Tracing.ts"

/** One thing to commit, and who waits for it. Only the first answer counts. */
export interface Pending<In, Out, E> {
  readonly input: In
  readonly since: number
  /** In which it waits, when that is traced: the commit is no part of it by itself. */
  readonly span: Tracer.AnySpan | undefined
  readonly answer: (result: Effect.Effect<Out, E | Unavailable>) => void
}

/** What came together is read in one turn of the event loop: a batch that starts with it takes all of it. */
const restOfTurn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/**
 * Commits what many callers submit in as few calls as possible, without a timer: while one batch is on its way the
 * next one gathers, so an idle service answers after one round trip and a busy one shares it.
 *
 * At most `capacity` entries wait; beyond that, and for an entry that got no answer within `patienceMs`, the answer is
 * `Unavailable`, which does not tell whether the entry was committed. A caller that leaves cancels nothing.
 * `commit` answers the entries of its batch, or keeps some for later; `startsBatch` says when an entry must not share a
 * batch with those before it. Closing the scope waits for what was submitted, as long as that;
 * whatever comes later is `Unavailable`.
 */
export const makeGroupCommit = Effect.fnUntraced(function* <In, Out, E>(options: {
  /** As the metrics call it. */
  readonly queue: "messages" | "reads" | "deliveries" | "presence"
  readonly capacity: number
  readonly maxBatch: number
  readonly patienceMs: number
  readonly startsBatch?: (batch: ReadonlyArray<In>, next: In) => boolean
  readonly commit: (batch: ReadonlyArray<Pending<In, Out, E>>) => Effect.Effect<void>
}) {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const waiting = new Set<Pending<In, Out, E>>()
  const { queue: name } = options
  const metrics = yield* Metrics
  const batchSize = metrics.histogram(commitBatch, { queue: name })
  const duration = metrics.histogram(commitDuration, { queue: name })
  metrics.read(commitQueue, () => waiting.size, { queue: name })
  let queue: Array<Pending<In, Out, E>> = []
  let running = false
  let closed = false

  const tooBusy = Effect.fail(new Unavailable({ detail: "Too many writes are waiting; retry with the same id" }))
  const tooLate = Effect.fail(new Unavailable({ detail: "The service is stopping; retry with the same id" }))
  const tooLong = Effect.fail(new Unavailable({ detail: "The write took too long; retry with the same id" }))

  const take = () => {
    const batch: Array<Pending<In, Out, E>> = []
    const inputs: Array<In> = []
    let taken = 0
    for (const pending of queue) {
      if (batch.length === options.maxBatch || options.startsBatch?.(inputs, pending.input)) break
      taken++
      // Who was told `Unavailable` retries: committing what nobody waits for would only keep an overload going.
      if (!waiting.has(pending)) continue
      batch.push(pending)
      inputs.push(pending.input)
    }
    queue = queue.slice(taken)
    return batch
  }

  const drain = Effect.gen(function* () {
    yield* restOfTurn
    while (queue.length > 0) {
      const batch = take()
      if (batch.length === 0) continue
      const since = clock.currentTimeNanosUnsafe()
      yield* options.commit(batch).pipe(
        Effect.catchCause((cause) =>
          Effect.sync(() => {
            for (const pending of batch) pending.answer(Effect.failCause(Cause.die(Cause.squash(cause))))
          })
        )
      )
      batchSize(batch.length)
      duration(Number(clock.currentTimeNanosUnsafe() - since) / 1e9)
    }
    running = false
  }).pipe(Effect.uninterruptible)

  const giveUp = Effect.sync(() => {
    const oldest = clock.currentTimeMillisUnsafe() - options.patienceMs
    for (const pending of waiting) {
      if (pending.since > oldest) break
      pending.answer(tooLong)
    }
  })
  yield* every("1 second", "giving up what waits too long", giveUp)

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
    }).pipe(
      Effect.repeat({ until: () => waiting.size === 0, schedule: Schedule.spaced("20 millis") }),
      Effect.timeoutOption(options.patienceMs),
      Effect.andThen(
        Effect.sync(() => {
          for (const pending of waiting) pending.answer(tooLong)
        })
      )
    )
  )

  /** Answers when the entry is committed. */
  const submit = (input: In): Effect.Effect<Out, E | Unavailable> =>
    Effect.withFiber((fiber) => enqueue(input, sampledSpan(fiber)))

  const enqueue = (input: In, span: Tracer.AnySpan | undefined) =>
    Effect.callback<Out, E | Unavailable>((resume) => {
      if (closed) return resume(tooLate)
      if (waiting.size >= options.capacity) return resume(tooBusy)
      const pending: Pending<In, Out, E> = {
        input,
        span,
        since: clock.currentTimeMillisUnsafe(),
        answer: (result) => {
          if (waiting.delete(pending)) resume(result)
        }
      }
      waiting.add(pending)
      queue.push(pending)
      if (running) return
      running = true
      fork(drain)
    })

  return { submit, size: () => waiting.size }
})
