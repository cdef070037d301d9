import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { AddressLimit } from "../../src/services/platform/load/AddressLimit.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

const settings = SettingsMemory.layerMemory({ limits: { addressRequestsPerSecond: 10, addressRequestsBurst: 100 } })

layer(AddressLimit.layer.pipe(Layer.provide(settings)))("an address", (it) => {
  it.effect("pays for the bytes that it sends, and small bodies are free", () =>
    Effect.gen(function* () {
      const { read, take } = yield* AddressLimit
      for (let n = 0; n < 1000; n++) assert.strictEqual(read("a", 16_384), 0)
      assert.strictEqual(take("a").allowance.remaining, 99)
      assert.strictEqual(read("a", 16_384 + 256 * 1024), 0, "whoever has anything left may send one large body")
      assert.strictEqual(read("a", 20_000), 15_800)
      assert.strictEqual(take("a").retryAfterMs, 15_800, "what was refused cost nothing")
      assert.strictEqual(read("b", 20_000), 0, "others do not pay")
      yield* TestClock.adjust(15_800)
      assert.strictEqual(read("a", 20_000), 0)
    })
  )

  it.effect("pays for the bytes of answers that it gets without a token", () =>
    Effect.gen(function* () {
      const { answered, look } = yield* AddressLimit
      assert.strictEqual(answered("c", 16_384), 0)
      assert.strictEqual(look("c").allowance.remaining, 100)
      assert.strictEqual(answered("c", 201 * 16_384), 0)
      assert.strictEqual(look("c").retryAfterMs, 10_100)
      assert.strictEqual(answered("c", 20_000), 10_100, "the next large one must wait")
      assert.strictEqual(answered("c", 16_384), 0)
    })
  )

  it.effect("that is refused again and again waits for each refusal, at most 10 s", () =>
    Effect.gen(function* () {
      const { refused } = yield* AddressLimit
      for (let n = 0; n < 999; n++) assert.strictEqual(refused("d", false), 0)
      assert.strictEqual(refused("d", false), 10)
      assert.strictEqual(refused("d", true), 60, "who goes on after a 429 waits longer")
      for (let n = 0; n < 1000; n++) refused("d", true)
      assert.strictEqual(refused("d", true), 10_000)
      assert.strictEqual(refused("e", true), 0)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(refused("d", true), 0)
    })
  )
})
