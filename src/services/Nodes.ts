import { randomUUID } from "node:crypto"
import { Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { Unavailable } from "../domain/Problem.ts"
import { PubSub } from "./PubSub.ts"
import { Readiness } from "./Readiness.ts"
import { Settings } from "./Settings.ts"

/** How often a node says that it is alive, and after what silence it counts as dead, in seconds. */
const interval = 5
const silence = 15

/**
 * Watches the bus: `nats` is down while it has no connection. Announces this node in PostgreSQL while it lives. Nodes that do not share a bus do not hear of each other's events:
 * without the section `nats` a second live node makes both degraded, and their logs say why.
 */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const pubsub = yield* PubSub
    const readiness = yield* Readiness
    const { nats } = yield* Settings
    const id = randomUUID()
    const bus = nats === undefined ? `in-process ${id}` : "nats"

    const announce = sql`
      INSERT INTO nodes (id, bus) VALUES (${id}::uuid, ${bus})
      ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()`
    const forget = sql`
      DELETE FROM nodes WHERE id = ${id}::uuid OR seen_at < now() - interval '1 day'`
    yield* Effect.forkScoped(
      Effect.repeat(Effect.ignore(Effect.timeout(announce, "12 seconds")), Schedule.spaced(`${interval} seconds`))
    )
    yield* Effect.addFinalizer(() => Effect.ignore(forget))

    const alone = Effect.gen(function* () {
      const [row] = yield* sql<{ others: number }>`
        SELECT count(*) AS others FROM nodes
        WHERE bus <> ${bus} AND seen_at > now() - make_interval(secs => ${silence}::int)`
      if (row === undefined || row.others === 0) return
      yield* new Unavailable({
        detail: "another live node uses this database and shares no bus with it: configure nats on every node"
      })
    }).pipe(Effect.catchTag("SqlError", () => Effect.void))
    const away = Effect.fail(new Unavailable({ detail: "no connection; other nodes' events come late" }))
    const probe = Effect.suspend(() => (pubsub.healthy() ? alone : away))
    yield* readiness.watch({ name: "nats", required: false, inProcess: nats === undefined, probe })
  })
)
