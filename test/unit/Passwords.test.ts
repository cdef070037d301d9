import { availableParallelism } from "node:os"
import { assert, describe, it, layer } from "@effect/vitest"
import { Array as Arr, Effect, Fiber } from "effect"
import { Passwords, passwordIssue } from "../../src/services/Passwords.ts"

layer(Passwords.layer)("argon2id", (it) => {
  it.effect("hashes with OWASP's lowest cost and a salt", () =>
    Effect.gen(function* () {
      const passwords = yield* Passwords
      const [one, two] = yield* Effect.all([passwords.hash("correct horse"), passwords.hash("correct horse")])
      assert.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
      assert.notStrictEqual(one, two)
      assert.isTrue(yield* passwords.verify(one, "correct horse"))
      assert.isFalse(yield* passwords.verify(one, "correct horsf"))
      assert.isFalse(yield* passwords.verify(null, ""))
      assert.isFalse(yield* passwords.verify(null, "the password of no account"))
      assert.isFalse(yield* passwords.verify(one, "x".repeat(513)))
    })
  )
})

/** Passwords whose threads work until they are told to be done. */
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
  const start = (count: number) =>
    Effect.forEach(Arr.range(1, count), () =>
      Effect.forkChild(passwords.verify("hash", "password"), { startImmediately: true })
    )
  const finish = () => {
    over = true
    for (const thread of begun) thread.resolve(true)
  }
  return { begun, passwords, start, finish }
})

/** All that can run without a thread's answer has run. */
const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("the queue", () => {
  const cores = availableParallelism()

  it.effect("works on one password per core and holds a thousand", () =>
    Effect.gen(function* () {
      const { begun, finish, passwords, start } = yield* slow
      yield* start(1000)
      assert.strictEqual(begun.length, cores)
      assert.strictEqual((yield* Effect.flip(passwords.verify("hash", "password")))._tag, "Unavailable")
      assert.strictEqual((yield* Effect.flip(passwords.hash("password")))._tag, "Unavailable")
      finish()
    })
  )

  it.effect("who gives up frees his place in the queue, but no thread that works for him", () =>
    Effect.gen(function* () {
      const { begun, finish, start } = yield* slow
      const fibers = yield* start(cores + 2)
      const [first, waiting, last] = [fibers[0], fibers[cores], fibers[cores + 1]]
      if (first === undefined || waiting === undefined || last === undefined) return assert.fail("no fibers")
      yield* Fiber.interrupt(waiting)
      const interrupt = yield* Effect.forkChild(Fiber.interrupt(first), { startImmediately: true })
      yield* settled
      assert.strictEqual(begun.length, cores)
      begun[0]?.resolve(true)
      yield* Fiber.join(interrupt)
      finish()
      assert.isTrue(yield* Fiber.join(last))
      assert.strictEqual(begun.length, cores + 1, "all but the one that gave up in the queue")
    })
  )

  it.effect("what is refused before costs no hash", () =>
    Effect.gen(function* () {
      const { begun, passwords } = yield* slow
      const refusal = yield* Effect.flip(passwords.verify("hash", "password", Effect.fail("refused" as const)))
      assert.strictEqual(refusal, "refused")
      assert.strictEqual(begun.length, 0)
    })
  )
})

describe("passwordIssue", () => {
  it("counts characters after composing, and bytes", () => {
    const length = { min: 8, max: 1000 }
    assert.isUndefined(passwordIssue("12345678", length))
    assert.isString(passwordIssue("1234567", length))
    assert.isString(passwordIssue("e\u0301".repeat(7), length))
    assert.isUndefined(passwordIssue("😀".repeat(128), length))
    assert.isString(passwordIssue("😀".repeat(129), length))
    assert.isString(passwordIssue("x".repeat(129), { min: 8, max: 128 }))
  })
})
