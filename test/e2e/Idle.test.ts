import { existsSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { inject } from "vitest"
import { api, connect } from "../support/Client.ts"
import { owned } from "../support/Clusters.ts"
import { startNode } from "../support/Node.ts"
import { query } from "../support/Servers.ts"

const cluster = inject("clusters").server

const metricsOf = (url: string) => Effect.promise(() => fetch(`${url}/metrics`).then((answer) => answer.text()))

/** How many statements a node has sent, by operation. */
const statementsOf = (url: string) =>
  Effect.map(metricsOf(url), (text) => {
    const counts = new Map<string, number>()
    for (const [, operation = "", count] of text.matchAll(
      /^chat_database_queries_total\{operation="([^"]*)",[^}]*\} (\d+)/gm
    ))
      counts.set(operation, (counts.get(operation) ?? 0) + Number(count))
    return counts
  })

/** How often the main thread of a process has waited, and so was woken; 0 on systems that do not say. */
const wakeUpsOf = (pid: number) => {
  const file = `/proc/${pid}/task/${pid}/status`
  return existsSync(file) ? Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(file, "latin1"))?.[1]) : 0
}

/** The look of the readiness probe at the server, which is sent once a second. */
const clock = "do"
const seconds = 10

/** How many of each statement an idle node sends in a second, as docs/benchmarks.md says. */
const rates = new Map([
  [clock, 1],
  ["select sessions", 1],
  ["select looks", 1],
  ["insert nodes", 1 / 5],
  ["select conversation_heads", 1 / 30],
  ["select user_heads", 1 / 30],
  ["select conversation_members", 1 / 60],
  ["check_guests", 1 / 60],
  ["purge", 1 / 600],
  ["unused_blobs", 1 / 600],
  ["select uploads", 1 / 600]
])

describe.skipIf(cluster === null)("an idle node", () => {
  it.live("sends 3.3 statements a second, wakes up rarely, and keeps no memory of its start", () =>
    Effect.gen(function* () {
      const database = owned.name("idle")
      yield* Effect.addFinalizer(() =>
        Effect.orDie(query(cluster?.port ?? 0, "postgres", `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`))
      )
      const node = yield* startNode({
        "postgres.host": "127.0.0.1",
        "postgres.port": cluster?.port ?? 0,
        "postgres.database": database,
        "nats.address": "nats://127.0.0.1:4222",
        "nats.prefix": `idle-${process.pid}`,
        "redis.host": "127.0.0.1",
        "jwt.secret": "a secret of this test, long enough to be accepted"
      })
      // A socket that says nothing is no work for the database.
      const http = api(node.url)
      const ann = yield* http.register("ann")
      yield* http.dm(ann, ann)
      const client = yield* connect(node.url)
      yield* client.ready(ann.token)
      const ticks = Effect.map(statementsOf(node.url), (counts) => counts.get(clock) ?? 0)
      // Each look wakes the node too.
      const later = (count: number) =>
        Effect.repeat(ticks, { until: (now) => now >= count, schedule: Schedule.spaced("1 second") })
      yield* later((yield* ticks) + 3)
      yield* query(cluster?.port ?? 0, database, `SELECT FROM consumer_state('search') WHERE waits IS NULL`).pipe(
        Effect.repeat({ until: (rows) => rows.length === 1, schedule: Schedule.spaced("1 second") })
      )
      // A look that began before that has the index look once more, five seconds later.
      yield* later((yield* ticks) + 7)
      const wokenBefore = wakeUpsOf(node.pid)
      const before = yield* statementsOf(node.url)
      yield* later((before.get(clock) ?? 0) + seconds)
      const after = yield* statementsOf(node.url)
      const woken = wakeUpsOf(node.pid) - wokenBefore
      const grown = new Map(
        [...after].flatMap(([name, count]) => {
          const more = count - (before.get(name) ?? 0)
          return more === 0 ? [] : [[name, more] as const]
        })
      )
      // The first and the last second may each be seen in part.
      const most = (name: string) => (rates.get(name) ?? 0) * ((grown.get(clock) ?? 0) + 1) + 1
      const tooMany = [...grown].filter(([name, count]) => !rates.has(name) || count > most(name))
      assert.deepStrictEqual(tooMany, [], JSON.stringify([...grown]))
      // Ten are the measurement of the event loop's lag, and the rest one tick of all loops, their answers, and these looks.
      // If each loop had its own time, there would be fifty.
      assert.isAtMost(woken / ((grown.get(clock) ?? 0) + 1), 30)
      // A start needs twice as much, which it gives back.
      const heap = Number(/^nodejs_heap_size_total_bytes (\S+)/m.exec(yield* metricsOf(node.url))?.[1])
      assert.isBelow(heap, 120e6)
    }).pipe(Effect.scoped)
  )
})
