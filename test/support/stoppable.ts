import { Console, Effect } from "effect"
import { runMain, stopWithin } from "../../src/layers/settings/Process.ts"

/** A program for Process.test.ts: runs until it is interrupted, and then stops in the way that its argument names. */
const stop = {
  clean: Console.log("drained"),
  stuck: Effect.never,
  broken: Effect.die(new Error("broken"))
}

const way = process.argv[2] === "stuck" || process.argv[2] === "broken" ? process.argv[2] : "clean"

Console.log("running").pipe(
  Effect.andThen(Effect.never),
  Effect.onInterrupt(() => stop[way]),
  stopWithin(Number(process.argv[3] ?? 10_000)),
  runMain({ disableErrorReporting: true })
)
