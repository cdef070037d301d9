import { readFileSync } from "node:fs"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Schema } from "effect"
import { commandLine } from "./layers/CommandLine.ts"
import * as Logging from "./layers/Logging.ts"
import { runMain } from "./layers/Process.ts"

/** Runs the service until it is interrupted. */
export const serve = Effect.logInfo("listening").pipe(Effect.andThen(Effect.never), Effect.provide(Logging.layer))

/** Brings the database up to date. */
export const migrate = Effect.logInfo("migrated").pipe(Effect.provide(Logging.layer))

const { version } = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))(
  readFileSync(new URL("../package.json", import.meta.url), "utf8")
)

commandLine({ serve, migrate }, version).pipe(
  Effect.provide(NodeServices.layer),
  runMain({ disableErrorReporting: true })
)
