import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Layer } from "effect"
import { AccessTokens } from "../../src/services/AccessTokens.ts"
import { Limits } from "../../src/services/Limits.ts"
import { Memory } from "../../src/services/Memory.ts"
import { Passwords } from "../../src/services/Passwords.ts"
import { PubSub } from "../../src/services/PubSub.ts"
import { Sessions } from "../../src/services/Sessions.ts"
import { Settings } from "../../src/services/Settings.ts"
import { Users } from "../../src/services/Users.ts"
import { someone } from "../support/Accounts.ts"

describe("login", () => {
  it.effect("costs one hash for an unknown account as for a wrong password, and none beyond the limit", () => {
    const verified: Array<string> = []
    const passwords = Layer.effect(
      Passwords,
      Passwords.make({
        hash: async (password) => `hash of ${password}`,
        verify: async (hash) => {
          verified.push(hash)
          return false
        }
      })
    )
    return Effect.gen(function* () {
      const users = yield* Users
      const sessions = yield* Sessions
      const person = someone()
      yield* users.register(person)
      const attempt = (login: string) =>
        Effect.flip(sessions.login({ login, password: "wrong horse", userAgent: "", ip: person.ip }))
      yield* attempt(person.username)
      yield* attempt("nobody-at-all")
      assert.deepStrictEqual(verified, ["hash of correct horse", "hash of the password of no account"])
      for (const _ of Arr.range(1, 30)) yield* attempt("nobody-at-all")
      assert.strictEqual(verified.length, 11)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(Users.layerTest, Sessions.layerTest).pipe(
          Layer.provide([Memory.layer, Limits.layer, AccessTokens.layer, PubSub.layer, passwords]),
          Layer.provide(Settings.layerTest())
        )
      )
    )
  })
})
