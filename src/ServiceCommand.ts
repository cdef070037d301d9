import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { Command } from "effect/cli"
import { App, Operator } from "./App.ts"
import * as Backup from "./layers/postgres/EmbeddedBackup.ts"
import * as Database from "./layers/postgres/layer.ts"
import { commandLine } from "./layers/settings/CommandLine.ts"
import { collectGarbage, keepCompiled, runMain } from "./layers/settings/Process.ts"
import * as Logging from "./layers/telemetry/Logging.ts"
import * as Tracing from "./layers/telemetry/Tracing.ts"
import { adminCommand } from "./operator/AdminCommand.ts"
import { tokenCommand } from "./operator/TokenCommand.ts"
import { Settings, type SettingsShape } from "./services/platform/Settings.ts"
import { version } from "./Version.ts"

/** Runs the service until it is interrupted. */
const serve = Layer.launch(
  Layer.effectDiscard(Effect.andThen(keepCompiled, collectGarbage)).pipe(Layer.provide(App))
).pipe(Effect.provide(Tracing.layer(version).pipe(Layer.provideMerge(Logging.layer))))

/** Brings the database up to date. */
const migrate = Layer.build(Database.layer).pipe(Effect.scoped, Effect.asVoid, Effect.provide(Logging.layer))

/** Copies the embedded database to a file, and back. */
const backup = (file: string) => Backup.ofSettings(Backup.backUp, file).pipe(Effect.provide(Logging.layer))
const restore = (file: string) => Backup.ofSettings(Backup.restore, file).pipe(Effect.provide(Logging.layer))

/** For commands that print their answer, the log is what went wrong. */
const forCommands = (settings: SettingsShape): SettingsShape => ({
  ...settings,
  logging: { ...settings.logging, level: settings.logging.level === "debug" ? "debug" : "warn", output: "stderr" }
})

commandLine({ serve, migrate, backup, restore }, version, (settings) => {
  const operator = Operator.pipe(
    Layer.provide(Logging.layer),
    Layer.provideMerge(Layer.effect(Settings, Effect.map(Settings, forCommands))),
    Layer.provide(settings)
  )
  return [tokenCommand.pipe(Command.provide(operator)), adminCommand.pipe(Command.provide(operator))]
}).pipe(Effect.provide(NodeServices.layer), runMain({ disableErrorReporting: true }))
