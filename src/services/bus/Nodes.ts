import { randomUUID } from "node:crypto"
import { Clock, Context, Effect, Layer, Schema, type Scope } from "effect"
import { SqlClient } from "effect/sql"
import { Unavailable } from "../../domain/Problem.ts"
import { every, Looks } from "../platform/Background.ts"
import { FilePlace } from "../platform/FilePlace.ts"
import { makeListeners } from "../platform/Listeners.ts"
import { Readiness } from "../platform/readiness/Readiness.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { listenerFailed, PubSub } from "./PubSub.ts"

/**
 * How often a node announces that it is alive, and how long its silence may last before it counts as dead, in seconds.
 */
const interval = 5
const silence = 15

/**
 * The other live nodes: how many of them share no bus with this one, whether one has lost it, and whether all keep files in the
 * same place.
 */
const Others = Schema.Struct({ strangers: Schema.Number, cut_off: Schema.Boolean, share_files: Schema.Boolean })

/** The nodes of the service, and whether their events reach each other. */
export class Nodes extends Context.Service<
  Nodes,
  {
    /** False while events may be missing here, because this node or another one has lost the bus. */
    readonly inTouch: () => boolean
    /** False while another live node keeps files in another place. */
    readonly shareFiles: () => boolean
    /**
     * Calls `listener` each time that this node or another one has its bus back, until the scope closes. Events of the
     * outage must be read from the log.
     */
    readonly onReunion: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/services/Nodes") {
  /** For a single node, which sees its own bus only. */
  static readonly layerAlone = Layer.effect(
    Nodes,
    Effect.map(PubSub, ({ healthy, onReconnect }) =>
      Nodes.of({ inTouch: healthy, shareFiles: () => true, onReunion: onReconnect })
    )
  )

  /**
   * Watches the bus: `nats` is down while it has no connection. On a PostgreSQL server each node also announces in a
   * table that it is alive, where it keeps files, and whether it has lost the bus. Nodes that share no bus miss each
   * other's events, so a second live node without `nats` makes both degraded, and their logs say why.
   */
  static readonly layer = Layer.effect(
    Nodes,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const looks = yield* Looks
      const pubsub = yield* PubSub
      const readiness = yield* Readiness
      const { nats, postgres } = yield* Settings
      const files = (yield* FilePlace) ?? null
      const id = randomUUID()
      const bus = nats === undefined ? `in-process ${id}` : `nats ${nats.prefix}`
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const listeners = makeListeners((defect) => fork(listenerFailed(defect)))
      let strangers = 0
      let othersCutOff = false
      let shareFiles = true
      let announced = { at: Number.NEGATIVE_INFINITY, cutOff: false }

      const forget = sql`
        DELETE FROM nodes WHERE id = ${id}::uuid OR seen_at < now() - interval '1 day'`
      const announce = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const cutOff = !pubsub.healthy()
        if (cutOff === announced.cutOff && now - announced.at < interval * 1000) return
        yield* sql`INSERT INTO nodes (id, bus, cut_off, files) VALUES (${id}::uuid, ${bus}, ${cutOff}, ${files}::text)
          ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), cut_off = EXCLUDED.cut_off`
        announced = { at: now, cutOff }
      }).pipe(orUnavailable)

      const askForOthers = sql`SELECT count(*) FILTER (WHERE bus <> ${bus}) AS strangers,
          COALESCE(bool_or(cut_off) FILTER (WHERE bus = ${bus} AND id <> ${id}::uuid), false) AS cut_off,
          count(DISTINCT files) < 2 AS share_files
        FROM nodes WHERE seen_at > now() - make_interval(secs => ${silence}::int)`
      const see = (others: typeof Others.Type) =>
        Effect.sync(() => {
          const were = othersCutOff
          strangers = others.strangers
          othersCutOff = others.cut_off
          shareFiles = others.share_files
          if (were && !othersCutOff) listeners.notify()
        })
      // Only this node uses an embedded PostgreSQL.
      if (postgres !== undefined) {
        yield* every("1 second", "the announcement of this node", announce)
        yield* looks.add(askForOthers, Others, see)
        yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeoutOption(forget, "1 second")))
      }

      const noCommonBus = Effect.fail(
        new Unavailable({
          detail: "another live node uses this database and shares no bus with it: configure nats on every node"
        })
      )
      const probe = Effect.suspend(() => {
        if (!pubsub.healthy()) return Effect.fail(new Unavailable({ detail: pubsub.reason() }))
        return strangers > 0 ? noCommonBus : Effect.void
      })
      yield* readiness.watch({
        name: "nats",
        required: false,
        inProcess: nats === undefined,
        probe,
        without: "other nodes' events come late"
      })

      return Nodes.of({
        inTouch: () => pubsub.healthy() && !othersCutOff,
        shareFiles: () => shareFiles,
        onReunion: (listener) => Effect.andThen(pubsub.onReconnect(listener), listeners.add(listener))
      })
    })
  )
}
