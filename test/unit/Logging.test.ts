import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted, References, Schema, Tracer } from "effect"
import { makeLogger } from "../../src/layers/telemetry/Logging.ts"

const entry = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))

/** The lines that `effect` logs, at the time of the test clock: 1970. */
const logged = <E, R>(format: "json" | "pretty", effect: Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    yield* Effect.exit(effect).pipe(
      Effect.provide([
        Logger.layer([makeLogger(format, (line) => lines.push(line))]),
        Layer.succeed(References.MinimumLogLevel, "Debug")
      ])
    )
    return lines
  })

const entries = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.flatMap(logged("json", effect), (lines) => Effect.forEach(lines, (line) => Schema.decodeEffect(entry)(line)))

describe("json", () => {
  it.effect("is a line with time, level, message, annotations and fields", () =>
    Effect.gen(function* () {
      const program = Effect.logInfo("listening", { url: "http://localhost:8080" }).pipe(
        Effect.annotateLogs({ requestId: "r1" })
      )
      assert.deepStrictEqual(yield* logged("json", program), [
        '{"time":"1970-01-01T00:00:00.000Z","level":"INFO","message":"listening","url":"http://localhost:8080","requestId":"r1"}'
      ])
    })
  )

  it.effect("names the levels DEBUG, INFO, WARN and ERROR", () =>
    Effect.gen(function* () {
      const program = Effect.all([
        Effect.logDebug(""),
        Effect.logInfo(""),
        Effect.logWarning(""),
        Effect.logError(""),
        Effect.logFatal("")
      ])
      const levels = (yield* entries(program)).map(({ level }) => level)
      assert.deepStrictEqual(levels, ["DEBUG", "INFO", "WARN", "ERROR", "ERROR"])
    })
  )

  it.effect("has the ids of the span that it was logged in, and the cause", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        yield* Effect.logInfo("inside")
        return yield* Effect.die(new Error("broken"))
      }).pipe(
        Effect.withSpan("work"),
        Effect.tapCause((cause) => Effect.logError("failed", cause)),
        Effect.withTracer(Tracer.nativeTracer)
      )
      const [inside, failed] = yield* entries(program)
      assert.match(String(inside?.traceId), /^[0-9a-f]{32}$/)
      assert.match(String(inside?.spanId), /^[0-9a-f]{16}$/)
      assert.isUndefined(inside?.cause)
      assert.strictEqual(failed?.message, "failed")
      assert.match(String(failed?.cause), /^Error: broken\n\s+at /)
      assert.isUndefined(failed?.traceId)
    })
  )

  it.effect("lets no field pose as time, level or message, and shows no secret", () =>
    Effect.gen(function* () {
      const program = Effect.logInfo("true", { message: "false", level: "false" }).pipe(
        Effect.annotateLogs({ time: "false", password: Redacted.make("hunter2") })
      )
      const [line] = yield* entries(program)
      assert.deepStrictEqual(line, {
        time: "1970-01-01T00:00:00.000Z",
        level: "INFO",
        message: "true",
        password: "<redacted>"
      })
    })
  )

  it.effect("holds any text in one line without controls", () =>
    Effect.gen(function* () {
      const nasty = 'a\n{"level":"ERROR"}\r\u001b[31m\u009b\u2028"'
      const program = Effect.logInfo(nasty).pipe(Effect.annotateLogs({ nasty }))
      const [line = ""] = yield* logged("json", program)
      assert.notMatch(line, /[\p{Cc}\u2028]/u)
      assert.deepInclude(yield* Schema.decodeEffect(entry)(line), { message: nasty, nasty })
    })
  )
})

describe("pretty", () => {
  it.effect("is a line to read, and the cause below it, indented", () =>
    Effect.gen(function* () {
      const program = Effect.logWarning("slow", { millis: 12 }).pipe(Effect.annotateLogs({ requestId: "r1" }))
      assert.deepStrictEqual(yield* logged("pretty", program), ["00:00:00.000 WARN  slow millis=12 requestId=r1"])
      const failing = Effect.die(new Error("one\ntwo")).pipe(
        Effect.tapCause((cause) => Effect.logError("failed", cause))
      )
      const [line = ""] = yield* logged("pretty", failing)
      const [first, ...below] = line.split("\n")
      assert.strictEqual(first, "00:00:00.000 ERROR failed")
      assert.isTrue(below.length > 1 && below.every((part) => part.startsWith("    ")))
    })
  )

  it.effect("shows controls as text", () =>
    Effect.gen(function* () {
      const program = Effect.logInfo("a\nb\u001b[2J").pipe(Effect.annotateLogs({ key: "c\r\nd" }))
      assert.deepStrictEqual(yield* logged("pretty", program), [
        "00:00:00.000 INFO  a\\u000ab\\u001b[2J key=c\\u000d\\u000ad"
      ])
    })
  )
})

describe("the settings", () => {
  const program = (format: string) => `
    import { Effect } from "effect"
    import { layer } from "./src/layers/telemetry/Logging.ts"
    import * as SettingsMemory from "./src/testing/memory/Settings.ts"
    const [, level, output] = process.argv
    Effect.runSync(Effect.all([Effect.logDebug("d"), Effect.logInfo("i"), Effect.logWarning("w"), Effect.logError("e")])
      .pipe(Effect.provide(layer), Effect.provide(SettingsMemory.layerMemory({ logging: { level, output, ${format} } }))))`

  const messages = (level: string, output: "stdout" | "stderr") =>
    spawnSync(process.execPath, ["--input-type=module", "-e", program('format: "json"'), level, output], {
      encoding: "utf8"
    })
      [output].split("\n")
      .filter((line) => line !== "")
      .map((line) => Schema.decodeSync(entry)(line).message)
      .join("")

  it("choose the least level and the output", () => {
    assert.strictEqual(messages("debug", "stdout"), "diwe")
    assert.strictEqual(messages("warn", "stderr"), "we")
    assert.strictEqual(messages("error", "stdout"), "e")
  })

  it("without a format mean lines for reading on a terminal, and JSON elsewhere", () => {
    const lines = (terminal: boolean) => {
      const code = `process.stdout.isTTY = ${terminal}\n${program("")}`
      return spawnSync(process.execPath, ["--input-type=module", "-e", code, "warn", "stdout"], { encoding: "utf8" })
        .stdout
    }
    assert.match(lines(true), /^[\d:.]+ WARN {2}w\n[\d:.]+ ERROR e\n$/)
    assert.match(lines(false), /^\{"time":"[^"]+","level":"WARN","message":"w"\}\n\{/)
  })
})
