import { type ChildProcess, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

const binary = "/usr/sbin/nats-server"

/** Whether tests can start a NATS server of their own. */
export const natsServerIsThere = existsSync(binary)

/** Whether the shared NATS server of this machine listens. */
export const sharedNatsIsThere = await new Promise<boolean>((resolve) => {
  const socket = connect(4222, "127.0.0.1", () => {
    socket.destroy()
    resolve(true)
  }).on("error", () => resolve(false))
})

/** Finds a free port. */
export const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** Makes a file with this content, which is removed with the scope. */
export const fileOf = (content: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "chat-test-nats-"))
      await writeFile(join(folder, "nats.conf"), content)
      return folder
    }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  ).pipe(Effect.map((folder) => join(folder, "nats.conf")))

/** Starts a NATS server on a port of its own, which a test may kill and freeze; it ends with the scope. */
export const startNatsServer = Effect.fnUntraced(function* (options: ReadonlyArray<string> = [], config = "") {
  const port = yield* freePort
  const args = config === "" ? options : [...options, "-c", yield* fileOf(config)]
  let child: ChildProcess | undefined

  const start = Effect.callback<void>((resume) => {
    const started = spawn(binary, ["-a", "127.0.0.1", "-p", String(port), ...args], {
      stdio: ["ignore", "ignore", "pipe"]
    })
    child = started
    let output = ""
    started.stderr.on("data", (chunk: Buffer) => {
      output += chunk.toString()
      if (output.includes("Server is ready")) resume(Effect.void)
    })
    started.on("exit", () => resume(Effect.die(new Error(`nats-server ended: ${output}`))))
  })

  const kill = Effect.callback<void>((resume) => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

  yield* Effect.addFinalizer(() => kill)
  yield* start
  return {
    address: `nats://127.0.0.1:${port}`,
    port,
    start,
    kill,
    freeze: Effect.sync(() => child?.kill("SIGSTOP")),
    thaw: Effect.sync(() => child?.kill("SIGCONT"))
  }
})
