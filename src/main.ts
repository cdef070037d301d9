import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { App, Database } from "./App.ts"
import { commandLine } from "./layers/CommandLine.ts"
import * as Logging from "./layers/Logging.ts"
import { runMain } from "./layers/Process.ts"
import * as Tracing from "./layers/Tracing.ts"
import { version } from "./Version.ts"

/** Runs the service until it is interrupted. */
const serve = Layer.launch(App).pipe(Effect.provide(Tracing.layer(version).pipe(Layer.provideMerge(Logging.layer))))

/** Brings the database up to date. */
const migrate = Layer.build(Database).pipe(Effect.scoped, Effect.asVoid, Effect.provide(Logging.layer))

commandLine({ serve, migrate }, version).pipe(
  Effect.provide(NodeServices.layer),
  runMain({ disableErrorReporting: true })
)
