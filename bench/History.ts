import { Agent, request } from "node:http"
import { Console, Effect } from "effect"
import pg from "pg"
import type { Bench } from "./Compare.ts"
import { conversationOf, makeGroups, makeMessages, makePairs } from "./Data.ts"
import type { Verdict } from "./Goals.ts"
import { BenchError } from "./Postgres.ts"
import { makeStack, startNode } from "./Service.ts"

/** Pages of one conversation of this length, beside others with a multiple of that in all. */
const long = 10_000
const others = { count: 990, each: 1000 }
const pageSize = 50
/** How many clients ask at a time, each for the next page when it has the last one. */
const clients = 4

/** How many answers a second `ask` gives in a while; `before` is somewhere in the conversation. */
const answersPerSecond = async (ms: number, ask: (before: number) => Promise<void>) => {
  const until = performance.now() + ms
  let answers = 0
  const one = async () => {
    while (performance.now() < until) {
      await ask(pageSize + 2 + Math.floor(Math.random() * (long - pageSize)))
      answers++
    }
  }
  await Promise.all(Array.from({ length: clients }, one))
  return answers / (ms / 1000)
}

/** Asks for a page over HTTP, and fails unless it is a whole one. */
const overHttp = (url: string, token: string, agent: Agent) => (before: number) =>
  new Promise<void>((resolve, reject) => {
    const path = `/v1/conversations/${conversationOf(1)}/messages?limit=${pageSize}&before=${before}`
    request(url + path, { agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk) => {
        text += chunk
      })
      response.on("end", () => {
        const { length } = JSON.parse(text).items ?? []
        if (length === pageSize) resolve()
        else reject(new Error(`a page of ${length} messages, ${response.statusCode}: ${text.slice(0, 200)}`))
      })
    })
      .on("error", reject)
      .end()
  })

/** Reads the same rows by the shortest statement. */
const overSql = (pool: pg.Pool) => async (before: number) => {
  const { rows } = await pool.query({
    name: "page",
    text: `SELECT * FROM messages WHERE conversation_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT ${pageSize}`,
    values: [conversationOf(1), before]
  })
  if (rows.length !== pageSize) throw new Error(`a page of ${rows.length} rows`)
}

/** Pages of a large conversation over HTTP, beside the SQL alone. */
export const history = Effect.fnUntraced(function* ({ lengths, nodeOptions, quick, rounds }: Bench) {
  const stack = yield* makeStack("chat_bench_history")
  const { url } = yield* startNode("service", stack, nodeOptions)
  const [me] = yield* makePairs(stack.database, 1)
  yield* makeMessages(stack.database, { from: 1, to: 1, each: long })
  yield* makeGroups(stack.database, { from: 2, to: others.count + 1, members: "VALUES (1)" })
  yield* makeMessages(stack.database, { from: 2, to: others.count + 1, each: others.each })
  const agent = yield* Effect.acquireRelease(
    Effect.sync(() => new Agent({ keepAlive: true, maxSockets: clients })),
    (made) => Effect.sync(() => made.destroy())
  )
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => new pg.Pool({ host: "127.0.0.1", user: "postgres", database: stack.database, max: clients })),
    (made) => Effect.promise(() => made.end())
  )
  const rate = (ms: number, ask: (before: number) => Promise<void>) =>
    Effect.tryPromise({
      try: () => answersPerSecond(ms, ask),
      catch: (error) =>
        new BenchError({ message: `history: ${error instanceof Error ? error.message : "it broke off"}` })
    })
  const ask = { http: overHttp(url, me?.token ?? "", agent), sql: overSql(pool) }
  yield* rate(lengths.warmMs, ask.http)
  yield* rate(lengths.warmMs, ask.sql)
  const values: Array<number> = []
  for (let round = 1; round <= (quick ? 1 : rounds); round++) {
    const sql = yield* rate(lengths.measureMs, ask.sql)
    const http = yield* rate(lengths.measureMs, ask.http)
    yield* Console.log(
      `round ${round}: ${http.toFixed(0)} pages a second over HTTP, ${sql.toFixed(0)} of the SQL alone`
    )
    values.push(http / sql)
  }
  const verdict: Verdict = {
    what: `page of ${pageSize} from ${long.toLocaleString("en-US")} of a million rows, over HTTP, to the SQL alone`,
    unit: "",
    values,
    goal: { side: "at least", must: 0.2, aim: 0.3 }
  }
  return [verdict]
})
