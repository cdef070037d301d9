import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Logger, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { Looks } from "../../../src/services/platform/Background.ts"
import { databases } from "../../support/Database.ts"
import { patience } from "../../support/TimeLimits.ts"

const Row = Schema.Struct({ n: Schema.Int })

for (const database of databases) {
  const lines: Array<string> = []
  const layer = Looks.layer.pipe(
    Layer.provideMerge(database.layer),
    Layer.provideMerge(
      Logger.layer([Logger.make(({ message }) => lines.push(Array.isArray(message) ? String(message[0]) : ""))])
    )
  )
  describe.skipIf(database.skip)(database.name, () => {
    it.layer(layer, { excludeTestServices: true })("looks", (it) => {
      it.effect("see their rows, whatever is wrong with others of the same second", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const looks = yield* Looks
          const seen = yield* Deferred.make<number>()
          yield* looks.add(sql`SELECT 'no number' AS n`, Row, () => Effect.void)
          yield* looks.add(sql`SELECT 1 AS n`, Row, () => Effect.die(new Error("broken")))
          yield* looks.add(sql`SELECT 2 AS n`, Row, ({ n }) => Deferred.succeed(seen, n))
          assert.strictEqual(yield* Effect.timeout(Deferred.await(seen), patience), 2)
          assert.isAtLeast(lines.filter((line) => line === "a look of each second failed").length, 2)
        })
      )
    })
  })
}
