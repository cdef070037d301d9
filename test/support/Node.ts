import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Effect, Schema } from "effect"
import { gone, isRunning, processesOf } from "./EmbeddedService.ts"
import { patience } from "./TimeLimits.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

const decodeLine = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Record(Schema.String, Schema.Unknown).check(Schema.makeFilter((line) => "message" in line))
  )
)

type LogLine = Readonly<Record<string, unknown>>

/** A new data directory, removed with the scope. */
export const dataDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-e2e-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const postmasterOf = (dataDir: string) => {
  const file = join(dataDir, "postgres/postmaster.pid")
  const pid = existsSync(file) ? Number.parseInt(readFileSync(file, "utf8"), 10) : Number.NaN
  return pid > 0 && isRunning(pid) ? pid : undefined
}

/** The process ids of the embedded PostgreSQL of a data directory, the postmaster first; none when it does not run. */
export const postgresOf = (dataDir: string): ReadonlyArray<number> => {
  const pid = postmasterOf(dataDir)
  return pid === undefined ? [] : processesOf(pid)
}

const signal = (pid: number, name: NodeJS.Signals) => {
  try {
    process.kill(pid, name)
  } catch {
    // The process has ended by itself.
  }
}

let shared: { readonly path: string; nodes: number } | undefined

/**
 * Where nodes keep files that have no data directory of their own. They share it, as nodes without S3 must. It is removed
 * with the last of them.
 */
const sharedDirectory = Effect.acquireRelease(
  Effect.sync(() => {
    shared ??= { path: mkdtempSync(join(tmpdir(), "chat-e2e-files-")), nodes: 0 }
    shared.nodes++
    return shared.path
  }),
  (path) =>
    Effect.sync(() => {
      if (shared === undefined || --shared.nodes > 0) return
      shared = undefined
      rmSync(path, { recursive: true, force: true })
    })
)

/** The processes to kill at exit, because an aborted test closes no scope. */
const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
  if (shared !== undefined) rmSync(shared.path, { recursive: true, force: true })
})

/** The limit for each step of a start or a stop, in milliseconds. */

/**
 * Starts the service as its users do, on a free port and with the given settings (`{ "data.dir": … }`), and waits until
 * it listens. Whatever is left of it, its embedded PostgreSQL too, is killed with the scope.
 */
export const startNode = Effect.fnUntraced(function* (
  settings: Readonly<Record<string, string | number>>,
  options: { readonly command?: readonly [string, ...ReadonlyArray<string>] } = {}
) {
  const [command, ...args] = options.command ?? [process.execPath, "src/main.ts"]
  const dataDir = settings["data.dir"]
  const log: Array<LogLine> = []
  /** The output other than the log: that of npm, and the last line on stderr. */
  const said: Array<string> = []
  let onLine: Array<() => void> = []

  const given = Object.entries({
    ...(dataDir === undefined && { "data.dir": yield* sharedDirectory }),
    "server.port": 0,
    "server.web": "false",
    "shutdown.lame_duck": 0,
    ...settings
  }).map(([key, value]) => [`CHAT_${key.replace(".", "__").toUpperCase()}`, String(value)])
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(command, args, {
        cwd: root,
        stdio: ["ignore", "pipe", "pipe"],
        env: { PATH: process.env.PATH, HOME: process.env.HOME, ...Object.fromEntries(given) }
      })
    ),
    (child) =>
      Effect.gen(function* () {
        if (child.exitCode === null && child.signalCode === null) {
          const exited = Effect.callback<void>((resume) => void child.once("exit", () => resume(Effect.void)))
          for (const pid of child.pid === undefined ? [] : [...processesOf(child.pid)].reverse()) signal(pid, "SIGKILL")
          yield* exited
        }
        const [postmaster] = typeof dataDir === "string" ? postgresOf(dataDir) : []
        if (postmaster === undefined) return
        signal(postmaster, "SIGQUIT")
        yield* gone(postmaster)
      })
  )
  running.add(child)
  child.once("exit", () => running.delete(child))
  createInterface(child.stdout).on("line", (line) => {
    const entry = decodeLine(line)
    if (entry._tag === "Some") log.push(entry.value)
    else said.push(line)
    for (const look of onLine) look()
  })
  createInterface(child.stderr).on("line", (line) => said.push(line))

  const exit = Effect.callback<number | NodeJS.Signals>((resume) => {
    const done = () => resume(Effect.succeed(child.exitCode ?? child.signalCode ?? -1))
    if (child.exitCode !== null || child.signalCode !== null) return done()
    child.once("exit", done)
    return Effect.sync(() => child.off("exit", done))
  }).pipe(Effect.timeout(patience), Effect.orDie)

  /** Waits for the first line of the log that `wants` accepts, written or still to come. */
  const logged = (wants: (line: LogLine) => boolean) =>
    Effect.callback<LogLine>((resume) => {
      const look = () => {
        const found = log.find(wants)
        if (found !== undefined) resume(Effect.succeed(found))
        return found !== undefined
      }
      if (look()) return
      const tell = () => void look()
      const ended = () =>
        resume(
          Effect.die(
            new Error(`it ended:\n${[...said, ...log.map((line) => JSON.stringify(line))].slice(-20).join("\n")}`)
          )
        )
      onLine.push(tell)
      child.once("close", ended)
      return Effect.sync(() => {
        onLine = onLine.filter((other) => other !== tell)
        child.off("close", ended)
      })
    }).pipe(Effect.timeout(patience), Effect.orDie)

  const listening = yield* logged(({ message }) => message === "listening")
  return {
    pid: child.pid ?? 0,
    url: `http://127.0.0.1:${String(listening.port)}`,
    log,
    said,
    logged,
    exit,
    kill: (name: NodeJS.Signals) => child.kill(name)
  }
})

export type Node = Effect.Success<ReturnType<typeof startNode>>
