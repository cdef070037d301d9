import { Array as Arr, Cause, Effect, Formatter, Layer, Logger, LogLevel, References } from "effect"
import { Settings, type SettingsShape } from "../../services/platform/Settings.ts"
import { sampledSpan } from "../../services/platform/Tracing.ts"

const levelNames = {
  All: "DEBUG",
  Trace: "DEBUG",
  Debug: "DEBUG",
  Info: "INFO",
  Warn: "WARN",
  Error: "ERROR",
  Fatal: "ERROR",
  None: "ERROR"
} as const

const minimumLevels = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const

const isFields = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

const words = (value: unknown) => (typeof value === "string" ? value : Formatter.formatJson(value))

const entryOf = ({ cause, date, fiber, logLevel, message }: Logger.Options<unknown>) => {
  const parts = Arr.ensure(message)
  const span = sampledSpan(fiber)
  const base = {
    time: date.toISOString(),
    level: levelNames[logLevel],
    message: parts
      .filter((part) => !isFields(part))
      .map(words)
      .join(" ")
  }
  const fields = Object.fromEntries([
    ...parts.filter(isFields).flatMap(Object.entries),
    ...Object.entries(fiber.getRef(References.CurrentLogAnnotations)),
    ...(span ? [["traceId", span.traceId] as const, ["spanId", span.spanId] as const] : []),
    ...(cause.reasons.length > 0 ? [["cause", Cause.pretty(cause)] as const] : [])
  ])
  // `base` comes twice: the first decides the order, and the second keeps fields from replacing its values.
  return { base, fields, all: { ...base, ...fields, ...base } }
}

const escaped = (text: string) =>
  text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

const toJson = (options: Logger.Options<unknown>) => escaped(Formatter.formatJson(entryOf(options).all))

const toPretty = (options: Logger.Options<unknown>) => {
  const { base, fields } = entryOf(options)
  const { cause, ...rest } = fields
  return [
    [
      base.time.slice(11, 23),
      base.level.padEnd(5),
      escaped(base.message),
      ...Object.entries(rest).map(([key, value]) => escaped(`${key}=${words(value)}`))
    ].join(" "),
    ...(typeof cause === "string" ? cause.split("\n").map((line) => `    ${escaped(line)}`) : [])
  ].join("\n")
}

/** The lowest level that a logger writes. It may change while the logger is in use. */
interface Threshold {
  level: SettingsShape["logging"]["level"]
}

/**
 * A logger that passes each entry, without a line end, to `write`. The message of `Effect.log*` may be followed by plain
 * objects. Their keys, the annotations (such as `requestId`), the ids of the trace and the span, and the cause become
 * fields next to `time`, `level` and `message`. Control characters are escaped in all text, so that no text can begin a
 * new line or control a terminal.
 */
export const makeLogger = (
  format: "json" | "pretty",
  write: (line: string) => void,
  threshold: Readonly<Threshold> = { level: "debug" }
) =>
  Logger.make((options) => {
    if (LogLevel.isLessThan(options.logLevel, minimumLevels[threshold.level])) return
    write(format === "json" ? toJson(options) : toPretty(options))
  })

/**
 * Each SIGUSR2 switches between the level of the settings and `debug`. The line about it is written at the lower of
 * the two.
 */
const switchOnSignal = Effect.fnUntraced(function* (threshold: Threshold) {
  const { level: configured } = threshold
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const say = (level: string) => fork(Effect.logInfo("log level changed", { level }))
  const onSignal = () => {
    if (threshold.level === "debug") {
      say(configured)
      threshold.level = configured
    } else {
      threshold.level = "debug"
      say("debug")
    }
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGUSR2", onSignal)),
    () => Effect.sync(() => process.off("SIGUSR2", onSignal))
  )
})

/**
 * Replaces the default logger by one with the settings `logging.level`, `logging.format` and `logging.output`. Without a
 * format, lines for reading go to a terminal and JSON goes to everything else. SIGUSR2 turns `debug` on and off.
 */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const { format, level, output } = (yield* Settings).logging
    const stream = process[output]
    const given = format ?? (stream.isTTY ? "pretty" : "json")
    // The reader of the log has closed it. That cannot be logged, and the service continues.
    stream.on("error", () => {})
    const threshold = { level }
    return Layer.effectDiscard(switchOnSignal(threshold)).pipe(
      Layer.provideMerge(
        Layer.merge(
          Logger.layer([makeLogger(given, (line) => stream.write(`${line}\n`), threshold)]),
          // The logger itself drops entries below the threshold, because the threshold can change.
          Layer.succeed(References.MinimumLogLevel, "Debug")
        )
      )
    )
  })
)
