import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { AccountExport, AccountExportStorage } from "../../../src/services/admin/AccountExport.ts"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { accountExportContract } from "./AccountExport.contract.ts"

describe("fake", () => {
  accountExportContract(operators.fake)

  it.effect("reads no further than it is read, and a long log in parts", () => {
    const asked: Array<readonly [number, number]> = []
    const endless = Layer.succeed(
      AccountExportStorage,
      AccountExportStorage.of({
        begin: (id) =>
          Effect.succeed({
            ...{ id, email: "", emailKey: "", username: "", displayName: "", searchName: "", passwordHash: "" },
            ...{ avatarUrl: null, createdAt: new Date(0), deletedAt: null, disabledAt: null },
            ...{ whoMayAddMe: "everybody", closingAt: null, kind: "person", team: null }
          }),
        conversations: () =>
          Effect.succeed([
            {
              ...{ id: ConversationId.make("00000000-0000-7000-8000-000000000001"), kind: "group", title: null },
              ...{ joinedAt: "", left: false, role: "member", readSeq: 0, mutedUntil: null, archived: false },
              ...{ pinned: false, notify: "all", head: Number.MAX_SAFE_INTEGER }
            }
          ]),
        messages: (_, __, from, through) =>
          Effect.sync(() => {
            asked.push([from, through])
            return []
          }),
        marks: () => Effect.succeed([]),
        sessions: () => Effect.succeed([])
      })
    )
    return Effect.gen(function* () {
      const exports = yield* AccountExport
      const lines = yield* exports.open("cli:ann", UserId.make("00000000-0000-7000-8000-000000000002"))
      assert.deepStrictEqual(asked, [])
      assert.lengthOf(yield* Stream.runCollect(Stream.take(lines, 2)), 2)
      assert.isAtMost(asked.length, 1)
      yield* Stream.runDrain(lines).pipe(
        Effect.raceFirst(Effect.repeat(Effect.yieldNow, { until: () => asked.length >= 5 }))
      )
      for (const [from, through] of asked) assert.strictEqual(through - from, 2000)
    }).pipe(
      Effect.provide(Layer.fresh(AccountExport.layerNoDeps).pipe(Layer.provide(endless), Layer.provide(operators.fake)))
    )
  })
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    accountExportContract(operators.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
