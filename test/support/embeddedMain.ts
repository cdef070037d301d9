import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Logger, References } from "effect"
import { startEmbeddedPostgres } from "../../src/layers/postgres/EmbeddedPostgres.ts"

/** A stand-in for the service: `node embeddedMain.ts <dataDir> <durability> [<native>]`, one JSON line when it is up. */
const [, , dataDir = "", durability, native] = process.argv

// Exits without finalizers, as a second signal makes the service do.
process.once("SIGUSR2", () => process.exit(3))

startEmbeddedPostgres({ dataDir, durability: durability === "full" ? "full" : "test", native }).pipe(
  Effect.flatMap((address) => Console.log(JSON.stringify({ address }))),
  Effect.andThen(Effect.never),
  Effect.tapError((error) => Console.log(JSON.stringify({ error }))),
  Effect.scoped,
  Effect.provide(Logger.layer([Logger.consoleJson])),
  Effect.provideService(References.MinimumLogLevel, "Debug"),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
