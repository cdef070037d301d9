import { createReadStream } from "node:fs"
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { inject } from "vitest"
import { makePairs } from "../../bench/Data.ts"
import { signingKey } from "../../bench/Service.ts"
import { until } from "../support/Chat.ts"
import { connect } from "../support/Client.ts"
import { owned } from "../support/Clusters.ts"
import { dataDirectory, startNode } from "../support/Node.ts"
import { query } from "../support/Servers.ts"

const cluster = inject("clusters").server

/** The sockets that are open before the count, so that code is compiled and caches are made, and those that are counted. */
const warm = 50
const counted = 150

/** The signal on which the node writes a snapshot of its heap. */
const signal = "SIGPROF"

const isWhole = (json: string) => json.trimEnd().endsWith("}")

/** Has the node write a snapshot of its heap, after a collection, and counts the objects and closures in it. */
const countObjects = Effect.fnUntraced(function* (
  node: { readonly kill: (name: NodeJS.Signals) => boolean },
  directory: string
) {
  node.kill(signal)
  let json = ""
  yield* until(
    Effect.promise(async () => {
      const [name] = (await readdir(directory)).filter((file) => file.endsWith(".heapsnapshot"))
      if (name === undefined) return false
      json = await text(createReadStream(join(directory, name)))
      if (!isWhole(json)) return false
      await rm(join(directory, name))
      return true
    })
  )
  const { nodes, snapshot } = JSON.parse(json)
  const { node_fields: fields, node_types: types } = snapshot.meta
  const wanted = new Set(["object", "closure"].map((type) => types[0].indexOf(type)))
  let count = 0
  for (let at = 0; at < nodes.length; at += fields.length) if (wanted.has(nodes[at])) count++
  return count
})

describe.skipIf(cluster === null)("an idle socket", () => {
  it.live("is no more objects of the heap than it needs", () =>
    Effect.gen(function* () {
      const database = owned.name("sockets")
      yield* Effect.addFinalizer(() =>
        Effect.orDie(query(cluster?.port ?? 0, "postgres", `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`))
      )
      const directory = yield* dataDirectory
      const node = yield* startNode(
        {
          "postgres.host": "127.0.0.1",
          "postgres.port": cluster?.port ?? 0,
          "postgres.database": database,
          "nats.address": "nats://127.0.0.1:4222",
          "nats.prefix": `sockets-${process.pid}`,
          "redis.host": "127.0.0.1",
          "jwt.secret": signingKey,
          "limits.unauthenticated_sockets_per_address": 1000
        },
        {
          command: [process.execPath, `--heapsnapshot-signal=${signal}`, `--diagnostic-dir=${directory}`, "src/main.ts"]
        }
      )
      const members = yield* makePairs(database, (warm + counted) / 2)
      const open = (from: number, to: number) =>
        Effect.forEach(
          members.slice(from, to),
          ({ token }) =>
            Effect.gen(function* () {
              const client = yield* connect(node.url, { described: false })
              yield* client.ready(token)
            }),
          { concurrency: 10, discard: true }
        )
      yield* open(0, warm)
      const before = yield* countObjects(node, directory)
      yield* open(warm, warm + counted)
      const each = ((yield* countObjects(node, directory)) - before) / counted
      // The TCP socket and its streams, the WebSocket, the connection with its outbox and limits, a cursor and half a feed,
      // the presence of the user, one and a half subscriptions of NATS, and the functions that these call: 104 objects and
      // closures, about 11 kB. A fiber, a context of one, or functions of the socket itself would be more than the rest.
      assert.isAtMost(each, 110)
    }).pipe(Effect.scoped)
  )
})
