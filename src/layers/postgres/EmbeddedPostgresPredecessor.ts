import { execFile } from "node:child_process"
import { readFile, readlink, rm } from "node:fs/promises"
import { basename, join } from "node:path"
import { promisify } from "node:util"
import { Effect, Schedule } from "effect"
import { attempt, EmbeddedPostgresError, failed } from "./EmbeddedPostgresFiles.ts"

/** The names of the directories for sockets begin with this. */
export const socketDirectoryPrefix = "chat-pg-"

/** Names the service in the command line of the server, where it can be read even after the service has ended. */
export const clusterName = (servicePid: number) => `chat-service/${servicePid}`

interface Postmaster {
  readonly pid: number
  readonly parentPid: number
  readonly servicePid: number | undefined
}

const servicePidOf = (command: string) => {
  const pid = /cluster_name=chat-service\/(\d+)/.exec(command)?.[1]
  return pid === undefined ? undefined : Number(pid)
}

/** The process, if it is alive and serves this data directory. Process ids are reused, so an id alone proves nothing. */
const inspect = async (pid: number, cluster: string): Promise<Postmaster | undefined> => {
  if (process.platform === "linux") {
    if ((await readlink(`/proc/${pid}/cwd`)) !== cluster) return undefined
    const status = await readFile(`/proc/${pid}/stat`, "utf8")
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8")
    // The fields are: pid (name) state ppid … The name may contain any characters.
    const parentPid = Number(status.slice(status.lastIndexOf(")") + 2).split(" ")[1])
    return { pid, parentPid, servicePid: servicePidOf(command) }
  }
  const { stdout } = await promisify(execFile)("ps", ["-o", "ppid=,command=", "-p", String(pid)])
  if (!stdout.includes(cluster)) return undefined
  return { pid, parentPid: Number.parseInt(stdout, 10), servicePid: servicePidOf(stdout) }
}

/** The lock file of a server. Its lines are: pid, data directory, start time, port, socket directory, and more. */
const readLock = (cluster: string) => readFile(join(cluster, "postmaster.pid"), "utf8").catch(() => "")

/** Where the server that has locked the data listens, in the form of a client's options; undefined without a lock. */
export const lockHolder = (cluster: string) =>
  Effect.promise(async () => {
    const [, , , port, host] = (await readLock(cluster)).split("\n")
    return host === undefined || host === "" ? undefined : { host, port: Number(port) }
  })

/** Whether the lock belongs to a zombie, a process that has ended but was not reaped. PostgreSQL takes it for alive. */
const isHeldByZombie = async (pid: number, cluster: string) => {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")
  return status.slice(status.lastIndexOf(")")).startsWith(") Z") && (await readLock(cluster)) !== ""
}

const inspectSafely = (pid: number, cluster: string) =>
  Effect.promise(() => inspect(pid, cluster).catch(() => undefined))

/** Sends a signal to the server and waits until it ends, for at most `patience`. */
const stop = (pid: number, cluster: string, signal: NodeJS.Signals, patience: string & `${number} seconds`) =>
  attempt(`stop the server that was left behind (process ${pid})`, async () => void process.kill(pid, signal)).pipe(
    Effect.andThen(inspectSafely(pid, cluster)),
    Effect.repeat({ schedule: Schedule.spaced("20 millis"), while: (server) => server !== undefined }),
    Effect.timeoutOption(patience)
  )

/** The server that runs on this data, as the user of its database connects to it; undefined when there is none. */
export const runningServer = Effect.fnUntraced(function* (cluster: string) {
  const lines = (yield* Effect.promise(() => readLock(cluster))).split("\n")
  const pid = Number(lines[0])
  const server = pid > 0 ? yield* inspectSafely(pid, cluster) : undefined
  return server && { host: lines[4] ?? "", port: Number(lines[3]), username: "postgres" }
})

/**
 * Cleans up after an earlier run. A server whose service was killed is stopped. If its service is alive, this fails with
 * `in-use`. PostgreSQL itself handles a `postmaster.pid` without a process.
 */
export const clearPredecessor = Effect.fnUntraced(function* (cluster: string) {
  const lines = (yield* Effect.promise(() => readLock(cluster))).split("\n")
  const pid = Number(lines[0])
  if (!(pid > 0)) return
  const server = yield* inspectSafely(pid, cluster)
  if (server !== undefined) {
    if (server.servicePid === undefined || server.servicePid === server.parentPid) {
      return yield* new EmbeddedPostgresError({
        reason: "in-use",
        message: `data.dir: ${cluster} is in use by ${server.servicePid === undefined ? `PostgreSQL (process ${pid})` : `another chat-service (process ${server.servicePid})`}; stop it, or choose another data.dir (CHAT_DATA__DIR)`
      })
    }
    yield* Effect.logWarning(`stopping the PostgreSQL (process ${pid}) that a killed service left behind`)
    yield* stop(pid, cluster, "SIGINT", "8 seconds")
    if (yield* inspectSafely(pid, cluster)) yield* stop(pid, cluster, "SIGQUIT", "3 seconds")
    if (yield* inspectSafely(pid, cluster)) yield* stop(pid, cluster, "SIGKILL", "3 seconds")
    if (yield* inspectSafely(pid, cluster)) {
      return yield* failed(
        `embedded PostgreSQL: the server that a killed service left behind (process ${pid}) does not stop`
      )
    }
  }
  yield* Effect.promise(() => isHeldByZombie(pid, cluster)).pipe(
    Effect.repeat({ schedule: Schedule.spaced("20 millis"), while: (zombie) => zombie }),
    Effect.timeoutOption("5 seconds")
  )
  const sockets = lines[4] ?? ""
  if (basename(sockets).startsWith(socketDirectoryPrefix)) {
    yield* attempt("remove the directory of an old socket", () => rm(sockets, { recursive: true, force: true }))
  }
})
