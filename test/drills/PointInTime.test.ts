import { chmodSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { api, connect } from "../support/Client.ts"
import { startNode } from "../support/Node.ts"
import { inRepository } from "../support/Prometheus.ts"
import {
  addToData,
  baseBackup,
  query,
  serversAreThere,
  startPostgresOn,
  startPostgresWith,
  temporaryDirectory
} from "../support/Servers.ts"

const page = readFileSync(inRepository("docs/operations.md"), "utf8")

/** The value of a line of configuration in docs/operations.md, with this archive. */
const documented = (name: string, archive: string) =>
  (new RegExp(`^ *${name} = '(.*)'`, "m").exec(page)?.[1] ?? "").replaceAll("/archive", archive)

const settings = (port: number) => ({
  "postgres.host": "127.0.0.1",
  "postgres.port": port,
  "postgres.database": "chat",
  "server.origin": "http://localhost:8080",
  "jwt.secret": "a secret for this test alone, 32 bytes or more"
})

describe.skipIf(!serversAreThere)("a server that is restored to a point in time, as docs/operations.md says", () => {
  it.live("has what was acknowledged until then, and its clients fetch everything again", () =>
    Effect.gen(function* () {
      const archive = yield* temporaryDirectory("archive")
      chmodSync(archive, 0o777)
      const primary = yield* startPostgresWith({
        archive_mode: "on",
        archive_command: documented("archive_command", archive)
      })
      const node = yield* startNode(settings(primary.port))
      const http = api(node.url)
      const ann = yield* http.register("ann")
      const id = yield* http.dm(ann, ann)
      const client = yield* connect(node.url)
      const [answer] = yield* client.ready(ann.token)
      const epoch = String(answer?.ok?.epoch)
      let sent = 0
      const sendFive = Effect.repeat(
        Effect.suspend(() =>
          client.ok("message.send", { conversationId: id, clientMessageId: `p${++sent}`, body: `body ${sent}` })
        ),
        { times: 4 }
      )
      yield* sendFive
      const data = yield* baseBackup(primary)
      yield* sendFive
      const [row] = yield* query(primary.port, "chat", "SELECT clock_timestamp()::text AS now")
      yield* sendFive
      // The end of the log reaches the archive, as archive_timeout makes sure.
      const [last] = yield* query(primary.port, "chat", "SELECT pg_walfile_name(pg_switch_wal()) AS name")
      yield* query(primary.port, "chat", "SELECT last_archived_wal AS name FROM pg_stat_archiver").pipe(
        Effect.repeat({
          until: ([archived]) => String(archived?.name ?? "") >= String(last?.name),
          schedule: Schedule.spaced(50)
        })
      )
      node.kill("SIGTERM")
      yield* node.exit
      yield* primary.kill

      const recovery = [
        `restore_command = '${documented("restore_command", archive)}'`,
        `recovery_target_time = '${String(row?.now)}'`,
        `recovery_target_action = '${documented("recovery_target_action", archive)}'`
      ]
      yield* addToData(data, "postgresql.auto.conf", recovery.map((line) => `${line}\n`).join(""))
      yield* addToData(data, "recovery.signal", "")
      const restored = yield* startPostgresOn(data)
      yield* query(restored.port, "chat", "SELECT pg_is_in_recovery() AS recovering").pipe(
        Effect.repeat({ until: ([state]) => state?.recovering === false, schedule: Schedule.spaced(50) })
      )

      const again = yield* startNode(settings(restored.port))
      const ids = (yield* api(again.url).history(ann, id)).map(({ clientMessageId }) => clientMessageId)
      assert.deepStrictEqual(
        ids,
        Array.from({ length: 10 }, (_, n) => `p${n + 1}`)
      )
      const returning = yield* connect(again.url)
      const frames = yield* returning.ready(ann.token, { cursors: { [id]: 16 }, epoch })
      assert.isTrue(frames.some(({ event }) => event === "conversation.reset"))
      assert.notInclude(JSON.stringify(frames[0]?.json), epoch)
      assert.strictEqual(
        (yield* returning.ok("message.send", { conversationId: id, clientMessageId: "new", body: "new" })).seq,
        12
      )
    }).pipe(Effect.scoped)
  )
})
