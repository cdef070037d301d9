import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { PasswordResets } from "../../../src/services/admin/PasswordResets.ts"
import { fakeServices } from "../../../src/testing/FakeServices.ts"
import { person } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { operators } from "../../support/Operators.ts"
import { passwordResetsContract } from "./PasswordResets.contract.ts"

describe("fake", () => {
  passwordResetsContract(operators.fake)

  layer(fakeServices({ auth: { resetUrl: "https://app.example.com/reset#token={token}" } }))("a reset", (it) => {
    it.effect("has the link to the page of the settings", () =>
      Effect.gen(function* () {
        const { token, url } = yield* (yield* PasswordResets).create("cli:ann", yield* person)
        assert.strictEqual(url, `https://app.example.com/reset#token=${token}`)
      })
    )
  })
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    passwordResetsContract(operators.sql.pipe(Layer.provideMerge(database.layer)))
  )
}
