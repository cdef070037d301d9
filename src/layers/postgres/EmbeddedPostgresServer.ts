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
  // Without it, no launcher runs whose end at each stop looks like an error in the log.
  max_logical_replication_workers: "0",
  log_line_prefix: "%b|",
  log_checkpoints: "off",
  // Details, statements and parameters contain text from users, which must not be logged.
  log_error_verbosity: "terse",
  log_min_error_statement: "panic",
  log_parameter_max_length_on_error: "0",
  ...(durability === "test" && { fsync: "off", synchronous_commit: "off", full_page_writes: "off" })
})

const line = /^([^|]*)\|(\w+): {2}(.*)$/

/**
 * What the server says of its recovery after a crash, which may take long. Its other messages are about each start and
 * stop.
 */
const ofRecovery = /\brecover|not properly shut down|was interrupted|\bredo\b/

/** Logs a line of the server. An error of a client was already reported to that client, so its level is lower. */
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
      return ofRecovery.test(message) ? Effect.logInfo(entry) : Effect.logDebug(entry)
  }
}

/**
 * Stops the server: first fast (SIGINT), then immediately (SIGQUIT), after which the next start recovers. Neither loses
 * committed data.
 */
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
 * Starts the server as a child process, and stops it when the scope closes. `ready` waits until it accepts connections,
 * which may take long after a crash, and fails if the server ends before that. `ended` fails when the server ends.
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
    // It is in a process group of its own, since otherwise Ctrl-C would stop the database before the service has drained.
    const child = spawn(join(bin, "postgres"), ["-D", clusterArgument, ...options], {
      cwd: cluster,
      env: serverEnvironment,
      detached: true,
      stdio: ["ignore", "ignore", "pipe"],
      ...account
    })
    // Some exits run no finalizers, such as the one after a second signal.
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

  /** Logs every line, including the last ones. A line without a level has the level of the line before it. */
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
      Effect.catch((error) => Effect.logWarning(`cannot read the log of embedded PostgreSQL: ${error.message}`)),
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
    // The last line has the reason. Child processes of the server may keep the pipe open for a moment.
    yield* Effect.timeoutOption(Fiber.await(logs), "500 millis")
    return yield* lastWords.includes('"postmaster.pid" already exists')
      ? new EmbeddedPostgresError({ reason: "in-use", message: `data.dir: ${cluster} is in use: ${lastWords}` })
      : failed(`embedded PostgreSQL ended (${how})${lastWords && `: ${lastWords}`}`)
  })
  return { ready: Effect.raceFirst(Deferred.await(accepting), ended), ended }
})
