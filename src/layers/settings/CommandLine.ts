import { Cause, Console, Effect, Layer, Option } from "effect"
import { Argument, CliConfig, CliError, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import { Settings } from "../../services/platform/Settings.ts"
import { invocation } from "./Invocation.ts"
import { stopWithin } from "./Process.ts"
import { layer, load, type SettingsInput, toYaml } from "./Settings.ts"

/**
 * The actions of the commands, which need the settings. `serve` runs until it is interrupted; the others end by
 * themselves.
 */
interface Actions<E, R> {
  readonly serve: Effect.Effect<void, E, R | Settings>
  readonly migrate: Effect.Effect<void, E, R | Settings>
  readonly backup: (file: string) => Effect.Effect<void, E, R | Settings>
  readonly restore: (file: string) => Effect.Effect<void, E, R | Settings>
}

const setting = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const flags = {
  config: setting("config", "<file>", "Read the settings of this YAML file; without it no file is read"),
  port: setting("port", "<number>", "Set server.port; 0 takes a free one"),
  dataDir: setting(
    "data-dir",
    "<directory>",
    "Set data.dir, for the embedded PostgreSQL, the generated signing key and files"
  ),
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

/** The settings of a command of the command line, with the signing key. */
type SettingsOfCommand = Layer.Layer<
  Settings,
  Layer.Error<ReturnType<typeof layer>>,
  Layer.Services<ReturnType<typeof layer>> | Command.CommandContext<"chat-service">
>

/** What a value must be, in words of ours or as a list of literals. The library's other words do not help. */
const wanted = (expected: string) => {
  const words = expected.replace("Schema validation failed: ", "")
  return words.startsWith("must ") ? words : words.startsWith('"') ? `must be ${words}` : "needs a value"
}

/** Describes an invalid invocation in one line. It contains no values, because one may be a misplaced secret. */
const explain = (error: CliError.NonShowHelpErrors): string => {
  switch (error._tag) {
    case "UnknownSubcommand":
      return error.suggestions.length > 0 ? `unknown command; did you mean ${error.suggestions[0]}?` : "unknown command"
    case "UnexpectedArgument":
      return "unexpected argument"
    case "UnrecognizedOption":
      return `unknown flag ${error.option}`
    case "InvalidValue":
      return `${error.kind === "flag" ? `--${error.option}` : `<${error.option}>`} ${wanted(error.expected)}`
    default:
      return error.message
  }
}

const presenter = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
          `chat-service: ${event.errors.map(explain).join("; ")}; ${invocation} --help lists commands and flags`
        )
      : CliOutput.defaultPresenter.present(event)
})

/** Reports a failure, which the user can correct, in one line, and a defect with its stack trace. */
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
  {
    command: invocation.replace(/ --$/, ""),
    description: "A complete node on http://localhost:8080 with its data in ./data"
  },
  { command: `${invocation} --config config.yaml`, description: "With PostgreSQL, Redis and NATS servers" },
  { command: `${invocation} --set limits.page_size=500 config`, description: "Print the effective settings" }
]

/**
 * The command line. Without a command it serves; `config` prints the effective settings without secrets, `migrate` brings
 * the database up to date, and `backup` and `restore` copy the embedded database to a file and back. `others` makes more
 * commands, which get the settings as a Layer. Flags override the variables `CHAT_…`, which override the file of
 * `--config`. Errors are
 * reported on stderr: a typed error by its message in one line, a defect with its stack trace.
 */
export const commandLine = <E, R, const Others extends ReadonlyArray<Command.Command.SubcommandEntry>>(
  actions: Actions<E, R>,
  version: string,
  others: (settings: SettingsOfCommand) => Others
) => {
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
  const file = { file: Argument.String("file").pipe(Argument.withDescription("The path of the backup")) }
  const onFile = (act: Actions<E, R>["backup"]) =>
    Effect.fnUntraced(function* ({ file }: { readonly file: string }) {
      yield* Effect.provide(act(file), Layer.effect(Settings, load(yield* input)))
    })
  const backup = Command.make("backup", file, onFile(actions.backup)).pipe(
    Command.withDescription(
      "Write the embedded database, the signing key and files to one file, while the service runs or not"
    )
  )
  const restore = Command.make("restore", file, onFile(actions.restore)).pipe(
    Command.withDescription(
      "Bring back the embedded database, the signing key and files of a backup, where data.dir has no database"
    )
  )
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
    Command.withSubcommands([config, migrate, backup, restore, ...others(Layer.unwrap(Effect.map(input, layer)))]),
    Command.withExamples(examples),
    Command.run({ version }),
    Effect.tapCause(report),
    Effect.provide([presenter, CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version] })])
  )
}
