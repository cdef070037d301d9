import { Session } from "node:inspector/promises"
import { flushCompileCache } from "node:module"
import { Cause, Effect, Exit, Fiber, Runtime } from "effect"

const signals = { SIGINT: 2, SIGTERM: 15 }

/**
 * Two signals within this time count as one. A Ctrl-C arrives twice, from the terminal and from npm, and a supervisor may
 * signal both npm and its child.
 */
const sameSignalMillis = 250

/**
 * Runs the program of this process. The first SIGTERM or SIGINT interrupts it, and the process exits after its
 * finalizers. SIGHUP is ignored, because others read their settings again then and nobody expects an end. A second signal
 * ends it at once. The exit code is 0 if the program succeeded or was interrupted and its finalizers succeeded, 1 if it
 * failed, and 128 + the number of the signal if it was ended at once. The program itself must report its errors.
 */
export const runMain = Runtime.makeRunMain(({ fiber }) => {
  let stopAt: number | undefined
  for (const [signal, number] of Object.entries(signals)) {
    process.on(signal, () => {
      if (stopAt === undefined) {
        stopAt = performance.now()
        fiber.interruptUnsafe(fiber.id)
      } else if (performance.now() - stopAt > sameSignalMillis) {
        process.exit(128 + number)
      }
    })
  }
  process.on("SIGHUP", () => {})
  fiber.addObserver((exit) => {
    const stopped = stopAt !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    process.exit(Exit.isSuccess(exit) || stopped ? 0 : 1)
  })
})

/** The share of the time for a stop after which it is cut short. The rest is for the end of the process itself. */
const cutAfter = 0.95

/**
 * Runs `service`. If it has not ended shortly before `timeout` (in milliseconds) after an interruption, the effect dies
 * without waiting longer, so that the process ends within that time.
 */
export const stopWithin =
  (timeout: number) =>
  <A, E, R>(service: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkDetach(service, { startImmediately: true })
      const stop = Effect.gen(function* () {
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) yield* Effect.orDie(exit)
      }).pipe(
        Effect.interruptible,
        Effect.timeoutOrElse({
          duration: timeout * cutAfter,
          orElse: () => Effect.die(new Error("the service did not stop in time (shutdown.timeout)"))
        })
      )
      return yield* Fiber.join(fiber).pipe(Effect.onInterrupt(() => stop))
    })

/**
 * Writes what V8 has compiled so far, for the next start, which compiles the same. At the end of the process it would be
 * too late: V8 forgets the code of functions that have not run for a while.
 */
export const keepCompiled = Effect.sync(flushCompileCache)

/**
 * Gives back the memory that only a start needs. Without that, an idle process keeps it: a third of all that it has.
 */
export const collectGarbage = Effect.promise(async () => {
  const session = new Session()
  session.connect()
  await session.post("HeapProfiler.collectGarbage")
  session.disconnect()
})
