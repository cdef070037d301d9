import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { BenchError } from "./Postgres.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const startMs = 30_000
const stopMs = 15_000

/** The URL of the line that says `"message":"listening"`. The process must not end before the scope does. */
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

/** A NATS server of its own, so that its CPU can be told from that of others. */
export const startNats = Effect.gen(function* () {
  const port = yield* freePort
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn("nats-server", ["-a", "127.0.0.1", "-p", String(port)], {
        env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
        stdio: ["ignore", "ignore", "pipe"]
      })
    ),
    stop
  )
  yield* Effect.callback<void, BenchError>((resume) => {
    let output = ""
    child.stderr.on("data", (chunk: Buffer) => {
      output += chunk
      if (output.includes("Server is ready")) resume(Effect.void)
    })
    child.once("error", ({ message }) => resume(Effect.fail(new BenchError({ message: `nats-server: ${message}` }))))
    child.once("exit", () => resume(Effect.fail(new BenchError({ message: `nats-server ended: ${output}` }))))
  })
  return { pid: child.pid ?? 0, address: `nats://127.0.0.1:${port}` }
})
