import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { appendFileSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { Data, Effect, type Scope } from "effect"
import { Redis } from "ioredis"
import { Client } from "pg"
import { patience } from "./TimeLimits.ts"

/** A server or a node failed in a way that ends the test. */
export class ServerError extends Data.TaggedError("ServerError")<{ readonly message: string }> {}

const host = "127.0.0.1"
const programs = {
  initdb: "/usr/lib/postgresql/15/bin/initdb",
  postgres: "/usr/lib/postgresql/15/bin/postgres",
  basebackup: "/usr/lib/postgresql/15/bin/pg_basebackup",
  nats: "/usr/sbin/nats-server",
  redis: "/usr/bin/redis-server",
  setpriv: "/usr/bin/setpriv"
}

/** Whether this machine has the programs that the tests start. */
export const serversAreThere = Object.values(programs).every((path) => existsSync(path))

/** Finds a free port. */
export const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, host, () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/** An empty directory, removed with the scope. */
export const temporaryDirectory = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), `chat-faults-${name}-`))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )

/** A process that a test has started, at an address that stays the same when it is started again. */
export interface Server {
  readonly name: string
  readonly port: number
  /** Starts the process, and returns when it answers. */
  readonly start: Effect.Effect<void, ServerError>
  /** Kills the process with all its children, and returns when they are gone. */
  readonly kill: Effect.Effect<void>
  /** Asks the process to end, and returns its exit code when it has. */
  readonly stop: Effect.Effect<number | null>
  /** Suspends the process with all its children, until `thaw`. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

const signal = (pid: number, name: NodeJS.Signals) => {
  try {
    process.kill(pid, name)
  } catch {
    // The process has ended by itself.
  }
}

const childrenOf = (pid: number): ReadonlyArray<number> => {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(/\s+/).filter(Boolean).map(Number)
  } catch {
    return []
  }
}

const isThere = (pid: number) => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ")
  } catch {
    return false
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null

const pollUntil = (done: () => boolean | Promise<boolean>, what: () => string) =>
  Effect.tryPromise({
    try: async (abort) => {
      while (!abort.aborted && !(await done())) await new Promise((go) => setTimeout(go, 20))
    },
    catch: (cause) => new ServerError({ message: String(cause) })
  }).pipe(
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.suspend(() => Effect.fail(new ServerError({ message: what() })))
    })
  )

/** Starts a program; it ends with the scope, frozen or not. */
export const makeServer = Effect.fnUntraced(function* (options: {
  readonly name: string
  readonly port: number
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string>>
  readonly account?: Account | undefined
  readonly answers: () => boolean | Promise<boolean>
  readonly onStart?: () => void
  readonly onLine?: (line: string) => void
}): Effect.fn.Return<Server, ServerError, Scope.Scope> {
  const { account, answers, args, command, environment = {}, name, onLine, onStart, port } = options
  let child: ChildProcess | undefined
  let output = ""

  const listen = (stream: NodeJS.ReadableStream | null) => {
    let rest = ""
    stream?.on("data", (chunk) => {
      output = (output + String(chunk)).slice(-4000)
      const lines = (rest + String(chunk)).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) onLine?.(line)
    })
  }

  const start = Effect.gen(function* () {
    if (child !== undefined && !hasEnded(child)) return
    onStart?.()
    const clean = Object.entries(process.env).filter(([key]) => !key.startsWith("CHAT_"))
    // An interrupted test run runs no finalizers, so the processes that it has started must end with it.
    const started = spawn(programs.setpriv, ["--pdeathsig", "KILL", command, ...args], {
      env: { ...Object.fromEntries(clean), ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      ...account
    })
    child = started
    listen(started.stdout)
    listen(started.stderr)
    const ended = () => new ServerError({ message: `${name} ended instead of starting: ${output}` })
    yield* pollUntil(
      async () => {
        if (hasEnded(started)) throw ended().message
        return answers()
      },
      () => `${name} does not answer: ${output}`
    )
  })

  /** The processes, the first one first: what it starts from now on it starts frozen, or not at all. */
  const each = (signalName: NodeJS.Signals) =>
    Effect.sync(() => {
      if (child?.pid === undefined || hasEnded(child)) return []
      const before = childrenOf(child.pid)
      signal(child.pid, signalName)
      const all = [...new Set([...before, ...childrenOf(child.pid)])]
      for (const pid of all) signal(pid, signalName)
      return [child.pid, ...all]
    })

  const exited = Effect.callback<number | null>((resume) => {
    const of = child
    if (of === undefined || hasEnded(of)) return resume(Effect.succeed(of?.exitCode ?? null))
    of.once("exit", (code) => resume(Effect.succeed(code)))
  })

  const kill = Effect.gen(function* () {
    const pids = yield* each("SIGKILL")
    yield* exited
    yield* Effect.orDie(
      pollUntil(
        () => !pids.some(isThere),
        () => `${name} cannot be killed`
      )
    )
  })

  yield* Effect.addFinalizer(() => kill)
  const server: Server = {
    name,
    port,
    start,
    kill,
    stop: Effect.suspend(() => {
      if (child?.pid !== undefined) signal(child.pid, "SIGTERM")
      return exited
    }),
    freeze: Effect.asVoid(each("SIGSTOP")),
    thaw: Effect.asVoid(each("SIGCONT"))
  }
  yield* start
  return server
})

interface Account {
  readonly uid: number
  readonly gid: number
}

/** The user that runs PostgreSQL, which refuses to run as root. */
const nobody: Account | undefined = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined

/** Runs one statement on a new connection, and returns its rows. */
export const query = (port: number, database: string, text: string, values: ReadonlyArray<unknown> = []) =>
  Effect.tryPromise({
    try: async () => {
      const client = new Client({ host, port, database, user: "postgres", connectionTimeoutMillis: 2000 })
      // The server may be killed during the statement.
      client.on("error", () => {})
      try {
        await client.connect()
        const { rows } = await client.query<Record<string, unknown>>(text, [...values])
        return rows
      } finally {
        await client.end()
      }
    },
    catch: (cause) => new ServerError({ message: `${text}: ${cause}` })
  })

/** Whether an effect succeeds, for `answers`. */
export const succeeds = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.runPromise(Effect.match(effect, { onFailure: () => false, onSuccess: () => true }))

/** A PostgreSQL, and its data directory. */
interface PostgresServer extends Server {
  readonly data: string
}

const runPostgres = Effect.fnUntraced(function* (data: string, extra: Readonly<Record<string, string>>) {
  const port = yield* freePort
  const settings = Object.entries({
    listen_addresses: host,
    unix_socket_directories: dirname(data),
    max_connections: "60",
    fsync: "on",
    synchronous_commit: "on",
    log_min_messages: "fatal",
    ...extra
  })
  const server = yield* makeServer({
    name: "postgres",
    port,
    command: programs.postgres,
    args: ["-D", data, "-p", String(port), ...settings.flatMap(([key, value]) => ["-c", `${key}=${value}`])],
    account: nobody,
    answers: () => succeeds(query(port, "postgres", "SELECT 1"))
  })
  return { ...server, data } satisfies PostgresServer
})

const emptyData = Effect.gen(function* () {
  const root = yield* temporaryDirectory("postgres")
  if (nobody !== undefined) chownSync(root, nobody.uid, nobody.gid)
  return { root, data: join(root, "data") }
})

const runProgram = (command: string, args: ReadonlyArray<string>, cwd: string) =>
  Effect.try({
    try: () => execFileSync(command, [...args], { stdio: "pipe", cwd, ...nobody }),
    catch: (cause) => new ServerError({ message: String(cause) })
  })

/** Starts a PostgreSQL 15 with further settings; `fsync` and `synchronous_commit` are on. */
export const startPostgresWith = Effect.fnUntraced(function* (settings: Readonly<Record<string, string>>) {
  const { data, root } = yield* emptyData
  yield* runProgram(
    programs.initdb,
    ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
    root
  )
  return yield* runPostgres(data, settings)
})

/** Makes a file system with so much space, and returns its directory. */
export const smallDisk = Effect.fnUntraced(function* (megabytes: number) {
  const disk = yield* temporaryDirectory("disk")
  yield* Effect.acquireRelease(
    Effect.sync(() => execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0777`, "tmpfs", disk])),
    () => Effect.sync(() => execFileSync("umount", [disk]))
  )
  return disk
})

/** Starts a PostgreSQL 15 whose data, but not its write-ahead log, is in this directory. */
export const startPostgresOnDisk = Effect.fnUntraced(function* (disk: string) {
  const { root: log } = yield* emptyData
  const data = join(disk, "data")
  const options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-X", join(log, "wal")]
  yield* runProgram(programs.initdb, ["-D", data, ...options], log)
  return yield* runPostgres(data, {})
})

/** Starts a PostgreSQL 15 that loses nothing: `fsync` and `synchronous_commit` are on. */
export const startPostgres = startPostgresWith({})

/** Copies the data of a running server, without its write-ahead log, as a base backup. Returns the directory. */
export const baseBackup = Effect.fnUntraced(function* (server: Server) {
  const { data, root } = yield* emptyData
  const from = ["-h", host, "-p", String(server.port), "-U", "postgres"]
  yield* runProgram(programs.basebackup, ["-D", data, "-X", "none", "--no-sync", "-c", "fast", ...from], root)
  return data
})

/** Writes a file into a data directory, for the user of PostgreSQL. */
export const addToData = (data: string, name: string, content: string) =>
  Effect.sync(() => {
    const path = join(data, name)
    appendFileSync(path, content)
    if (nobody !== undefined) chownSync(path, nobody.uid, nobody.gid)
  })

/** Starts a PostgreSQL 15 on data that exists. */
export const startPostgresOn = (data: string) => runPostgres(data, {})

/** Starts a standby that follows a server and can be read. */
export const startStandby = Effect.fnUntraced(function* (primary: Server) {
  const { data, root } = yield* emptyData
  const from = ["-h", host, "-p", String(primary.port), "-U", "postgres"]
  yield* runProgram(programs.basebackup, ["-D", data, "-R", "--no-sync", "-c", "fast", ...from], root)
  return yield* runPostgres(data, {})
})

/** Starts a NATS, which loses everything each time it is started. */
export const startNats = Effect.gen(function* () {
  const port = yield* freePort
  const root = yield* temporaryDirectory("nats")
  const data = join(root, "data")
  let ready = false
  return yield* makeServer({
    name: "nats",
    port,
    command: programs.nats,
    args: ["-a", host, "-p", String(port), "--jetstream", "--store_dir", data],
    onStart: () => {
      ready = false
      rmSync(data, { recursive: true, force: true })
      mkdirSync(data)
    },
    onLine: (line) => {
      ready ||= line.includes("Server is ready")
    },
    answers: () => ready
  })
})

/** Runs one command on a connection of its own. */
export const redisCommand = (port: number, ...args: readonly [string, ...Array<string>]) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const client = new Redis({ host, port, lazyConnect: true, retryStrategy: null, commandTimeout: 2000 })
      client.on("error", () => {})
      return client
    }),
    (client) =>
      Effect.tryPromise({
        try: () => client.connect().then(() => client.call(...args)),
        catch: (cause) => new ServerError({ message: String(cause) })
      }),
    (client) => Effect.sync(() => client.disconnect())
  )

/** Starts a Redis that stores nothing on disk. */
export const startRedis = Effect.gen(function* () {
  const port = yield* freePort
  const root = yield* temporaryDirectory("redis")
  return yield* makeServer({
    name: "redis",
    port,
    command: programs.redis,
    args: ["--port", String(port), "--bind", host, "--save", "", "--appendonly", "no", "--dir", root],
    answers: () => succeeds(redisCommand(port, "PING"))
  })
})

/** One line of a node's log. */
interface LogLine {
  readonly level: string
  readonly message: string
  readonly text: string
}

const readLine = (text: string): LogLine => {
  try {
    const json: unknown = JSON.parse(text)
    const field = (name: string) =>
      typeof json === "object" && json !== null && name in json ? String(Reflect.get(json, name)) : ""
    return { level: field("level"), message: field("message"), text }
  } catch {
    return { level: "", message: "", text }
  }
}

/** A node of the service, and the lines that it has logged since its first start. */
export interface ServiceNode extends Server {
  readonly url: string
  readonly log: ReadonlyArray<LogLine>
}

/** Starts `node src/main.ts` with these `CHAT_…` settings (without the `CHAT_`), on a port of its own. */
export const startNode = Effect.fnUntraced(function* (name: string, settings: Readonly<Record<string, string>>) {
  const port = yield* freePort
  const directory = yield* temporaryDirectory(name)
  const url = `http://${host}:${port}`
  const log: Array<LogLine> = []
  let listening = false
  const entries = Object.entries({
    SERVER__PORT: String(port),
    SERVER__WEB: "false",
    DATA__DIR: directory,
    SHUTDOWN__LAME_DUCK: "0",
    ...settings
  })
  const server = yield* makeServer({
    name,
    port,
    command: process.execPath,
    args: [join(import.meta.dirname, "../../src/main.ts")],
    environment: Object.fromEntries(entries.map(([key, value]) => [`CHAT_${key}`, value])),
    onStart: () => {
      listening = false
    },
    onLine: (text) => {
      const line = readLine(text)
      log.push(line)
      listening ||= line.message === "listening"
    },
    answers: () => listening
  })
  return { ...server, url, log } satisfies ServiceNode
})
