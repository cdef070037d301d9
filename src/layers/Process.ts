import { Cause, type Duration, Effect, Exit, Fiber, Runtime } from "effect"

const signals = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 }

/** npm and a terminal both pass on a Ctrl-C, and a supervisor may signal npm and its child: one wish, two signals. */
const sameWishMillis = 250

/**
 * Runs the program of this process. The first SIGTERM, SIGINT or SIGHUP interrupts it, and the process ends when its
 * finalizers have: with 0 when they succeeded, so a drained stop is no failure. A second signal ends it at once. Exit
 * codes: 0 done or drained, 1 failed, 128 + signal when ended at once. Reports nothing: the program does.
 */
export const runMain = Runtime.makeRunMain(({ fiber }) => {
  let stopAt: number | undefined
  for (const [signal, number] of Object.entries(signals)) {
    process.on(signal, () => {
      if (stopAt === undefined) {
        stopAt = performance.now()
        fiber.interruptUnsafe(fiber.id)
      } else if (performance.now() - stopAt > sameWishMillis) {
        process.exit(128 + number)
      }
    })
  }
  fiber.addObserver((exit) => {
    const stopped = stopAt !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    process.exit(Exit.isSuccess(exit) || stopped ? 0 : 1)
  })
})

/** Lets `service` take at most `timeout` to end after it was interrupted; then it dies, whatever hangs. */
export const stopWithin =
  (timeout: Duration.Input) =>
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
          duration: timeout,
          orElse: () => Effect.die(new Error("the service did not stop in time (shutdown.timeout)"))
        })
      )
      return yield* Fiber.join(fiber).pipe(Effect.onInterrupt(() => stop))
    })
