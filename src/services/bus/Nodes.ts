import { Context, Deferred, Effect, Layer, type Scope } from "effect"
import { Unavailable } from "../../domain/Problem.ts"
import { every, Looks } from "../platform/Background.ts"
import { makeListeners } from "../platform/Listeners.ts"
import { monotonicNow } from "../platform/Monotonic.ts"
import { Readiness } from "../platform/readiness/Readiness.ts"
import { Settings } from "../platform/Settings.ts"
import { makeNodeTable, Others } from "./NodeTable.ts"
import { listenerFailed, lookMillis, PubSub } from "./PubSub.ts"

/** How often a node announces that it is alive, in milliseconds. */
const interval = 5000

const noCommonBus = Effect.fail(
  new Unavailable({
    detail: "another live node uses this database and shares no bus with it: configure nats on every node"
  })
)

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
    /** Returns when all other live nodes publish for this one; at once if there are none. */
    readonly heard: Effect.Effect<void>
  }
>()("chat/services/Nodes") {
  /** For a single node, which sees its own bus only. */
  static readonly layerAlone = Layer.effect(
    Nodes,
    Effect.map(PubSub, ({ healthy, onReconnect }) =>
      Nodes.of({ inTouch: healthy, shareFiles: () => true, onReunion: onReconnect, heard: Effect.void })
    )
  )

  /**
   * Watches the bus: `nats` is down while it has no connection. On a PostgreSQL server each node also announces in a
   * table that it is alive, where it keeps files, and whether it has lost the bus. Nodes that share no bus miss each
   * other's events, so a second live node without `nats` makes both degraded, and their logs say why. A node that finds no
   * other one in the table tells its bus so. Only the clock of the database says who is alive.
   */
  static readonly layer = Layer.effect(
    Nodes,
    Effect.gen(function* () {
      const looks = yield* Looks
      const pubsub = yield* PubSub
      const readiness = yield* Readiness
      const { nats, postgres } = yield* Settings
      const table = yield* makeNodeTable
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const listeners = makeListeners((defect) => fork(listenerFailed(defect)))
      let strangers = 0
      let shareFiles = true
      let announced = { at: Number.NEGATIVE_INFINITY, cutOff: false }
      /** When the others began to forget this node, and from when on all of them know it, on the monotonic clock. */
      let unknownSince = Number.NEGATIVE_INFINITY
      let knownFrom = Number.NEGATIVE_INFINITY
      let together = true
      const first = yield* Deferred.make<void>()

      const announce = Effect.gen(function* () {
        const now = yield* monotonicNow
        const cutOff = !pubsub.healthy()
        if (cutOff === announced.cutOff && now - announced.at < interval) return
        const known = yield* table.announce(cutOff)
        announced = { at: now, cutOff }
        if (known) return
        unknownSince = yield* monotonicNow
        knownFrom = Number.POSITIVE_INFINITY
        together = false
      })
      const see = (others: Others, asked: number) =>
        Effect.gen(function* () {
          strangers = others.strangers
          shareFiles = others.share_files
          pubsub.seeAlone(others.alone && others.announced, asked)
          if (!others.announced) announced = { ...announced, at: Number.NEGATIVE_INFINITY }
          else if (knownFrom === Number.POSITIVE_INFINITY && asked >= unknownSince) {
            // A node that starts alone need not wait. After a failover, others that are alive may have lost their rows too.
            const startsAlone = others.live === 0 && !Deferred.isDoneUnsafe(first)
            knownFrom = startsAlone ? asked : unknownSince + lookMillis
            yield* Deferred.succeed(first, undefined)
          }
          const were = together
          together = !others.cut_off && (yield* monotonicNow) >= knownFrom
          if (!were && together) listeners.notify()
        })
      // Only this node uses an embedded PostgreSQL.
      if (postgres !== undefined) {
        // Before the first look, so that of two nodes that start at once the later one sees the other.
        yield* Effect.ignore(announce)
        yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeoutOption(table.forget, "1 second")))
        yield* every("1 second", "the announcement of this node", announce)
        yield* looks.add(table.askForOthers, Others, see)
      }

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

      /** A database that fails now is for `/ready` to report. */
      const heard = Deferred.await(first).pipe(
        Effect.andThen(monotonicNow),
        Effect.flatMap((now) => Effect.sleep(Math.max(0, knownFrom - now))),
        Effect.timeout("10 seconds"),
        Effect.ignore
      )

      return Nodes.of({
        inTouch: () => pubsub.healthy() && together,
        shareFiles: () => shareFiles,
        onReunion: (listener) => Effect.andThen(pubsub.onReconnect(listener), listeners.add(listener)),
        heard: postgres === undefined ? Effect.void : heard
      })
    })
  )
}
