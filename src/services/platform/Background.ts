import { Cause, Context, Duration, Effect, Latch, Layer, Queue, Schema, type Scope } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import { Unavailable } from "../../domain/Problem.ts"
import { monotonicNow } from "./Monotonic.ts"
import { orUnavailable } from "./Sql.ts"

/**
 * Runs `effect`, and makes a failure or defect one line in the log. `Unavailable` is not logged, since `Readiness` logs
 * that a dependency is down.
 */
const logged = <E, R>(name: string, effect: Effect.Effect<unknown, E, R>) =>
  effect.pipe(
    Effect.catchIf(
      (error) => error instanceof Unavailable,
      () => Effect.void
    ),
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.logError(`${name} failed`, cause)
    )
  )

/**
 * The time until the next multiple of `interval` milliseconds on the monotonic clock, or until the one after it if that is
 * nearer than half of the interval. Loops that wait for it wake an idle process together, which costs a fraction of
 * waking it for each of them.
 */
export const untilNext = (interval: number): Effect.Effect<number> =>
  Effect.map(monotonicNow, (now) => {
    const left = interval - (now % interval)
    return left < interval / 2 ? left + interval : left
  })

/** Waits until the next multiple of `interval`, see `untilNext`. */
export const nextTick = (interval: Duration.Input): Effect.Effect<void> =>
  Effect.flatMap(untilNext(Duration.toMillis(interval)), Effect.sleep)

/**
 * Runs `effect` now, and again at each multiple of `interval` on the monotonic clock until the scope closes. A failure or
 * defect is one line in the log and does not end the loop.
 */
export const every = <E, R>(interval: Duration.Input, name: string, effect: Effect.Effect<unknown, E, R>) =>
  Effect.forkScoped(Effect.forever(Effect.andThen(logged(name, effect), nextTick(interval))))

/**
 * Makes a function that has `effect` run soon, until the scope closes. Calls while it runs are one further run together.
 * A failure or defect is one line in the log.
 */
export const makeWake = Effect.fnUntraced(function* <E, R>(name: string, effect: Effect.Effect<unknown, E, R>) {
  const calls = yield* Queue.sliding<void>(1)
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Queue.take(calls), logged(name, effect))))
  return () => {
    Queue.offerUnsafe(calls, undefined)
  }
})

/** Work that can wait begins so long after it was called for, so that much is done at once; in milliseconds. */
export const pacedDelay = 5000

/** A rest is so many times as long as the step before it … */
const restFactor = 4

/** … and at most so long, in milliseconds. */
const longestRest = 10_000

/**
 * Makes a function that has work that can wait done soon, until the scope closes: a while after the call, and then `step` by
 * step as long as it is true. After each step comes a rest that is longer by how long the step took. The step waits for the
 * database and its node, so the rests grow with the load of both, whoever makes it: the work takes at most a fifth of a core
 * when nothing else happens, and a small part of that when much does. A call during the work is not kept. A failure or defect
 * is one line in the log, and then the work is tried again like after a call.
 */
export const makePaced = Effect.fnUntraced(function* <E, R>(name: string, step: Effect.Effect<boolean, E, R>) {
  const called = yield* Latch.make()
  const rested = Effect.gen(function* () {
    const before = yield* monotonicNow
    const more = yield* step
    if (more) yield* Effect.sleep(Math.min(restFactor * ((yield* monotonicNow) - before), longestRest))
    return more
  })
  const turn = Effect.andThen(Effect.repeat(rested, { while: (more) => more }), called.close)
  yield* Effect.forkScoped(
    Effect.forever(called.await.pipe(Effect.andThen(Effect.sleep(pacedDelay)), Effect.andThen(logged(name, turn))))
  )
  return () => {
    called.openUnsafe()
  }
})

/** Looks at the database that happen each second, all of them in one statement. */
export class Looks extends Context.Service<
  Looks,
  {
    /**
     * Looks now and each second until the scope closes: asks `question`, a SELECT of one row, and gives the row to `see`,
     * with the time on the monotonic clock at which it began to ask. The columns have in `answer` the names that they have
     * in SQL.
     */
    readonly add: <A>(
      question: Statement.Fragment,
      answer: Schema.Codec<A, unknown>,
      see: (row: A, asked: number) => Effect.Effect<void>
    ) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/Looks") {
  static readonly layer = Layer.effect(
    Looks,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const looks = new Set<{
        readonly part: Statement.Fragment
        readonly take: (row: unknown, at: number) => Effect.Effect<unknown>
      }>()
      const askAll = Effect.gen(function* () {
        const asked = [...looks]
        if (asked.length === 0) return
        const at = yield* monotonicNow
        const [found] = yield* sql<{ readonly rows: ReadonlyArray<unknown> }>`
          WITH looks AS (SELECT json_build_array(${sql.csv(asked.map(({ part }) => part))}) AS rows)
          SELECT rows FROM looks`
        yield* Effect.forEach(asked, ({ take }, index) => take(found?.rows[index], at), { discard: true })
      }).pipe(orUnavailable)
      const ask = yield* makeWake("the look of each second", askAll)
      yield* every("1 second", "the look of each second", Effect.sync(ask))

      return Looks.of({
        add: (question, answer, see) => {
          const decode = Schema.decodeUnknownEffect(answer)
          const look = {
            part: sql`(SELECT to_json(q) FROM (${question}) AS q)`,
            // A bad look is one line in the log, so that the others see their rows.
            take: (row: unknown, at: number) =>
              logged(
                "a look of each second",
                Effect.flatMap(Effect.orDie(decode(row)), (found) => see(found, at))
              )
          }
          return Effect.acquireRelease(
            Effect.sync(() => {
              looks.add(look)
              ask()
            }),
            () => Effect.sync(() => looks.delete(look))
          )
        }
      })
    })
  )
}
