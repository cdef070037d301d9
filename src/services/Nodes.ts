import { randomUUID } from "node:crypto"
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { Unavailable } from "../domain/Problem.ts"
import { every } from "./Background.ts"
import { PubSub } from "./PubSub.ts"
import { Readiness } from "./Readiness.ts"
import { Settings } from "./Settings.ts"
import { orUnavailable } from "./Sql.ts"

/** How often a node says that it is alive, and after what silence it counts as dead, in seconds. */
const interval = 5
const silence = 15

/** The nodes of the service, as far as they hear of each other. */
export class Nodes extends Context.Service<
  Nodes,
  {
    /** False while events may be missing here, because this node or another one has lost the bus. */
    readonly inTouch: () => boolean
    /**
     * Calls `listener` each time a lost bus is back, this node's or another's, until the scope closes: what was
     * published meanwhile is to be read from the log.
     */
    readonly onReunion: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/Nodes") {
  /** Of one node alone: it sees its own bus. */
  static readonly layerAlone = Layer.effect(
    Nodes,
    Effect.map(PubSub, ({ healthy, onReconnect }) => Nodes.of({ inTouch: healthy, onReunion: onReconnect }))
  )

  /**
   * Watches the bus: `nats` is down while it has no connection. On a PostgreSQL server nodes also tell each other there
   * that they live, and whether they have lost the bus. Nodes that share no bus do not hear of each other's events, so a
   * second live one without `nats` makes both degraded, and their logs say why.
   */
  static readonly layer = Layer.effect(
    Nodes,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const pubsub = yield* PubSub
      const readiness = yield* Readiness
      const { nats, postgres } = yield* Settings
      const id = randomUUID()
      const bus = nats === undefined ? `in-process ${id}` : `nats ${nats.prefix}`
      const listeners = new Set<() => void>()
      let strangers = 0
      let othersCutOff = false
      let announced = { at: Number.NEGATIVE_INFINITY, cutOff: false }

      const announce = (cutOff: boolean) => sql`
        INSERT INTO nodes (id, bus, cut_off) VALUES (${id}::uuid, ${bus}, ${cutOff})
        ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), cut_off = EXCLUDED.cut_off`
      const forget = sql`
        DELETE FROM nodes WHERE id = ${id}::uuid OR seen_at < now() - interval '1 day'`
      const look = sql<{ strangers: number; cutOff: boolean }>`
        SELECT count(*) FILTER (WHERE bus <> ${bus}) AS strangers,
          COALESCE(bool_or(cut_off) FILTER (WHERE bus = ${bus} AND id <> ${id}::uuid), false) AS cut_off
        FROM nodes WHERE seen_at > now() - make_interval(secs => ${silence}::int)`

      const meet = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const cutOff = !pubsub.healthy()
        if (cutOff !== announced.cutOff || now - announced.at >= interval * 1000) {
          yield* announce(cutOff)
          announced = { at: now, cutOff }
        }
        const [row] = yield* look
        const were = othersCutOff
        strangers = row?.strangers ?? 0
        othersCutOff = row?.cutOff ?? false
        if (were && !othersCutOff) for (const listener of listeners) listener()
      }).pipe(orUnavailable)
      // An embedded PostgreSQL is this node's alone.
      if (postgres !== undefined) {
        yield* every("1 second", "the look at other nodes", meet)
        yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeoutOption(forget, "1 second")))
      }

      const apart = Effect.fail(
        new Unavailable({
          detail: "another live node uses this database and shares no bus with it: configure nats on every node"
        })
      )
      const away = Effect.fail(new Unavailable({ detail: "no connection" }))
      const probe = Effect.suspend(() => (!pubsub.healthy() ? away : strangers > 0 ? apart : Effect.void))
      yield* readiness.watch({
        name: "nats",
        required: false,
        inProcess: nats === undefined,
        probe,
        without: "other nodes' events come late"
      })

      return Nodes.of({
        inTouch: () => pubsub.healthy() && !othersCutOff,
        onReunion: (listener) =>
          Effect.andThen(
            pubsub.onReconnect(listener),
            Effect.acquireRelease(
              Effect.sync(() => listeners.add(listener)),
              () => Effect.sync(() => listeners.delete(listener))
            )
          )
      })
    })
  )
}
