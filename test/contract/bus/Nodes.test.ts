import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Nodes } from "../../../src/services/bus/Nodes.ts"
import { PubSub } from "../../../src/services/bus/PubSub.ts"
import { Looks } from "../../../src/services/platform/Background.ts"
import { FilePlace } from "../../../src/services/platform/FilePlace.ts"
import { Readiness } from "../../../src/services/platform/readiness/Readiness.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { databases } from "../../support/Database.ts"
import { patience } from "../../support/TimeLimits.ts"

/** A node on the bus, which it can lose. */
const startNode = Effect.fnUntraced(function* (files: string) {
  let healthy = true
  const bus = Layer.mock(PubSub)({ healthy: () => healthy, reason: () => "lost", onReconnect: () => Effect.void })
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
  return { ...nodes, reach }
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
          yield* one.onReunion(() => reunions++)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const other = yield* startNode("there")
              yield* until(() => !one.shareFiles() && !other.shareFiles())
              assert.isTrue(one.inTouch())
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
    })
  })
}
