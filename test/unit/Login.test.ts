import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Fiber, Latch, Layer } from "effect"
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

  it.effect("again and again from one address is done one after the other, beyond 20 that wait refused at once", () => {
    const gate = Latch.makeUnsafe()
    let begun = 0
    const limits = Layer.effect(
      Limits,
      Effect.map(Limits, (limits) =>
        Limits.of({
          ...limits,
          consume: (...counter) => {
            if (counter[0].startsWith("sign-ins:")) begun++
            return limits.consume(...counter)
          }
        })
      )
    ).pipe(Layer.provide(Limits.layer))
    const passwords = Layer.effect(
      Passwords,
      Passwords.make({
        hash: async (password) => password,
        verify: () => Effect.runPromise(Effect.as(gate.await, true))
      })
    )
    return Effect.gen(function* () {
      const sessions = yield* Sessions
      const person = someone()
      yield* (yield* Users).register(person)
      const outcomes: Array<string> = []
      const attempt = (ip: string) =>
        sessions.login({ login: person.username, password: person.password, userAgent: "", ip }).pipe(
          Effect.match({ onFailure: ({ _tag }) => _tag, onSuccess: () => "ok" }),
          Effect.map((outcome) => outcomes.push(outcome))
        )
      const many = yield* Effect.forkChild(
        Effect.forEach(Arr.range(1, 25), () => attempt(person.ip), { concurrency: 25 })
      )
      yield* Effect.repeat(Effect.yieldNow, { until: () => outcomes.length === 4 })
      assert.strictEqual(begun, 1)
      const other = yield* Effect.forkChild(attempt("192.0.2.7"))
      yield* Effect.repeat(Effect.yieldNow, { until: () => begun === 2 })
      yield* gate.open
      yield* Fiber.join(many)
      yield* Fiber.join(other)
      assert.deepStrictEqual(outcomes, [...Array(4).fill("RateLimited"), ...Array(22).fill("ok")])
    }).pipe(
      Effect.provide(
        Layer.mergeAll(UsersMemory.layerMemory, SessionsMemory.layerMemory).pipe(
          Layer.provide([Memory.layer, limits, AccessTokens.layer, ExternalTokens.layer, PubSub.layer, passwords]),
          Layer.provide(SettingsMemory.layerMemory())
        )
      )
    )
  })
})
