import { availableParallelism } from "node:os"
import { assert, describe, it, layer } from "@effect/vitest"
import { Array as Arr, Effect, Fiber, Layer, Logger, References } from "effect"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import { AccessTokens } from "../../src/services/identity/AccessTokens.ts"
import { ExternalTokens } from "../../src/services/identity/issuers/ExternalTokens.ts"
import { Passwords, passwordIssue } from "../../src/services/identity/Passwords.ts"
import { Sessions } from "../../src/services/identity/Sessions.ts"
import { weakness } from "../../src/services/identity/WeakPasswords.ts"
import { Limits } from "../../src/services/platform/Limits.ts"
import * as SessionsMemory from "../../src/testing/memory/Sessions.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { Memory } from "../../src/testing/memory/State.ts"
import * as UsersMemory from "../../src/testing/memory/Users.ts"
import { signedIn } from "../support/Accounts.ts"

/** The turn of an account, whose address it shares with 99 others. */
const turnOf = (account: number) => ({ account: `account ${account}`, address: `address ${Math.floor(account / 100)}` })

layer(Passwords.layer)("argon2id", (it) => {
  it.effect("hashes with OWASP's lowest cost and a salt", () =>
    Effect.gen(function* () {
      const passwords = yield* Passwords
      const turn = turnOf(1)
      const [one, two] = yield* Effect.all([
        passwords.hash("correct horse", turn),
        passwords.hash("correct horse", turn)
      ])
      assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
      assert.notStrictEqual(one, two)
      assert.isTrue(yield* passwords.verify(one, "correct horse", turn))
      assert.isFalse(yield* passwords.verify(one, "correct horsf", turn))
      assert.isFalse(yield* passwords.verify(null, "", turn))
      assert.isFalse(yield* passwords.verify(null, "the password of no account", turn))
      assert.isFalse(yield* passwords.verify(one, "x".repeat(513), turn))
    })
  )
})

describe("a stored text that is not a hash", () => {
  it.effect("matches no password, and one line of the log names the account", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ fiber, message }) => {
      lines.push([message, fiber.getRef(References.CurrentLogAnnotations).userId])
    })
    return Effect.gen(function* () {
      const { users } = yield* Memory
      const sessions = yield* Sessions
      const { device, me, person, principal } = yield* signedIn
      for (const passwordHash of ["", "hunter2", "$2b$10$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=1,t=1,p=1$YWJj"]) {
        lines.length = 0
        const user = users.get(me.id) ?? assert.fail("no such user")
        users.set(me.id, { ...user, passwordHash })
        for (const password of [person.password, passwordHash]) {
          const refused = yield* Effect.flip(sessions.login({ ...device, login: person.username, password }))
          assert.strictEqual(refused._tag, "Unauthenticated")
        }
        const line = "The stored password hash of an account is not a hash: give the account a new password"
        assert.deepStrictEqual(lines, [
          [[line], me.id],
          [[line], me.id]
        ])
      }
      const change = { currentPassword: person.password, newPassword: "battery staple" }
      assert.strictEqual((yield* Effect.flip(sessions.changePassword(principal, change)))._tag, "Forbidden")
    }).pipe(
      Effect.provide(
        Layer.mergeAll(UsersMemory.layerMemory, SessionsMemory.layerMemory).pipe(
          Layer.provideMerge(
            Layer.mergeAll(Memory.layer, Limits.layer, AccessTokens.layer, ExternalTokens.layer, PubSub.layer)
          ),
          Layer.provide([Passwords.layer, SettingsMemory.layerMemory()]),
          Layer.merge(Logger.layer([logger]))
        )
      )
    )
  })
})

/** Passwords whose threads work until the test ends them. */
const slow = Effect.gen(function* () {
  const begun: Array<PromiseWithResolvers<boolean>> = []
  let over = false
  const passwords = yield* Passwords.make({
    hash: async (password) => password,
    verify: () => {
      const thread = Promise.withResolvers<boolean>()
      begun.push(thread)
      if (over) thread.resolve(true)
      return thread.promise
    }
  })
  const start = (count: number, turn = turnOf) =>
    Effect.forEach(Arr.range(1, count), (i) =>
      Effect.forkChild(passwords.verify("hash", "password", turn(i)), { startImmediately: true })
    )
  const finish = () => {
    over = true
    for (const thread of begun) thread.resolve(true)
  }
  return { begun, passwords, start, finish }
})

/** Waits until everything has run that does not wait for a thread. */
const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("the queue", () => {
  const atATime = Math.max(1, availableParallelism() - 1)

  it.effect("leaves one core free and holds a thousand", () =>
    Effect.gen(function* () {
      const { begun, finish, passwords, start } = yield* slow
      yield* start(atATime + 1000)
      assert.strictEqual(begun.length, atATime)
      const one = turnOf(10_000)
      assert.strictEqual((yield* Effect.flip(passwords.verify("hash", "password", one)))._tag, "Unavailable")
      assert.strictEqual((yield* Effect.flip(passwords.hash("password", one)))._tag, "Unavailable")
      finish()
    })
  )

  it.effect("lets an account have 21 and an address 300, and keeps nobody else waiting for more than one of them", () =>
    Effect.gen(function* () {
      const { begun, finish, passwords, start } = yield* slow
      const loop = { account: "loop", address: "a" }
      yield* start(21, () => loop)
      assert.strictEqual(begun.length, 1)
      assert.strictEqual((yield* Effect.flip(passwords.verify("hash", "password", loop)))._tag, "RateLimited")
      yield* start(279, (i) => ({ account: `${i}`, address: "a" }))
      const sprayed = { account: "new", address: "a" }
      assert.strictEqual((yield* Effect.flip(passwords.verify("hash", "password", sprayed)))._tag, "RateLimited")
      const other = yield* slow
      yield* other.start(21, () => loop)
      const [mine] = yield* other.start(1, () => ({ account: "mine", address: "b" }))
      if (mine === undefined) return assert.fail("no fiber")
      // With one core there is one turn before this one, and with more there is none.
      if (atATime === 1) {
        other.begun[0]?.resolve(true)
        yield* settled
      }
      other.begun[1]?.resolve(true)
      assert.isTrue(yield* Fiber.join(mine))
      assert.isAtMost(other.begun.length, 3)
      finish()
      other.finish()
    })
  )

  it.effect("a caller that gives up frees its place in the queue, but not the thread that works for it", () =>
    Effect.gen(function* () {
      const { begun, finish, start } = yield* slow
      const fibers = yield* start(atATime + 2)
      const [first, waiting, last] = [fibers[0], fibers[atATime], fibers[atATime + 1]]
      if (first === undefined || waiting === undefined || last === undefined) return assert.fail("no fibers")
      yield* Fiber.interrupt(waiting)
      const interrupt = yield* Effect.forkChild(Fiber.interrupt(first), { startImmediately: true })
      yield* settled
      assert.strictEqual(begun.length, atATime)
      begun[0]?.resolve(true)
      yield* Fiber.join(interrupt)
      finish()
      assert.isTrue(yield* Fiber.join(last))
      assert.strictEqual(begun.length, atATime + 1, "all but the one that gave up in the queue")
    })
  )

  it.effect("hashes nothing when the check before it fails", () =>
    Effect.gen(function* () {
      const { begun, passwords } = yield* slow
      const refusal = yield* Effect.flip(
        passwords.verify("hash", "password", turnOf(1), Effect.fail("refused" as const))
      )
      assert.strictEqual(refusal, "refused")
      assert.strictEqual(begun.length, 0)
    })
  )
})

describe("passwordIssue", () => {
  it("counts characters after composing, and bytes", () => {
    const length = { min: 8, max: 1000 }
    assert.isUndefined(passwordIssue("12345678", length))
    assert.isDefined(passwordIssue("1234567", length))
    assert.isDefined(passwordIssue("e\u0301".repeat(7), length))
    assert.isUndefined(passwordIssue("😀".repeat(128), length))
    assert.isDefined(passwordIssue("😀".repeat(129), length))
    assert.isDefined(passwordIssue("x".repeat(129), { min: 8, max: 128 }))
  })

  it("counts what was typed too", () => {
    assert.isDefined(passwordIssue("\ufdfa", { min: 8, max: 128 }))
    assert.isDefined(passwordIssue("\ufdfa".repeat(7), { min: 8, max: 128 }))
  })
})

describe("weakness", () => {
  it("refuses repetition, plain sequences and the commonest, in any case and form", () => {
    for (const weak of [
      "eeeeeeee",
      "        ",
      "abababab",
      "abcabcabca",
      "😀😀😀😀😀😀😀😀",
      "12345678",
      "87654321",
      "67890123",
      "abcdefgh",
      "ZYXWVUTS",
      "qwertyuiop",
      "Asdfghjkl",
      "абвгдежз",
      "１２３４５６７８",
      "password",
      "PassWord1",
      "password123",
      "baseball"
    ])
      assert.isDefined(weakness(weak), weak)
  })

  it("accepts everything else", () => {
    for (const fine of [
      "correct horse",
      "battery staple",
      "hunter2hunter2",
      "abcdefgi",
      "1234567890abcdef",
      "Ångström №9",
      "tr0ub4dor"
    ])
      assert.isUndefined(weakness(fine), fine)
  })
})
