import { spawn, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, Schedule } from "effect"
import { Redis as Client } from "ioredis"
import { Redis } from "../../src/layers/redis/Redis.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

const host = "127.0.0.1"

/** Runs one command on a new connection, and returns its answer or the reason of the failure. */
const command = (port: number, ...args: readonly [string, ...Array<string>]) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const client = new Client({ host, port, lazyConnect: true, retryStrategy: null, commandTimeout: 2000 })
      client.on("error", () => {})
      return client
    }),
    (client) => Effect.tryPromise(() => client.connect().then(() => client.call(...args))),
    (client) => Effect.sync(() => client.disconnect())
  )

const reachable = await Effect.runPromise(
  Effect.match(command(6379, "PING"), { onFailure: () => false, onSuccess: () => true })
)

/** The shared Redis of this machine, under a prefix that is cleared with the layer. */
export const sharedRedis = {
  name: `Redis on ${host}:6379${reachable ? "" : " (not there)"}`,
  skip: !reachable,
  /** Nodes with the same `prefix` share their data. */
  layer: (overrides: SettingsOverrides = {}, prefix = `chat-test-${randomBytes(6).toString("hex")}:`) =>
    Redis.layerPrefix(prefix).pipe(
      Layer.provideMerge(Layer.effectDiscard(Effect.acquireRelease(Effect.void, () => Effect.orDie(forget(prefix))))),
      Layer.provideMerge(SettingsMemory.layerMemory({ ...overrides, redis: { host } }))
    )
}

const forget = (prefix: string) =>
  Effect.gen(function* () {
    const keys = yield* command(6379, "KEYS", `${prefix}*`)
    if (Array.isArray(keys) && keys.length > 0) yield* command(6379, "DEL", ...keys.map(String))
  })

const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, host, () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

/**
 * Starts a `redis-server` with further options, which a test may kill, freeze and start again; it ends with the scope.
 */
export const startRedisWith = Effect.fnUntraced(function* (options: ReadonlyArray<string>) {
  const port = yield* freePort
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-redis-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const args = [
    "--port",
    String(port),
    "--bind",
    host,
    "--save",
    "",
    "--appendonly",
    "no",
    "--dir",
    directory,
    ...options
  ]
  const begin = () => spawn("redis-server", args, { stdio: "ignore" })
  let child = begin()
  yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
  const answers = command(port, "PING").pipe(Effect.retry(Schedule.spaced("20 millis")), Effect.orDie)
  yield* answers
  return {
    port,
    settings: { redis: { host, port } },
    command: (...args: readonly [string, ...Array<string>]) => Effect.orDie(command(port, ...args)),
    freeze: Effect.sync(() => child.kill("SIGSTOP")),
    thaw: Effect.sync(() => child.kill("SIGCONT")),
    kill: Effect.callback<void>((resume) => {
      child.once("exit", () => resume(Effect.void))
      child.kill("SIGKILL")
    }),
    restart: Effect.suspend(() => {
      child = begin()
      return answers
    })
  }
})

/** Starts a `redis-server` with default options. */
export const startRedis = startRedisWith([])

const installed = spawnSync("redis-server", ["--version"]).status === 0

/** Whether a Redis of the test's own can be started here. */
export const ownRedis = { name: `redis-server${installed ? "" : " (not installed)"}`, skip: !installed }
