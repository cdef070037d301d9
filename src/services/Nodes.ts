import { randomUUID } from "node:crypto"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Unavailable } from "../domain/Problem.ts"
import { every } from "./Background.ts"
import { PubSub } from "./PubSub.ts"
import { Readiness } from "./Readiness.ts"
import { Settings } from "./Settings.ts"

/** How often a node says that it is alive, and after what silence it counts as dead, in seconds. */
const interval = 5
const silence = 15

/**
 * Watches the bus: `nats` is down while it has no connection. On a PostgreSQL server it also announces this node while
 * it lives: nodes that share no bus do not hear of each other's events, so a second live one without `nats` makes both
 * degraded, and their logs say why.
 */
export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const pubsub = yield* PubSub
    const readiness = yield* Readiness
    const { nats, postgres } = yield* Settings
    const id = randomUUID()
    const bus = nats === undefined ? `in-process ${id}` : `nats ${nats.prefix}`
    let others = 0

    const announce = sql`
      INSERT INTO nodes (id, bus) VALUES (${id}::uuid, ${bus})
      ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()`
    const forget = sql`
      DELETE FROM nodes WHERE id = ${id}::uuid OR seen_at < now() - interval '1 day'`
    const look = sql<{ others: number }>`
      SELECT count(*) AS others FROM nodes
      WHERE bus <> ${bus} AND seen_at > now() - make_interval(secs => ${silence}::int)`
    const meet = Effect.gen(function* () {
      yield* announce
      const [row] = yield* look
      others = row?.others ?? 0
    }).pipe(Effect.timeout("12 seconds"), Effect.ignore)
    // An embedded PostgreSQL is this node's alone.
    if (postgres !== undefined) {
      yield* every(`${interval} seconds`, "the look at other nodes", meet)
      yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeoutOption(forget, "1 second")))
    }

    const strangers = Effect.fail(
      new Unavailable({
        detail: "another live node uses this database and shares no bus with it: configure nats on every node"
      })
    )
    const away = Effect.fail(new Unavailable({ detail: "no connection; other nodes' events come late" }))
    const probe = Effect.suspend(() => (!pubsub.healthy() ? away : others > 0 ? strangers : Effect.void))
    yield* readiness.watch({ name: "nats", required: false, inProcess: nats === undefined, probe })
  })
)
