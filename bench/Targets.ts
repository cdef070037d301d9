import { randomUUID } from "node:crypto"
import { Effect, Schema } from "effect"
import { type Dialect, type Member, serviceDialect, sketchDialect, socketIoDialect } from "./Dialects.ts"
import type { Pair } from "./Load.ts"
import { BenchError, freshDatabase } from "./Postgres.ts"
import { type Server, startNats, startServer } from "./Server.ts"

/** A chat that runs, with people who are ready to talk. */
export interface Target {
  readonly name: string
  /** The processes whose CPU counts, with all their children. */
  readonly pids: ReadonlyArray<number>
  /** Where senders and receivers connect to. */
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

const single = ({ pid, url }: Server) => ({ pids: [pid], urls: { sender: url, receiver: url } })

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

/** A target with one room of everybody in the pairs, of whom the first ones write. */
export interface RoomTarget extends Omit<Target, "pairs" | "count" | "database"> {
  /** Undefined when it stores nothing. */
  readonly database: string | undefined
  readonly conversation: string
  readonly members: ReadonlyArray<Member>
}

/** A bare loop that writes one shared frame to every socket, and stores nothing. */
const loop = Effect.fnUntraced(function* (members: number) {
  const conversation = randomUUID()
  return {
    name: "loop",
    ...single(yield* startServer("loop", ["bench/loop.ts"])),
    database: undefined,
    dialect: sketchDialect,
    conversation,
    members: Array.from({ length: members }, (): Member => ({ user: randomUUID(), conversation, token: "" }))
  }
})

/** Above what the benchmark reaches; the limiters run all the same. */
const limits = {
  CHAT_LIMITS__REGISTRATIONS_PER_MINUTE_ADDRESS: "100000",
  CHAT_LIMITS__COMMANDS_PER_SECOND: "100000",
  CHAT_LIMITS__COMMANDS_BURST: "100000",
  CHAT_LIMITS__COMMANDS_IN_FLIGHT: "100",
  CHAT_LIMITS__MEMBERS_PER_REQUEST: "1000",
  CHAT_LIMITS__SOCKETS_PER_ADDRESS: "100000",
  CHAT_LIMITS__UNAUTHENTICATED_SOCKETS_PER_ADDRESS: "100000"
}

const Signed = Schema.Struct({ accessToken: Schema.String, user: Schema.Struct({ id: Schema.String }) })
const Started = Schema.Struct({ id: Schema.String, seq: Schema.Int })

const post = <S extends Schema.ConstraintDecoder<unknown>>(
  answers: S,
  url: string,
  path: string,
  body: unknown,
  token?: string
) =>
  Effect.tryPromise({
    try: async () => {
      const response = await fetch(url + path, {
        method: "POST",
        headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify(body)
      })
      const answer = await response.json()
      if (!response.ok) throw new Error(`${path} answers ${response.status} ${JSON.stringify(answer)}`)
      return answer
    },
    catch: (error) =>
      new BenchError({
        message: `service: ${path}: ${error instanceof Error ? `${error.message} ${error.cause ?? ""}` : "no answer"}`
      })
  }).pipe(Effect.flatMap(Schema.decodeUnknownEffect(answers)), Effect.catchTag("SchemaError", Effect.die))

const signUp = Effect.fnUntraced(function* (url: string, username: string) {
  const password = randomUUID()
  const email = `${username}@example.com`
  yield* post(Schema.Unknown, url, "/v1/auth/register", { username, email, displayName: username, password })
  const { accessToken, user } = yield* post(Signed, url, "/v1/auth/login", { login: username, password })
  return { token: accessToken, user: user.id }
})

const acquaint = Effect.fnUntraced(function* (url: string, index: number) {
  const sender = yield* signUp(url, `sender${index}`)
  const receiver = yield* signUp(url, `receiver${index}`)
  const { id: conversation, seq } = yield* post(
    Started,
    url,
    "/v1/conversations",
    { kind: "dm", userId: receiver.user },
    sender.token
  )
  const pair: Pair = {
    conversation,
    sender: { ...sender, conversation },
    receiver: { ...receiver, conversation },
    sent: 0,
    seq
  }
  return pair
})

/** A node of the service on that database. */
const startNode = (
  name: string,
  database: string,
  nodeOptions: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>> = {}
) =>
  startServer(name, [...nodeOptions, "src/main.ts"], {
    ...limits,
    CHAT_SERVER__PORT: "0",
    CHAT_POSTGRES__HOST: "127.0.0.1",
    CHAT_POSTGRES__USERNAME: "postgres",
    CHAT_POSTGRES__DATABASE: database,
    CHAT_JWT__SECRET: "a secret of the benchmark, long enough to be accepted",
    ...environment
  })

const ofService = Effect.fnUntraced(function* (url: string, pairs: number) {
  return {
    dialect: serviceDialect,
    // Two at a time: each costs two password hashes, which take all cores.
    pairs: yield* Effect.forEach(
      Array.from({ length: pairs }, (_, index) => acquaint(url, index)),
      (pair) => pair,
      { concurrency: 2 }
    ),
    count: `SELECT conversation_id AS conversation, count(*)::int AS rows, count(DISTINCT client_message_id)::int AS ids,
      (max(seq) - min(seq) + 1)::int AS span FROM messages GROUP BY 1`
  }
})

const service = Effect.fnUntraced(function* (pairs: number, nodeOptions: ReadonlyArray<string> = []) {
  const database = yield* freshDatabase("chat_bench_service")
  const node = yield* startNode("service", database, nodeOptions)
  return { name: "service", ...single(node), database, ...(yield* ofService(node.url, pairs)) }
})

/** The log has no line for a message, and says where the service listens. */
const quiet = { CHAT_METRICS__ENABLED: "false", CHAT_TRACING__ENABLED: "false" }

const traced = (collector: Server, sampleRate: string) => ({
  CHAT_METRICS__ENABLED: "true",
  CHAT_TRACING__ENABLED: "true",
  CHAT_TRACING__ENDPOINT: `${collector.url}/api/traces`,
  CHAT_TRACING__SAMPLE_RATE: sampleRate
})

/** The service with nothing that watches it, with all of it, and with every message traced. */
export const telemetryTargets = Effect.fnUntraced(function* (pairs: number) {
  const collector = yield* startServer("collector", ["bench/collector.ts"])
  const start = Effect.fnUntraced(function* (name: string, environment: Readonly<Record<string, string>>) {
    const database = yield* freshDatabase(`chat_bench_${name.replaceAll(" ", "_")}`)
    const node = yield* startNode(name, database, [], environment)
    return { name, ...single(node), database, ...(yield* ofService(node.url, pairs)) }
  })
  return [
    yield* start("all off", quiet),
    yield* start("telemetry", traced(collector, "0.01")),
    yield* start("every trace", traced(collector, "1"))
  ]
})

/** All who send are on one node, all who receive on the other; the NATS server between them counts too. */
const twoNodes = Effect.fnUntraced(function* (pairs: number) {
  const database = yield* freshDatabase("chat_bench_nodes")
  const nats = yield* startNats
  const first = yield* startNode("first node", database, [], { CHAT_NATS__ADDRESS: nats.address })
  const second = yield* startNode("second node", database, [], { CHAT_NATS__ADDRESS: nats.address })
  return {
    name: "two nodes",
    pids: [first.pid, second.pid, nats.pid],
    urls: { sender: first.url, receiver: second.url },
    database,
    ...(yield* ofService(first.url, pairs))
  }
})

const serviceRoom = Effect.fnUntraced(function* (size: number, nodeOptions: ReadonlyArray<string>) {
  const target = yield* service(size / 2, nodeOptions)
  const members = target.pairs.flatMap(({ receiver, sender }) => [sender, receiver])
  const [owner, ...others] = members
  const group = { kind: "group", title: "Everybody", memberIds: others.map(({ user }) => user) }
  const { id } = yield* post(Started, target.urls.sender, "/v1/conversations", group, owner?.token)
  return { ...target, conversation: id, members }
})

export const roomTargets = { loop, service: serviceRoom }

export const targets = {
  sketch: sketch("sketch", "database"),
  floor: sketch("floor", "memory"),
  "socket.io": socketIo,
  service,
  "two nodes": twoNodes
}
