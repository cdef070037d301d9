import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Layer } from "effect"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import { AccessTokens } from "../../src/services/identity/AccessTokens.ts"
import { ExternalTokens } from "../../src/services/identity/issuers/ExternalTokens.ts"
import { Passwords } from "../../src/services/identity/Passwords.ts"
import { Sessions } from "../../src/services/identity/Sessions.ts"
import { Users } from "../../src/services/identity/Users.ts"
import { Limits } from "../../src/services/platform/Limits.ts"
import * as SessionsMemory from "../../src/testing/memory/Sessions.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { Memory } from "../../src/testing/memory/State.ts"
import * as UsersMemory from "../../src/testing/memory/Users.ts"
import { someone } from "../support/Accounts.ts"

describe("login", () => {
  it.effect("costs no hash once an account has signed in too often, and one when the password is wrong", () => {
    let hashes = 0
    const passwords = Layer.effect(
      Passwords,
      Passwords.make({
        hash: async (password) => `hash of ${password}`,
        verify: async (hash, password) => {
          hashes++
          return hash === `hash of ${password}`
        }
      })
    )
    return Effect.gen(function* () {
      const users = yield* Users
      const sessions = yield* Sessions
      const person = someone()
      yield* users.register(person)
      const attempt = (password: string) =>
        Effect.match(sessions.login({ login: person.username, password, userAgent: "", ip: person.ip }), {
          onFailure: ({ _tag }) => _tag,
          onSuccess: () => "ok"
        })
      assert.strictEqual(yield* attempt("wrong horse"), "Unauthenticated")
      for (const _ of Arr.range(1, 3)) assert.strictEqual(yield* attempt(person.password), "ok")
      assert.strictEqual(hashes, 4)
      assert.strictEqual(yield* attempt(person.password), "RateLimited")
      assert.strictEqual(hashes, 4)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(UsersMemory.layerMemory, SessionsMemory.layerMemory).pipe(
          Layer.provide([
            Memory.layer,
            Limits.layer,
            AccessTokens.layer,
            ExternalTokens.layer,
            PubSub.layer,
            passwords
          ]),
          Layer.provide(SettingsMemory.layerMemory({ limits: { loginsPerMinute: 3 } }))
        )
      )
    )
  })

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
        Layer.mergeAll(UsersMemory.layerMemory, SessionsMemory.layerMemory).pipe(
          Layer.provide([
            Memory.layer,
            Limits.layer,
            AccessTokens.layer,
            ExternalTokens.layer,
            PubSub.layer,
            passwords
          ]),
          Layer.provide(SettingsMemory.layerMemory())
        )
      )
    )
  })
})
