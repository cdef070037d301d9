import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Data, Effect, type Scope } from "effect"
import { Redis } from "ioredis"
import { Client } from "pg"

/** A server or a node did not do what a test needs of it. */
export class ServerError extends Data.TaggedError("ServerError")<{ readonly message: string }> {}

const host = "127.0.0.1"
const programs = {
  initdb: "/usr/lib/postgresql/15/bin/initdb",
  postgres: "/usr/lib/postgresql/15/bin/postgres",
  nats: "/usr/sbin/nats-server",
  redis: "/usr/bin/redis-server",
  setpriv: "/usr/bin/setpriv"
}

/** Whether this machine has the programs that the tests start. */
export const serversAreThere = Object.values(programs).every((path) => existsSync(path))

/** A port that nothing listens on. */
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

/** A process of the test's own, at an address that stays the same when it is started again. */
export interface Server {
  readonly name: string
  readonly port: number
  /** Returns when it answers. */
  readonly start: Effect.Effect<void, ServerError>
  /** Kills it with all its processes, and returns when they are gone. */
  readonly kill: Effect.Effect<void>
  /** Asks it to end, and returns its exit code when it has. */
  readonly stop: Effect.Effect<number | null>
  /** Stops it with all its processes where they are, until `thaw`. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

const signal = (pid: number, name: NodeJS.Signals) => {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
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

/** Longer than any start takes on a busy machine, in milliseconds. */
const startMs = 30_000

const pollUntil = (done: () => boolean | Promise<boolean>, what: () => string) =>
  Effect.tryPromise({
    try: async (abort) => {
      while (!abort.aborted && !(await done())) await new Promise((go) => setTimeout(go, 20))
    },
    catch: (cause) => new ServerError({ message: String(cause) })
  }).pipe(
    Effect.timeoutOrElse({
      duration: startMs,
      orElse: () => Effect.suspend(() => Effect.fail(new ServerError({ message: what() })))
    })
  )

/** Starts a program; it ends with the scope, frozen or not. */
const makeServer = Effect.fnUntraced(function* (options: {
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
    // A test run that is interrupted runs no finalizers: what it started must end with it all the same.
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

/** PostgreSQL refuses to run as root. */
const nobody: Account | undefined = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined

/** Runs one statement on a connection of its own: its rows. */
export const query = (port: number, database: string, text: string, values: ReadonlyArray<unknown> = []) =>
  Effect.tryPromise({
    try: async () => {
      const client = new Client({ host, port, database, user: "postgres", connectionTimeoutMillis: 2000 })
      // The server may be killed under it.
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

const succeeds = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.runPromise(Effect.match(effect, { onFailure: () => false, onSuccess: () => true }))

/** A PostgreSQL 15 that loses nothing: `fsync` and `synchronous_commit` are on. */
export const startPostgres = Effect.gen(function* () {
  const port = yield* freePort
  const root = yield* temporaryDirectory("postgres")
  const data = join(root, "data")
  yield* Effect.try({
    try: () => {
      if (nobody !== undefined) chownSync(root, nobody.uid, nobody.gid)
      const args = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
      execFileSync(programs.initdb, args, { stdio: "pipe", cwd: root, ...nobody })
    },
    catch: (cause) => new ServerError({ message: String(cause) })
  })
  const settings = [
    ["listen_addresses", host],
    ["unix_socket_directories", root],
    ["max_connections", "60"],
    ["fsync", "on"],
    ["synchronous_commit", "on"],
    ["log_min_messages", "fatal"]
  ]
  return yield* makeServer({
    name: "postgres",
    port,
    command: programs.postgres,
    args: ["-D", data, "-p", String(port), ...settings.flatMap(([key, value]) => ["-c", `${key}=${value}`])],
    account: nobody,
    answers: () => succeeds(query(port, "postgres", "SELECT 1"))
  })
})

/** A NATS that has lost everything each time it is started. */
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

/** A Redis that keeps nothing. */
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
export interface LogLine {
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

/** A node of the service, and what it has logged since its first start. */
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
  const entries = Object.entries({ SERVER__PORT: String(port), DATA__DIR: directory, ...settings })
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
