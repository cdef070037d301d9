import { readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import { join } from "node:path"
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, Schema } from "effect"
import { buildPage, isStale } from "../src/http/web/WebBuild.ts"
import { runMain } from "../src/layers/settings/Process.ts"
import { makeGroups, makeMessages, makePairs } from "./Data.ts"
import { goalTable, passes, type Verdict } from "./Goals.ts"
import { BenchError, freshDatabase, query } from "./Postgres.ts"
import { post, startNode } from "./Service.ts"
import { heap, launch, openConversation, scroll, signIn, startAgain } from "./WebPage.ts"

const password = "correct horse battery"
const long = 100_000
const scrolled = 5000
const many = 2000
const rounds = 3

const atMost = (must: number) => ({ side: "at most", must }) as const
const [manyText, longText] = [many, long].map((count) => count.toLocaleString("en-US"))

/** What each round measures, and what it must be. */
const goals = {
  start: { what: "longest task at the start", unit: "ms", goal: atMost(200) },
  startOfMany: { what: `longest task at the start, with ${manyText} conversations`, unit: "ms", goal: atMost(200) },
  fromAnswer: { what: `${longText} messages: from the answer to what is painted`, unit: "ms", goal: atMost(300) },
  fromClick: { what: `${longText} messages: from the click to what is painted`, unit: "ms" },
  p95: { what: `frame of a scroll through ${scrolled} messages, p95`, unit: "ms", goal: atMost(16) },
  longest: { what: "the longest of these frames", unit: "ms" },
  heap: { what: `heap with ${manyText} conversations`, unit: "MB", goal: atMost(100) }
}

const work = <A>(run: () => Promise<A>) =>
  Effect.tryPromise({
    try: run,
    catch: (error) => new BenchError({ message: error instanceof Error ? error.message : String(error) })
  })

/** Two users who can sign in: `u2` has read a long conversation, and `u4` is in many. */
const makeData = Effect.fnUntraced(function* (database: string, url: string) {
  yield* makePairs(database, 2)
  yield* makeMessages(database, { from: 1, to: 1, each: long })
  yield* makeGroups(database, { from: 3, to: many + 1, members: "VALUES (3), (4)" })
  yield* makeMessages(database, { from: 3, to: many + 1, each: 2 })
  yield* query(
    `UPDATE conversation_members m SET read_seq = h.seq, delivered_seq = h.seq FROM conversation_heads h
      WHERE h.conversation_id = m.conversation_id`,
    database
  )
  const account = { username: "key", displayName: "Key", email: "key@example.com", password }
  yield* post(Schema.Unknown, url, "/v1/auth/register", account)
  yield* query("UPDATE users SET password_hash = k.password_hash FROM users k WHERE k.username = 'key'", database)
})

/** Uses the page as a user of a long conversation, and then as one of many conversations. */
const measure = async (url: string): Promise<Record<keyof typeof goals, number>> => {
  const browser = await launch()
  try {
    const reader = await signIn(browser, url, "u2", password)
    const start = await startAgain(reader)
    const opening = await openConversation(reader, "Group 1")
    const { longest, p95 } = await scroll(reader, scrolled)
    await reader.context().close()
    const member = await signIn(browser, url, "u4", password)
    const startOfMany = await startAgain(member)
    return { ...opening, start, startOfMany, longest, p95, heap: await heap(member) }
  } finally {
    await browser.close()
  }
}

/** Writes the figures into docs/web.md. */
const write = (verdicts: ReadonlyArray<Verdict>) => {
  const path = join(import.meta.dirname, "../docs/web.md")
  const between = /(<!-- results: begin -->\n)[\s\S]*(<!-- results: end -->)/
  const machine = `${cpus().length} × ${cpus()[0]?.model}, on ${new Date().toISOString().slice(0, 10)}`
  const results = `\n${machine}, medians of ${rounds} rounds:\n\n${goalTable(verdicts)}\n\n`
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace(between, (_, begin, end) => `${begin}${results}${end}`)
  )
}

/** Measures the chat page in Chromium, on a node with the data that is written into its tables. */
Effect.gen(function* () {
  if (yield* Effect.promise(isStale)) yield* Effect.mapError(buildPage, ({ message }) => new BenchError({ message }))
  const database = yield* freshDatabase("chat_bench_web")
  const { url } = yield* startNode("service", { database, environment: { CHAT_SERVER__WEB: "true" } })
  yield* makeData(database, url)
  const measured: Array<Record<keyof typeof goals, number>> = []
  for (let round = 1; round <= rounds; round++) {
    const figures = yield* work(() => measure(url))
    yield* Console.log(`round ${round}: ${JSON.stringify(figures)}`)
    measured.push(figures)
  }
  const names = ["start", "startOfMany", "fromAnswer", "fromClick", "p95", "longest", "heap"] as const
  const verdicts: ReadonlyArray<Verdict> = names.map((name) => ({
    ...goals[name],
    values: measured.map((figures) => figures[name])
  }))
  yield* Console.log(`\n${goalTable(verdicts)}`)
  yield* Effect.sync(() => write(verdicts))
  if (!verdicts.every(passes)) return yield* new BenchError({ message: "a goal was missed" })
}).pipe(
  Effect.scoped,
  Effect.tapError((error) => Console.error(`bench: ${error.message}`)),
  Effect.provide(NodeServices.layer),
  runMain({ disableErrorReporting: true })
)
