import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect } from "effect"
import { commandLine } from "../../src/layers/settings/CommandLine.ts"
import { runMain } from "../../src/layers/settings/Process.ts"

/**
 * The command line of the service without the service, because loading the whole program takes several times as long.
 */
commandLine(
  { serve: Effect.void, migrate: Effect.void, backup: () => Effect.void, restore: () => Effect.void },
  "0.0.0",
  () => []
).pipe(Effect.provide(NodeServices.layer), runMain({ disableErrorReporting: true }))
