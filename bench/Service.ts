import { randomUUID } from "node:crypto"
import { Effect, Schema } from "effect"
import type { Pair } from "./Dialects.ts"
import { BenchError, freshDatabase } from "./Postgres.ts"
import { startNats, startRedis, startServer } from "./Server.ts"

/** The limits are above what the benchmark reaches, but the limiters still run. */
const limits = {
  CHAT_LIMITS__REGISTRATIONS_PER_MINUTE_ADDRESS: "100000",
  CHAT_LIMITS__CONVERSATIONS_PER_MINUTE: "100000",
  CHAT_LIMITS__FIRST_CONTACTS_PER_DAY: "1000000",
  CHAT_LIMITS__ADDITIONS_PER_HOUR: "1000000",
  CHAT_LIMITS__COMMANDS_PER_SECOND: "100000",
  CHAT_LIMITS__COMMANDS_BURST: "100000",
  CHAT_LIMITS__COMMANDS_IN_FLIGHT: "100",
  CHAT_LIMITS__REQUESTS_PER_MINUTE: "10000000",
  CHAT_LIMITS__READ_BYTES_PER_SECOND: "1000000000",
  CHAT_LIMITS__READ_BYTES_BURST: "1000000000",
  CHAT_LIMITS__MEMBERS_PER_REQUEST: "1000",
  CHAT_LIMITS__SOCKETS_PER_ADDRESS: "100000",
  CHAT_LIMITS__UNAUTHENTICATED_SOCKETS_PER_ADDRESS: "100000"
}

const Signed = Schema.Struct({ accessToken: Schema.String, user: Schema.Struct({ id: Schema.String }) })
export const Started = Schema.Struct({ id: Schema.String, seq: Schema.Int })

/** The answer to a POST, decoded. */
export const post = <S extends Schema.ConstraintDecoder<unknown>>(
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

/** What the nodes of a service share: the database, NATS, Redis, and the collector of traces. */
export interface Stack {
  readonly database: string
  readonly bus: ReadonlyArray<number>
  readonly environment: Readonly<Record<string, string>>
}

/**
 * An empty database with a NATS and a Redis of its own, as operators run the service: metrics are on, and so is one
 * trace in 100.
 */
export const makeStack = Effect.fnUntraced(function* (database: string) {
  const nats = yield* startNats
  const redis = yield* startRedis
  const collector = yield* startServer("collector", ["bench/collector.ts"])
  const stack: Stack = {
    database: yield* freshDatabase(database),
    bus: [nats.pid, redis.pid],
    environment: {
      CHAT_NATS__ADDRESS: `nats://127.0.0.1:${nats.port}`,
      CHAT_REDIS__HOST: "127.0.0.1",
      CHAT_REDIS__PORT: `${redis.port}`,
      CHAT_METRICS__ENABLED: "true",
      CHAT_TRACING__ENABLED: "true",
      CHAT_TRACING__ENDPOINT: `${collector.url}/api/traces`,
      CHAT_TRACING__SAMPLE_RATE: "0.01"
    }
  }
  return stack
})

/** The key that signs the tokens of the service. */
export const signingKey = "a secret of the benchmark, long enough to be accepted"

/** The options of Node with which the files in `deploy` and `docker-compose.yml` start the service. */
export const deployedFlags = ["--max-old-space-size=640", "--max-semi-space-size=16"]

/** A node of the service. */
export const startNode = (
  name: string,
  { database, environment }: Pick<Stack, "database" | "environment">,
  nodeOptions: ReadonlyArray<string> = []
) =>
  startServer(name, [...nodeOptions, "src/main.ts"], {
    ...limits,
    CHAT_SERVER__PORT: "0",
    CHAT_SERVER__WEB: "false",
    CHAT_SHUTDOWN__LAME_DUCK: "0",
    CHAT_POSTGRES__HOST: "127.0.0.1",
    CHAT_POSTGRES__USERNAME: "postgres",
    CHAT_POSTGRES__DATABASE: database,
    CHAT_JWT__SECRET: signingKey,
    ...environment
  })

/** Pairs of users of a service, who have a direct conversation. */
export const acquaintAll = (url: string, pairs: number) =>
  // Two at a time: each costs two password hashes, which take all cores.
  Effect.forEach(
    Array.from({ length: pairs }, (_, index) => acquaint(url, index)),
    (pair) => pair,
    { concurrency: 2 }
  )
