import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import type { Readable } from "node:stream"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Deferred, Effect, Fiber, Stream } from "effect"
import {
  type Durability,
  EmbeddedPostgresError,
  failed,
  type Installation,
  serverEnvironment
} from "./EmbeddedPostgresFiles.ts"
import { clusterName } from "./EmbeddedPostgresPredecessor.ts"

const settings = (socketDirectory: string, durability: Durability) => ({
  listen_addresses: "",
  unix_socket_directories: socketDirectory,
  unix_socket_permissions: "0700",
  cluster_name: clusterName(process.pid),
  log_destination: "stderr",
  logging_collector: "off",
  log_line_prefix: "%b|",
  log_checkpoints: "off",
  // Details, statements and parameters hold what users wrote: none of it belongs in a log.
  log_error_verbosity: "terse",
  log_min_error_statement: "panic",
  log_parameter_max_length_on_error: "0",
  ...(durability === "test" && { fsync: "off", synchronous_commit: "off", full_page_writes: "off" })
})

const line = /^([^|]*)\|(\w+): {2}(.*)$/

/** What a client did wrong was told to the client; what a server process says for itself keeps its weight. */
const log = (backend: string, level: string, message: string) => {
  const fromClient = backend === "client backend"
  const entry = `postgres: ${message}`
  switch (level) {
    case "ERROR":
      return fromClient ? Effect.logDebug(entry) : Effect.logError(entry)
    case "FATAL":
      return fromClient ? Effect.logInfo(entry) : Effect.logError(entry)
    case "PANIC":
      return Effect.logError(entry)
    case "WARNING":
      return Effect.logWarning(entry)
    default:
      return Effect.logInfo(entry)
  }
}

/** SIGINT is a fast stop, SIGQUIT an immediate one (the next start recovers); both keep what was committed. */
const stop = Effect.fnUntraced(function* (child: ChildProcess, exit: Effect.Effect<unknown>) {
  for (const [signal, patience] of [
    ["SIGINT", "5 seconds"],
    ["SIGQUIT", "2 seconds"],
    ["SIGKILL", "1 second"]
  ] as const) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
    child.kill(signal)
    yield* Effect.timeoutOption(exit, patience)
  }
})

/**
 * Starts the server as a child of this process and stops it with the scope. `ready` waits until it takes connections
 * (a recovery may take its time) and fails when it ends before; `ended` fails when it ends.
 */
export const launch = Effect.fnUntraced(function* (
  { account, bin, cluster, clusterArgument }: Installation,
  socketDirectory: string,
  durability: Durability
) {
  const options = Object.entries(settings(socketDirectory, durability)).flatMap(([key, value]) => [
    "-c",
    `${key}=${value}`
  ])
  const accepting = yield* Deferred.make<void>()
  const exit = yield* Deferred.make<string>()
  let lastWords = ""

  const start = Effect.sync(() => {
    // A group of its own, or a Ctrl-C meant for us would stop the database before we have drained.
    const child = spawn(join(bin, "postgres"), ["-D", clusterArgument, ...options], {
      cwd: cluster,
      env: serverEnvironment,
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
      ...account
    })
    // For exits that run no finalizers, such as a second signal.
    const abandon = () => void child.kill("SIGINT")
    const end = (how: string) => {
      process.off("exit", abandon)
      Deferred.doneUnsafe(exit, Effect.succeed(how))
    }
    process.on("exit", abandon)
    child.once("error", (cause) => end(cause.message))
    child.once("exit", (code, signal) => end(signal ?? `exit code ${code}`))
    return child
  })

  /** Every line up to the last one; the level of a line that has none is that of the line before. */
  const follow = (stderr: Readable) => {
    let [backend, level] = ["", ""]
    return NodeStream.fromReadable({ evaluate: () => stderr }).pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.runForEach((text) => {
        const parts = line.exec(text)
        const message = parts?.[3] ?? text
        backend = parts?.[1] ?? backend
        level = parts?.[2] ?? level
        if (level === "FATAL" || level === "PANIC") lastWords = message
        if (message === "database system is ready to accept connections") {
          Deferred.doneUnsafe(accepting, Effect.void)
        }
        return log(backend, level, message)
      }),
      Effect.catch((error) => Effect.logWarning(`embedded PostgreSQL: its log cannot be read: ${error.message}`)),
      Effect.forkDetach
    )
  }

  const [, logs] = yield* Effect.acquireRelease(
    Effect.flatMap(start, (child) => Effect.map(follow(child.stderr), (logs) => [child, logs] as const)),
    ([child, logs]) =>
      stop(child, Deferred.await(exit)).pipe(
        Effect.andThen(Effect.timeoutOption(Fiber.await(logs), "1 second")),
        Effect.andThen(Fiber.interrupt(logs))
      )
  )
  const ended = Effect.gen(function* () {
    const how = yield* Deferred.await(exit)
    // What it said last says why. Its children may hold the pipe open a little longer than it lived.
    yield* Effect.timeoutOption(Fiber.await(logs), "500 millis")
    return yield* lastWords.includes('"postmaster.pid" already exists')
      ? new EmbeddedPostgresError({ reason: "in-use", message: `data.dir: ${cluster} is in use: ${lastWords}` })
      : failed(`embedded PostgreSQL ended (${how})${lastWords && `: ${lastWords}`}`)
  })
  return { ready: Effect.raceFirst(Deferred.await(accepting), ended), ended }
})
