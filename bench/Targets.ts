import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { Processes } from "./Cpu.ts"
import { type Dialect, type Member, type Pair, serviceDialect, sketchDialect, socketIoDialect } from "./Dialects.ts"
import { freshDatabase } from "./Postgres.ts"
import { type Server, startServer } from "./Server.ts"
import { acquaintAll, makeStack, post, type Stack, Started, startNode } from "./Service.ts"

/** A running chat server, with users who are ready to write. */
export interface Target {
  readonly name: string
  readonly processes: Processes
  /** The URLs to which senders and receivers connect. */
  readonly urls: { readonly sender: string; readonly receiver: string }
  readonly database: string
  readonly dialect: Dialect
  readonly pairs: ReadonlyArray<Pair>
  /** Per conversation: `conversation`, `rows`, `ids` (distinct client ids) and `span` (from the first to the last seq). */
  readonly count: string
}

const strangers = (count: number) =>
  Array.from({ length: count }, (): Pair => {
    const conversation = randomUUID()
    const member = (): Member => ({ user: randomUUID(), conversation, token: "" })
    return { conversation, sender: member(), receiver: member(), sent: 0, seq: 0 }
  })

const single = ({ pid, url }: Server) => ({
  processes: { server: [pid], bus: [] },
  urls: { sender: url, receiver: url }
})

/** The nodes of a service. */
type Nodes = readonly [Server, ...ReadonlyArray<Server>]

const sketch = (name: string, numbering: "database" | "memory") =>
  Effect.fnUntraced(function* (pairs: number) {
    const database = yield* freshDatabase(`chat_bench_${name}`)
    return {
      name,
      ...single(yield* startServer(name, ["bench/sketch.ts", database, numbering])),
      database,
      dialect: sketchDialect,
      pairs: strangers(pairs),
      count: `SELECT conversation, count(*)::int AS rows, count(DISTINCT client_id)::int AS ids,
        (max(seq) - min(seq) + 1)::int AS span FROM messages GROUP BY 1`
    }
  })

const socketIo = Effect.fnUntraced(function* (pairs: number) {
  const database = yield* freshDatabase("chat_bench_socket_io")
  return {
    name: "socket.io",
    ...single(yield* startServer("socket.io", ["bench/socketIo.ts", database])),
    database,
    dialect: socketIoDialect,
    pairs: strangers(pairs),
    count: `SELECT conversation, count(*)::int AS rows, count(DISTINCT client_id)::int AS ids,
      count(*)::int AS span FROM messages GROUP BY 1`
  }
})

/** A target with one room of all users, in which the first ones write. */
export interface RoomTarget extends Omit<Target, "pairs" | "count" | "database"> {
  /** Undefined when it stores nothing. */
  readonly database: string | undefined
  readonly conversation: string
  readonly members: ReadonlyArray<Member>
}

const everybody = (size: number) => {
  const conversation = randomUUID()
  const members = Array.from({ length: size }, (): Member => ({ user: randomUUID(), conversation, token: "" }))
  return { conversation, members }
}

/** A bare loop that writes one shared frame to every socket, and stores nothing. */
const loop = Effect.fnUntraced(function* (members: number) {
  return {
    name: "loop",
    ...single(yield* startServer("loop", ["bench/loop.ts"])),
    database: undefined,
    dialect: sketchDialect,
    ...everybody(members)
  }
})

/** What `Target.count` is for the service. */
export const countInService = `SELECT conversation_id AS conversation, count(*)::int AS rows,
  count(DISTINCT client_message_id)::int AS ids, (max(seq) - min(seq) + 1)::int AS span FROM messages GROUP BY 1`

const ofService = Effect.fnUntraced(function* (name: string, stack: Stack, nodes: Nodes, pairs: number) {
  return {
    name,
    processes: { server: nodes.map(({ pid }) => pid), bus: stack.bus },
    urls: { sender: nodes[0].url, receiver: (nodes[1] ?? nodes[0]).url },
    database: stack.database,
    dialect: serviceDialect,
    pairs: yield* acquaintAll(nodes[0].url, pairs),
    count: countInService
  }
})

const service = Effect.fnUntraced(function* (pairs: number, nodeOptions: ReadonlyArray<string> = []) {
  const stack = yield* makeStack("chat_bench_service")
  return yield* ofService("service", stack, [yield* startNode("service", stack, nodeOptions)], pairs)
})

/** All senders are on one node and all receivers on the other. */
const twoNodes = Effect.fnUntraced(function* (pairs: number) {
  const stack = yield* makeStack("chat_bench_nodes")
  const nodes: Nodes = [yield* startNode("first node", stack), yield* startNode("second node", stack)]
  return yield* ofService("two nodes", stack, nodes, pairs)
})

/** What differs from one trace in 100. Logs stay on: they have no line per message, and they name the URL. */
const telemetry = {
  "all off": { CHAT_METRICS__ENABLED: "false", CHAT_TRACING__ENABLED: "false" },
  telemetry: {},
  "every trace": { CHAT_TRACING__SAMPLE_RATE: "1" }
}

/** The service without telemetry, with all telemetry, and with a trace of every message. */
export const telemetryTargets = (pairs: number, nodeOptions: ReadonlyArray<string> = []) =>
  Effect.forEach(
    Object.entries(telemetry),
    Effect.fnUntraced(function* ([name, settings]) {
      const stack = yield* makeStack(`chat_bench_${name.replaceAll(" ", "_")}`)
      const node = yield* startNode(name, { ...stack, environment: { ...stack.environment, ...settings } }, nodeOptions)
      return yield* ofService(name, stack, [node], pairs)
    })
  )

const serviceRoom = Effect.fnUntraced(function* (size: number, nodeOptions: ReadonlyArray<string> = []) {
  const target = yield* service(size / 2, nodeOptions)
  const members = target.pairs.flatMap(({ receiver, sender }) => [sender, receiver])
  const [owner, ...others] = members
  const group = { kind: "group", title: "Everybody", memberIds: others.map(({ user }) => user) }
  const { id } = yield* post(Started, target.urls.sender, "/v1/conversations", group, owner?.token)
  return { ...target, conversation: id, members }
})

/** The comparison with one room for all its users. */
const socketIoRoom = Effect.fnUntraced(function* (size: number) {
  const target = yield* socketIo(0)
  return { ...target, ...everybody(size) }
})

export const roomTargets = { loop, "socket.io": socketIoRoom, service: serviceRoom }

export const targets = {
  sketch: sketch("sketch", "database"),
  floor: sketch("floor", "memory"),
  "socket.io": socketIo,
  service,
  "two nodes": twoNodes
}
