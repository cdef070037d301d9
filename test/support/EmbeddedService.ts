import { spawn, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { PgConnection } from "@effect/sql-pg"
import { Effect, Schedule, Schema } from "effect"
import type { Durability } from "../../src/layers/postgres/EmbeddedPostgresFiles.ts"

const Address = Schema.Struct({ host: Schema.String, port: Schema.Int, username: Schema.String })

/** The line that the process prints when it is up, or why it is not. */
const Line = Schema.fromJsonString(
  Schema.Union([
    Schema.Struct({ address: Address }),
    Schema.Struct({ error: Schema.Struct({ reason: Schema.String, message: Schema.String }) })
  ])
)

const script = fileURLToPath(new URL("./embeddedMain.ts", import.meta.url))

/** Whether the process runs, and is not a zombie that nobody has waited for. */
export const isRunning = (pid: number) => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

/** Waits until the process is gone. */
export const gone = (pid: number) =>
  Effect.sync(() => isRunning(pid)).pipe(
    Effect.repeat({ while: (running) => running, schedule: Schedule.spaced("10 millis") })
  )

/** The process id of the server of a data directory. */
export const postmasterOf = (dataDir: string) =>
  Number.parseInt(readFileSync(join(dataDir, "postgres/postmaster.pid"), "utf8"), 10)

/** The ids of the server and its child processes. */
export const processesOf = (postmaster: number) => [
  postmaster,
  // `ps` exits with 1 when there are none.
  ...spawnSync("ps", ["-o", "pid=", "--ppid", String(postmaster)], { encoding: "utf8" })
    .stdout.split(/\s+/)
    .filter((pid) => pid !== "")
    .map(Number)
]

/** A process that runs the embedded PostgreSQL; killed with the scope, its server with it. */
export const spawnService = Effect.fnUntraced(function* (
  dataDir: string,
  options: {
    readonly durability?: Durability
    readonly native?: string
    readonly uid?: number
    readonly script?: string
  } = {}
) {
  const { durability = "test", native, uid } = options
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        process.execPath,
        [options.script ?? script, dataDir, durability, ...(native === undefined ? [] : [native])],
        {
          cwd: "/",
          stdio: ["ignore", "pipe", "inherit"],
          ...(uid !== undefined && { uid, gid: uid })
        }
      )
    ),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGTERM")
      })
  )
  const exit = Effect.callback<number | string>((resume) => {
    const done = () => resume(Effect.succeed(child.exitCode ?? child.signalCode ?? "unknown"))
    if (child.exitCode !== null || child.signalCode !== null) return done()
    child.once("exit", done)
  })
  const lines: Array<string> = []
  const first = yield* Effect.callback<typeof Line.Type>((resume) => {
    const decode = Schema.decodeUnknownOption(Line)
    createInterface(child.stdout).on("line", (line) => {
      lines.push(line)
      const said = decode(line)
      if (said._tag === "Some") resume(Effect.succeed(said.value))
    })
    child.once("exit", () => resume(Effect.die(new Error(`the process ended:\n${lines.join("\n")}`))))
  })
  return { pid: child.pid ?? 0, first, exit, lines, kill: (signal: NodeJS.Signals) => child.kill(signal) }
})

/** Starts the process, which must succeed, and returns the address of its server. */
export const spawnStarted = Effect.fnUntraced(function* (...args: Parameters<typeof spawnService>) {
  const service = yield* spawnService(...args)
  if ("error" in service.first) return yield* Effect.die(new Error(service.first.error.message))
  return { ...service, address: service.first.address }
})

/** Runs one statement on a new connection. */
export const query = (address: typeof Address.Type, statement: string) =>
  Effect.scoped(
    Effect.flatMap(PgConnection.make({ ...address, database: "postgres" }), (connection) =>
      Effect.map(connection.query(statement), ({ rows }) => rows)
    )
  )
