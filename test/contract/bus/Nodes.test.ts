import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Nodes } from "../../../src/services/bus/Nodes.ts"
import { lookMillis, PubSub } from "../../../src/services/bus/PubSub.ts"
import { Looks } from "../../../src/services/platform/Background.ts"
import { FilePlace } from "../../../src/services/platform/FilePlace.ts"
import { Readiness } from "../../../src/services/platform/readiness/Readiness.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { databases } from "../../support/Database.ts"
import { patience } from "../../support/TimeLimits.ts"

/** A node on the bus, which it can lose. `sees` has what it told the bus, the last one at its end. */
const startNode = Effect.fnUntraced(function* (files: string) {
  let healthy = true
  const sees: Array<boolean> = []
  const bus = Layer.mock(PubSub)({
    healthy: () => healthy,
    reason: () => "lost",
    onReconnect: () => Effect.void,
    seeAlone: (alone) => {
      sees.push(alone)
    }
  })
  const node = Nodes.layer.pipe(
    Layer.provide(
      Layer.mergeAll(
        bus,
        Looks.layer,
        Layer.mock(Readiness)({ watch: () => Effect.void }),
        SettingsMemory.layerMemory({ postgres: {}, nats: { prefix: "nodes" } }),
        Layer.succeed(FilePlace, files)
      )
    )
  )
  const nodes = Context.get(yield* Layer.build(Layer.fresh(node)), Nodes)
  const reach = (reaches: boolean) => {
    healthy = reaches
  }
  const seesAlone = () => sees.at(-1) === true
  /** Waits for the next two looks, the second of which has begun by now. */
  const looksAgain = Effect.suspend(() => {
    const before = sees.length
    return until(() => sees.length > before + 1)
  })
  return { ...nodes, reach, sees, seesAlone, looksAgain }
})

const until = (holds: () => boolean) =>
  Effect.sleep(20).pipe(Effect.repeat({ until: () => holds() }), Effect.timeout(patience))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    it.layer(database.layer, { excludeTestServices: true })("nodes", (it) => {
      it.effect("know of each other who has lost the bus, and where files are", () =>
        Effect.gen(function* () {
          const one = yield* startNode("here")
          let reunions = 0
          yield* Effect.scoped(
            Effect.gen(function* () {
              const other = yield* startNode("there")
              yield* until(() => !one.shareFiles() && !other.shareFiles())
              yield* until(() => one.inTouch() && other.inTouch())
              yield* one.onReunion(() => reunions++)
              other.reach(false)
              assert.isFalse(other.inTouch())
              yield* until(() => !one.inTouch())
              assert.strictEqual(reunions, 0)
              other.reach(true)
              yield* until(() => one.inTouch())
              assert.strictEqual(reunions, 1)
            })
          )
          // A node that stops is no longer one of them.
          yield* until(() => one.shareFiles())
        }).pipe(Effect.scoped)
      )

      it.effect("know whether they are alone, and wait until the others have heard of them", () =>
        Effect.gen(function* () {
          const one = yield* startNode("here")
          const [alone] = yield* Effect.timed(one.heard)
          assert.isBelow(Duration.toMillis(alone), lookMillis)
          yield* until(one.seesAlone)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const started = performance.now()
              const other = yield* startNode("here")
              yield* other.heard
              assert.isAtLeast(performance.now() - started, lookMillis)
              assert.isFalse(one.seesAlone() || other.sees.includes(true))
            })
          )
          yield* until(one.seesAlone)
        }).pipe(Effect.scoped)
      )

      it.effect("do not believe to be alone while those that start cannot see them", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const one = yield* startNode("here")
          yield* until(one.seesAlone)
          // As if it could read and not write. It announces itself again each second.
          yield* sql`UPDATE nodes SET seen_at = clock_timestamp() - interval '11 seconds'`.pipe(
            Effect.andThen(Effect.sleep(20)),
            Effect.repeat({ until: () => !one.seesAlone() }),
            Effect.timeout(patience)
          )
        }).pipe(Effect.scoped)
      )

      it.effect("do not count on a node that has lost the database to be dead", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const silent = (seconds: number) => sql`INSERT INTO nodes (id, bus, seen_at)
            VALUES (gen_random_uuid(), 'nats nodes', clock_timestamp() - make_interval(secs => ${seconds}::int))`
          const one = yield* startNode("here")
          yield* silent(700)
          yield* one.looksAgain
          assert.isTrue(one.seesAlone())
          yield* silent(500)
          yield* one.looksAgain
          assert.isFalse(one.seesAlone())
          assert.isTrue(one.inTouch())
        }).pipe(Effect.scoped)
      )

      it.effect("do not wait for a node that has been silent", () =>
        Effect.gen(function* () {
          const one = yield* startNode("here")
          const [waited] = yield* Effect.timed(one.heard)
          assert.isBelow(Duration.toMillis(waited), lookMillis)
          assert.isFalse(one.seesAlone())
        }).pipe(
          Effect.ensuring(
            Effect.ignore(SqlClient.SqlClient.use((sql) => sql`DELETE FROM nodes WHERE bus = 'nats nodes'`))
          ),
          Effect.scoped
        )
      )

      it.effect("announce themselves again, and read what they missed, when the others may have forgotten them", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const one = yield* startNode("here")
          const other = yield* startNode("there")
          yield* Effect.all([one.heard, other.heard])
          yield* until(() => one.inTouch() && other.inTouch())
          let reunions = 0
          yield* one.onReunion(() => reunions++)
          // As after a failover to a standby that had not received it, or a minute during which the process was frozen.
          // It is one statement, so that no node announces itself in between.
          yield* sql`
            WITH aged AS (UPDATE nodes SET seen_at = seen_at - interval '8 minutes' WHERE files = 'there')
            DELETE FROM nodes WHERE files = 'here'`
          const forgotten = one.sees.length
          yield* until(() => reunions > 0)
          yield* until(() => one.inTouch() && other.inTouch())
          assert.isFalse(one.sees.slice(forgotten).includes(true))
        }).pipe(Effect.scoped)
      )

      it.effect("read what they missed, when the failover has lost the rows of all", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          // The other ones have not announced themselves yet, so it is the first in the table, and looks alone.
          const one = yield* startNode("here")
          yield* one.heard
          yield* until(one.inTouch)
          let compared = 0
          yield* one.onReunion(() => {
            compared = performance.now()
          })
          yield* sql`DELETE FROM nodes`
          let forgotten = 0
          yield* Effect.sync(() => performance.now()).pipe(
            Effect.flatMap((now) =>
              Effect.map(sql`SELECT FROM nodes`, (rows) => {
                if (rows.length === 0) forgotten = now
                return rows.length
              })
            ),
            Effect.repeat({ until: (rows) => rows > 0 }),
            Effect.timeout(patience)
          )
          yield* until(() => compared > 0)
          assert.isAtLeast(compared - forgotten, lookMillis)
        }).pipe(Effect.scoped)
      )
    })
  })
}
