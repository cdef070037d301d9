import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { api, connect } from "../support/Client.ts"
import { startNode } from "../support/Node.ts"
import { serversAreThere, smallDisk, startPostgresOnDisk } from "../support/Servers.ts"

/** Whether this user may mount a file system. */
const mayMount = spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).status === 0

/** Writes a file until nothing else fits on its disk. */
const fill = (path: string) => {
  const file = openSync(path, "w")
  try {
    for (const size of [1024 * 1024, 4096]) {
      const chunk = Buffer.alloc(size)
      try {
        while (writeSync(file, chunk) === size);
      } catch {
        // The disk is full.
      }
    }
  } finally {
    closeSync(file)
  }
}

describe.skipIf(!serversAreThere || !mayMount)(
  `a full disk${mayMount ? "" : " (needs the right to mount one)"}`,
  () => {
    it.live.each(["a server", "embedded"] as const)(
      "%s: is an outage that says why, loses nothing that was acknowledged, and ends by itself",
      (kind) =>
        Effect.gen(function* () {
          const disk = yield* smallDisk(300)
          const node = yield* startNode(
            kind === "embedded"
              ? { "data.dir": join(disk, "data") }
              : {
                  "postgres.host": "127.0.0.1",
                  "postgres.port": (yield* startPostgresOnDisk(disk)).port,
                  "server.origin": "http://localhost:8080",
                  "jwt.secret": "a secret for this test alone, 32 bytes or more"
                }
          )
          const http = api(node.url)
          const ann = yield* http.register("ann")
          const id = yield* http.dm(ann, ann)
          const client = yield* connect(node.url)
          yield* client.ready(ann.token)
          const until = (status: number) =>
            Effect.repeat(http.ask("GET", "/ready"), {
              until: (answer) => answer.status === status,
              schedule: Schedule.spaced(50)
            })

          const acknowledged: Array<string> = []
          let sent = 0
          /** Sends a message that soon fits into no free space. Returns the status of its problem, or 0. */
          const send = Effect.gen(function* () {
            const clientMessageId = `f${++sent}`
            const body = randomBytes(5900).toString("base64")
            const { error } = yield* client.command("message.send", { conversationId: id, clientMessageId, body })
            if (error === undefined) acknowledged.push(clientMessageId)
            return error?.status ?? 0
          })
          assert.strictEqual(yield* send, 0)
          yield* until(200)

          const ballast = join(disk, "ballast")
          fill(ballast)
          const paced = { schedule: Schedule.spaced(60) }
          assert.strictEqual(yield* Effect.repeat(send, { until: (status) => status !== 0, ...paced }), 503)
          const { body } = yield* until(503)
          assert.match(JSON.stringify(body), /a write failed: .*No space left on device/)
          // What needs no space is still answered, and further sends fail in the same way.
          assert.strictEqual((yield* http.ask("GET", `/v1/conversations/${id}`, { token: ann.token })).status, 200)
          assert.strictEqual(yield* send, 503)
          assert.lengthOf(
            node.log.filter(({ message }) => message === "postgres is down: nothing can be stored"),
            1
          )

          rmSync(ballast)
          yield* until(200)
          assert.strictEqual(yield* send, 0)
          const history = yield* http.history(ann, id)
          const stored = history.map(({ clientMessageId }) => clientMessageId)
          assert.includeMembers(stored, acknowledged)
          assert.strictEqual(new Set(stored).size, stored.length)
          assert.deepStrictEqual(
            history.map(({ seq }) => seq),
            history.map((_, n) => n + 2)
          )
          assert.isFalse(client.isClosed)
        }).pipe(Effect.scoped)
    )
  }
)
