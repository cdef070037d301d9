import { execFile } from "node:child_process"
import { readFile, readlink, rm } from "node:fs/promises"
import { basename, join } from "node:path"
import { promisify } from "node:util"
import { Effect, Schedule } from "effect"
import { attempt, EmbeddedPostgresError, failed } from "./EmbeddedPostgresFiles.ts"

export const socketDirectoryPrefix = "chat-pg-"

/** Names the service in the server's command line, which outlives the service. */
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

/** The process if it is alive and a server of this very data directory: process ids are used again. */
const inspect = async (pid: number, cluster: string): Promise<Postmaster | undefined> => {
  if (process.platform === "linux") {
    if ((await readlink(`/proc/${pid}/cwd`)) !== cluster) return undefined
    const status = await readFile(`/proc/${pid}/stat`, "utf8")
    const command = await readFile(`/proc/${pid}/cmdline`, "utf8")
    // pid (name) state ppid …, and the name may hold anything
    const parentPid = Number(status.slice(status.lastIndexOf(")") + 2).split(" ")[1])
    return { pid, parentPid, servicePid: servicePidOf(command) }
  }
  const { stdout } = await promisify(execFile)("ps", ["-o", "ppid=,command=", "-p", String(pid)])
  if (!stdout.includes(cluster)) return undefined
  return { pid, parentPid: Number.parseInt(stdout, 10), servicePid: servicePidOf(stdout) }
}

/** What a server left in its data directory: pid, data directory, start time, port, socket directory, … */
const readLock = (cluster: string) => readFile(join(cluster, "postmaster.pid"), "utf8").catch(() => "")

/** The lock of a process that ended but that `init` has not looked after yet: PostgreSQL takes it for alive. */
const isHeldByZombie = async (pid: number, cluster: string) => {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")
  return status.slice(status.lastIndexOf(")")).startsWith(") Z") && (await readLock(cluster)) !== ""
}

const inspectSafely = (pid: number, cluster: string) =>
  Effect.promise(() => inspect(pid, cluster).catch(() => undefined))

/** Signals the server, and waits for its end at most so long. */
const stop = (pid: number, cluster: string, signal: NodeJS.Signals, patience: string & `${number} seconds`) =>
  attempt(`stop the one left behind (process ${pid})`, async () => void process.kill(pid, signal)).pipe(
    Effect.andThen(inspectSafely(pid, cluster)),
    Effect.repeat({ schedule: Schedule.spaced("20 millis"), while: (server) => server !== undefined }),
    Effect.timeoutOption(patience)
  )

/**
 * Sees to what an earlier run left behind. A server whose service was killed is stopped; one whose service lives is not
 * ours to touch, and fails with `in-use`. A `postmaster.pid` without a process is PostgreSQL's own to handle.
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
        `embedded PostgreSQL: the one that a killed service left behind (process ${pid}) does not end`
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
