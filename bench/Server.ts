import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { BenchError } from "./Postgres.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const startMs = 30_000
const stopMs = 15_000

/** Reads the URL from the log line `"message":"listening"`. Fails when the process ends before the scope does. */
const listening = (name: string, child: ChildProcess) =>
  Effect.callback<string, BenchError>((resume) => {
    let last = ""
    let url: string | undefined
    const onOutput = (chunk: Buffer) => {
      last = (last + chunk).slice(-4000)
      if (url !== undefined) return
      for (const line of last.split("\n").slice(0, -1)) {
        url ??= line.includes(`"message":"listening"`) ? JSON.parse(line).url : undefined
      }
      if (url !== undefined) resume(Effect.succeed(url))
    }
    child.stdout?.on("data", onOutput)
    child.stderr?.on("data", onOutput)
    child.once("error", (error) => resume(Effect.fail(new BenchError({ message: error.message }))))
    child.once("exit", (code, signal) => {
      if (url === undefined) resume(Effect.fail(new BenchError({ message: `it ended: ${last}` })))
      else if (!child.killed) process.stderr.write(`${name} ended with ${signal ?? code}: ${last}\n`)
    })
  })

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const stop = (child: ChildProcess) =>
  Effect.promise(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    const impatient = setTimeout(() => child.kill("SIGKILL"), stopMs)
    child.kill("SIGTERM")
    await gone
    clearTimeout(impatient)
  })

export interface Server {
  readonly pid: number
  readonly url: string
}

/** Runs a script with this Node from the root of the project until the scope closes. */
export const startServer = Effect.fnUntraced(function* (
  name: string,
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>> = {}
) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, args, {
        cwd: root,
        env: { ...process.env, ...environment },
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    stop
  )
  const url = yield* listening(name, child).pipe(
    Effect.timeoutOrElse({
      duration: startMs,
      orElse: () => Effect.fail(new BenchError({ message: `it does not say "listening"` }))
    }),
    Effect.mapError(({ message }) => new BenchError({ message: `${name} does not start: ${message}` }))
  )
  const server: Server = { pid: child.pid ?? 0, url }
  return server
})

/** Starts a server of the system on a free port, and waits until its output has `ready`. */
const startProgram = Effect.fnUntraced(function* (
  command: string,
  args: (port: number) => ReadonlyArray<string>,
  ready: string
) {
  const port = yield* freePort
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(command, args(port), {
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    stop
  )
  yield* Effect.callback<void, BenchError>((resume) => {
    const fail = (why: string) => resume(Effect.fail(new BenchError({ message: `${command}: ${why}` })))
    let output = ""
    const onOutput = (chunk: Buffer) => {
      output = (output + chunk).slice(-4000)
      if (output.includes(ready)) resume(Effect.void)
    }
    child.stdout.on("data", onOutput)
    child.stderr.on("data", onOutput)
    child.once("error", ({ message }) => fail(message))
    child.once("exit", () => fail(`it ended: ${output}`))
  })
  return { pid: child.pid ?? 0, port }
})

/** Starts a separate NATS server, so that its CPU can be measured. */
export const startNats = startProgram("nats-server", (port) => ["-a", "127.0.0.1", "-p", `${port}`], "Server is ready")

/** Starts a separate Redis server that stores nothing on disk, so that its CPU can be measured. */
export const startRedis = startProgram(
  "redis-server",
  (port) => ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"],
  "Ready to accept connections"
)
