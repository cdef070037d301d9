import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schedule, type Scope } from "effect"
import { type FaultProxy, startProxy } from "../support/Proxy.ts"
import {
  query,
  type Server,
  type ServerError,
  type ServiceNode,
  startNats,
  startNode,
  startPostgres,
  startRedis,
  temporaryDirectory
} from "../support/Servers.ts"

/** A node, and the proxies on its links. */
interface ClusterNode {
  readonly name: string
  readonly server: ServiceNode
  readonly links: {
    readonly clients: FaultProxy
    readonly postgres: FaultProxy
    readonly nats: FaultProxy | undefined
    readonly redis: FaultProxy | undefined
  }
  /** The URL for clients, which leads through a proxy. */
  readonly url: string
}

/** Two nodes of one service on servers of their own. */
export interface Cluster {
  readonly postgres: Server
  readonly nats: Server | undefined
  readonly redis: Server | undefined
  readonly nodes: readonly [ClusterNode, ClusterNode]
  readonly query: (
    text: string,
    values?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Record<string, unknown>>, ServerError>
  /** Ends all faults: every process runs again, and every link works. */
  readonly heal: Effect.Effect<void>
}

const database = "chat"

/** Settings without limits and heartbeats that a test of faults would hit by itself. */
const calm = {
  JWT__SECRET: "a secret for fault tests only, 32 bytes or more",
  POSTGRES__HOST: "127.0.0.1",
  POSTGRES__DATABASE: database,
  METRICS__ENABLED: "false",
  LIMITS__REGISTRATIONS_PER_MINUTE_ADDRESS: "100000",
  LIMITS__LOGIN_FAILURES_PER_MINUTE_ADDRESS: "100000",
  LIMITS__CONVERSATIONS_PER_MINUTE: "100000",
  LIMITS__FIRST_CONTACTS_PER_DAY: "1000000",
  LIMITS__ADDITIONS_PER_HOUR: "1000000",
  LIMITS__REQUESTS_PER_MINUTE: "1000000",
  LIMITS__COMMANDS_PER_SECOND: "1000",
  LIMITS__COMMANDS_BURST: "1000",
  LIMITS__UNAUTHENTICATED_SOCKETS_PER_ADDRESS: "2000"
}

const startClusterNode = Effect.fnUntraced(function* (
  name: string,
  servers: { readonly postgres: Server; readonly nats: Server | undefined; readonly redis: Server | undefined },
  settings: Readonly<Record<string, string>>
) {
  const postgres = yield* startProxy(servers.postgres.port)
  const nats = servers.nats && (yield* startProxy(servers.nats.port))
  const redis = servers.redis && (yield* startProxy(servers.redis.port))
  const server = yield* startNode(name, {
    ...calm,
    POSTGRES__PORT: String(postgres.port),
    ...(nats && { NATS__ADDRESS: `nats://127.0.0.1:${nats.port}` }),
    ...(redis && { REDIS__HOST: "127.0.0.1", REDIS__PORT: String(redis.port) }),
    ...settings
  })
  const clients = yield* startProxy(server.port)
  const node: ClusterNode = {
    name,
    server,
    links: { clients, postgres, nats, redis },
    url: `http://127.0.0.1:${clients.port}`
  }
  return node
})

/** Starts the server again until that succeeds, as a supervisor does. */
const revive = (server: Server) =>
  Effect.orDie(Effect.retry(server.start, { schedule: Schedule.spaced("500 millis"), times: 60 }))

/**
 * Starts PostgreSQL, NATS and Redis and two nodes, `a` and `b`, on them, each link through a proxy. They end with the
 * scope. `FAULT_LOGS=<directory>` keeps the logs of the nodes.
 */
export const startCluster = Effect.fn("startCluster")(function* (
  options: {
    readonly nats?: boolean
    readonly redis?: boolean
    readonly settings?: Readonly<Record<string, string>>
  } = {}
): Effect.fn.Return<Cluster, ServerError, Scope.Scope> {
  const { nats: withNats = true, redis: withRedis = true, settings = {} } = options
  const [postgres, nats, redis] = yield* Effect.all(
    [
      startPostgres,
      withNats ? startNats : Effect.succeed(undefined),
      withRedis ? startRedis : Effect.succeed(undefined)
    ],
    { concurrency: 3 }
  )
  const servers = { postgres, nats, redis }
  // Nodes without S3 share their files.
  const shared = { DATA__DIR: yield* temporaryDirectory("files"), ...settings }
  const a = yield* startClusterNode("a", servers, shared)
  const b = yield* startClusterNode("b", servers, shared)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      const directory = process.env.FAULT_LOGS
      if (directory === undefined) return
      mkdirSync(directory, { recursive: true })
      for (const { name, server } of [a, b]) {
        const lines = server.log.map(({ text }) => `${text}\n`).join("")
        writeFileSync(join(directory, `${process.pid}-${server.port}-${name}.log`), lines)
      }
    })
  )
  const all = [postgres, nats, redis, a.server, b.server].filter((server) => server !== undefined)
  return {
    ...servers,
    nodes: [a, b],
    query: (text, values) => query(postgres.port, database, text, values),
    heal: Effect.gen(function* () {
      for (const { links } of [a, b]) {
        for (const proxy of Object.values(links)) if (proxy !== undefined) yield* proxy.heal
      }
      for (const server of all) {
        yield* server.thaw
        yield* revive(server)
      }
    })
  }
})
