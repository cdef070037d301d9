import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Logger } from "effect"
import { startEmbeddedPostgres } from "../../src/layers/EmbeddedPostgres.ts"

/** A stand-in for the service: `node embeddedMain.ts <dataDir> <durability> [<native>]`, one JSON line when it is up. */
const [, , dataDir = "", durability, native] = process.argv

// An exit that runs no finalizers, as a second signal makes it.
process.once("SIGUSR2", () => process.exit(3))

startEmbeddedPostgres({ dataDir, durability: durability === "full" ? "full" : "test", native }).pipe(
  Effect.flatMap((address) => Console.log(JSON.stringify({ address }))),
  Effect.andThen(Effect.never),
  Effect.tapError((error) => Console.log(JSON.stringify({ error }))),
  Effect.scoped,
  Effect.provide(Logger.layer([Logger.consoleJson])),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
