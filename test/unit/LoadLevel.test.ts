import { assert, describe, it } from "@effect/vitest"
import { LoadLevel } from "../../src/services/platform/load/LoadLevel.ts"

/** Measures a load every 100 ms for so many seconds, and returns the levels that it went through. */
const during = (seconds: number, load: { readonly turnMs?: number; readonly waiting?: number }) => ({ seconds, load })
const levelsIn = (...phases: ReadonlyArray<ReturnType<typeof during>>) => {
  const level = new LoadLevel(4)
  const seen: Array<number> = []
  let now = 0
  for (const { load, seconds } of phases)
    for (let n = 0; n < seconds * 10; n++) {
      now += 100
      if (level.measured({ turnMs: 1, waiting: 0, ...load }, now)) seen.push(level.level)
    }
  return seen
}

describe("the level of load", () => {
  it("rises one by one while the load lasts, and as far as the load asks", () => {
    assert.deepStrictEqual(levelsIn(during(10, { turnMs: 100 })), [])
    assert.deepStrictEqual(levelsIn(during(10, { turnMs: 200 })), [1])
    assert.deepStrictEqual(levelsIn(during(10, { turnMs: 350 })), [1, 2])
    assert.deepStrictEqual(levelsIn(during(10, { turnMs: 5000 })), [1, 2, 3, 4])
  })

  it("rises for sends that wait, too", () => {
    assert.deepStrictEqual(levelsIn(during(10, { waiting: 8500 })), [1, 2, 3])
  })

  it("does not rise for single long pauses", () => {
    const pauses = Array.from({ length: 20 }, () => [during(0.1, { turnMs: 3000 }), during(0.4, {})]).flat()
    assert.deepStrictEqual(levelsIn(...pauses), [])
  })

  it("falls one by one, and only when the load is half of what it was", () => {
    const high = during(10, { turnMs: 350 })
    assert.deepStrictEqual(levelsIn(high, during(10, { turnMs: 160 })), [1, 2], "it stays")
    assert.deepStrictEqual(levelsIn(high, during(10, { turnMs: 140 })), [1, 2, 1])
    assert.deepStrictEqual(levelsIn(high, during(10, {})), [1, 2, 1, 0])
  })

  it("falls with one measurement a second, after what nobody has measured", () => {
    const level = new LoadLevel(4)
    for (let now = 0; now < 5000; now += 100) level.measured({ turnMs: 5000, waiting: 0 }, now)
    assert.strictEqual(level.level, 4)
    const seen: Array<number> = []
    for (let now = 60_000; now < 75_000; now += 1000)
      if (level.measured({ turnMs: 1, waiting: 0 }, now)) seen.push(level.level)
    assert.deepStrictEqual(seen, [3, 2, 1, 0])
  })
})
