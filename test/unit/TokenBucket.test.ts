import { assert, describe, it } from "@effect/vitest"
import { makeTooOften } from "../../src/domain/Refusals.ts"
import { TokenBucket } from "../../src/services/platform/TokenBucket.ts"

describe("a token bucket", () => {
  it("gives its burst at once, and then its rate", () => {
    const bucket = new TokenBucket(20, 60, 1000)
    for (let n = 0; n < 60; n++) assert.strictEqual(bucket.take(1000), 0)
    assert.strictEqual(bucket.take(1000), 50)
    assert.isAtMost(bucket.take(1049), 2)
    assert.strictEqual(bucket.take(1050), 0)
    assert.strictEqual(bucket.take(1050), 50)
    for (let second = 2; second < 5; second++) {
      let taken = 0
      for (let ms = 1; ms <= 1000; ms++) if (bucket.take(second * 1000 + 50 + ms) === 0) taken++
      assert.approximately(taken, second === 2 ? 39 : 20, 1)
    }
  })

  it("keeps no more than its burst, however long nobody asks", () => {
    const bucket = new TokenBucket(20, 3, 0)
    for (let n = 0; n < 3; n++) assert.strictEqual(bucket.take(1e12), 0)
    assert.isAbove(bucket.take(1e12), 0)
  })

  it("counts refusals until it is full again", () => {
    const bucket = new TokenBucket(10, 2, 0)
    for (let n = 0; n < 5; n++) bucket.take(0)
    assert.strictEqual(bucket.refused, 3)
    bucket.take(100)
    assert.strictEqual(bucket.refused, 3)
    bucket.take(1000)
    assert.strictEqual(bucket.refused, 0)
  })

  it("says how long to wait, and accepts after that", () => {
    for (const rate of [0.5, 3, 7, 20, 1000]) {
      const bucket = new TokenBucket(rate, 1, 0)
      bucket.take(0)
      const wait = bucket.take(0)
      assert.strictEqual(bucket.take(wait), 0, `rate ${rate}`)
    }
  })
})

it("the refusal of a limit is made once for each time to wait", () => {
  const refusalOf = makeTooOften("Too many")
  assert.strictEqual(refusalOf(5), refusalOf(5))
  assert.deepInclude(refusalOf(6), { retryAfterMs: 6, detail: "Too many" })
})
