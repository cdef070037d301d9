import { assert, describe, it, layer } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { TestClock } from "effect/testing"
import { addressKey } from "../../src/services/platform/Address.ts"
import { Limits } from "../../src/services/platform/Limits.ts"

layer(Limits.layer)("Limits", (it) => {
  it.effect("returns what is left, and when to try again", () =>
    Effect.gen(function* () {
      const limits = yield* Limits
      const take = limits.take("a", 3, "30 seconds")
      assert.deepStrictEqual(yield* take, { limit: 3, remaining: 2, resetMs: 10_000 })
      assert.deepStrictEqual(yield* take, { limit: 3, remaining: 1, resetMs: 20_000 })
      yield* limits.giveBack("a", 3, "30 seconds")
      assert.deepStrictEqual(yield* take, { limit: 3, remaining: 1, resetMs: 20_000 })
      yield* take
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Effect.flip(take)).retryAfterMs, 20_000)
      assert.strictEqual((yield* limits.take("b", 3, "30 seconds")).remaining, 2)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* take, { limit: 3, remaining: 2, resetMs: 10_000 })
    })
  )

  it.effect("never lends more than the limit when tokens are given back that nobody took", () =>
    Effect.gen(function* () {
      const limits = yield* Limits
      for (const _ of Arr.range(1, 5)) yield* limits.giveBack("c", 2, "1 second")
      assert.strictEqual((yield* limits.take("c", 2, "1 second")).remaining, 1)
    })
  )

  it.effect("keeps every counter until its window is over", () =>
    Effect.gen(function* () {
      const limits = yield* Limits
      for (const n of Arr.range(1, 5000)) yield* limits.consume(`gone-${n}`, 1, "1 second")
      yield* TestClock.adjust("1 second")
      for (const n of Arr.range(1, 5000)) yield* limits.consume(`kept-${n}`, 1, "1 minute")
      for (const n of Arr.range(1, 5000)) yield* Effect.flip(limits.consume(`kept-${n}`, 1, "1 minute"))
    })
  )
})

describe("addressKey", () => {
  it("is the address of IPv4 and the /64 of IPv6", () => {
    for (const [ip, key] of [
      ["192.0.2.1", "192.0.2.1"],
      ["::ffff:192.0.2.1", "192.0.2.1"],
      ["::1", "0:0:0:0::/64"],
      ["2001:DB8::1", "2001:db8:0:0::/64"],
      ["2001:0db8:0001:0002:3:4:5:6", "2001:db8:1:2::/64"],
      ["2001:db8:1:2:ffff::", "2001:db8:1:2::/64"],
      ["1::2:3:4:5:6:7", "1:0:2:3::/64"]
    ] as const) {
      assert.strictEqual(addressKey(ip), key)
    }
  })
})
