import { Cause, Console, Effect, Layer, Option } from "effect"
import { CliConfig, CliError, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import { Settings } from "../services/Settings.ts"
import { stopWithin } from "./Process.ts"
import { layer, load, type SettingsInput, toYaml } from "./Settings.ts"

/** What the commands do, given the settings: `serve` runs until it is interrupted, `migrate` ends by itself. */
export interface Actions<E, R> {
  readonly serve: Effect.Effect<void, E, R | Settings>
  readonly migrate: Effect.Effect<void, E, R | Settings>
}

const setting = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const flags = {
  config: setting("config", "<file>", "Read the settings of this YAML file; without it no file is read"),
  port: setting("port", "<number>", "Set server.port; 0 takes a free one"),
  dataDir: setting("data-dir", "<directory>", "Set data.dir, where embedded PostgreSQL and the signing key live"),
  logLevel: setting("log-level", "<level>", "Set logging.level: debug, info, warn or error"),
  logFormat: setting("log-format", "<format>", "Set logging.format: json or pretty"),
  set: Flag.String("set").pipe(
    Flag.withMetavar("<section.key=value>"),
    Flag.withDescription("Set any setting; may be repeated. Put secrets into CHAT_<SECTION>__<KEY>_FILE instead"),
    Flag.atLeast(0)
  )
}

const shorthands = { port: "server.port", dataDir: "data.dir", logLevel: "logging.level", logFormat: "logging.format" }

type Given = { readonly [F in Exclude<keyof typeof flags, "set">]: Option.Option<string> } & {
  readonly set: ReadonlyArray<string>
}

const toInput = (given: Given): SettingsInput => ({
  config: Option.getOrUndefined(given.config),
  flags: [
    ...given.set,
    ...(["port", "dataDir", "logLevel", "logFormat"] as const).flatMap((name) =>
      Option.toArray(given[name]).map((value) => `${shorthands[name]}=${value}`)
    )
  ]
})

/** A line for a call that cannot be understood. Values stay out of it: one may be a misplaced secret. */
const explain = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnknownSubcommand":
      return error.suggestions.length > 0 ? `unknown command; did you mean ${error.suggestions[0]}?` : "unknown command"
    case "UnexpectedArgument":
      return "a word too many"
    case "UnrecognizedOption":
      return `unknown flag ${error.option}`
    case "InvalidValue":
      return `--${error.option} needs a value`
    default:
      return error.message
  }
}

const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`chat-service: ${event.errors.map(explain).join("; ")}; npm start -- --help shows what there is`)
      : CliOutput.defaultPresenter.present(event)
})

/** A failure is something that its user can change, and one line says it; a defect is shown whole. */
const report = (cause: Cause.Cause<unknown>) => {
  const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (Cause.hasInterruptsOnly(cause) || CliError.isCliError(failure)) return Effect.void
  return Console.error(
    failure instanceof Error
      ? `chat-service: ${failure.message.replace(/\p{Cc}+/gu, " ")}`
      : `chat-service: ${Cause.pretty(cause)}`
  )
}

const examples = [
  { command: "npm start", description: "A complete node on http://localhost:8080 with its data in ./data" },
  { command: "npm start -- --config config.yaml", description: "With PostgreSQL, Redis and NATS servers" },
  { command: "npm start -- --set limits.page_size=500 config", description: "What the settings come to" }
]

/**
 * The command line: no command serves, `config` prints the effective settings without secrets, `migrate` brings the
 * database up to date. Settings come from the flags above `CHAT_…` above `--config`. What fails is
 * reported on stderr: a typed error by its message in one line, a defect whole.
 */
export const commandLine = <E, R>(actions: Actions<E, R>, version: string) => {
  const root = Command.make("chat-service").pipe(Command.withSharedFlags(flags))
  const input = Effect.map(root, toInput)
  const config = Command.make(
    "config",
    {},
    Effect.fnUntraced(function* () {
      yield* Console.log(toYaml(yield* load(yield* input)))
    })
  ).pipe(Command.withDescription("Print the effective settings as YAML, secrets redacted, and exit"))
  const migrate = Command.make(
    "migrate",
    {},
    Effect.fnUntraced(function* () {
      yield* Effect.provide(actions.migrate, Layer.effect(Settings, load(yield* input)))
    })
  ).pipe(Command.withDescription("Bring the database up to date, and exit"))
  return root.pipe(
    Command.withDescription("A chat backend: HTTP, WebSocket and RPC"),
    Command.withHandler(
      Effect.fnUntraced(function* (given) {
        const service = Effect.gen(function* () {
          const { shutdown } = yield* Settings
          yield* stopWithin(shutdown.timeout)(actions.serve)
        })
        yield* Effect.provide(service, layer(toInput(given)))
      })
    ),
    Command.withSubcommands([config, migrate]),
    Command.withExamples(examples),
    Command.run({ version }),
    Effect.tapCause(report),
    Effect.provide([presenter, CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })])
  )
}
