import { randomBytes } from "node:crypto"
import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Stream } from "effect"
import { Scanner } from "../../../src/services/files/Scanner.ts"
import { virus } from "../../support/Scanners.ts"

const scan = <E>(content: Stream.Stream<Uint8Array, E>) => Effect.flatMap(Scanner, (scanner) => scanner.scan(content))

/** The contract of Scanner, for every Layer that finds `virus`. */
export const scannerContract = <E>(layer: Layer.Layer<never, E>) => {
  withLayer(layer, { excludeTestServices: true })("Scanner", (it) => {
    it.effect("finds nothing in harmless content, however large and in whatever parts it comes", () =>
      Effect.gen(function* () {
        for (const parts of [
          [],
          [Buffer.alloc(0)],
          [Buffer.from("hello")],
          [...Array(30)].map(() => randomBytes(99_999))
        ])
          assert.isUndefined(yield* scan(Stream.fromIterable(parts)))
      })
    )

    it.effect("names what it finds, also when it comes in two parts", () =>
      Effect.gen(function* () {
        const content = Buffer.concat([randomBytes(70_000), virus.bytes, randomBytes(70_000)])
        const middle = 70_010
        const parts = [content.subarray(0, middle), Buffer.alloc(0), content.subarray(middle)]
        assert.include(yield* scan(Stream.fromIterable(parts)), virus.name)
      })
    )

    it.effect("scans several files at a time", () =>
      Effect.gen(function* () {
        const found = yield* Effect.forEach(
          Array.from({ length: 8 }, (_, n) => n),
          (n) => scan(Stream.make(n % 2 === 0 ? virus.bytes : randomBytes(100))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          found.map((name) => name !== undefined),
          found.map((_, n) => n % 2 === 0)
        )
      })
    )

    it.effect("passes on the failure of the content", () =>
      Effect.gen(function* () {
        const cut = Stream.concat(Stream.make(Buffer.from("half of it")), Stream.fail("cut"))
        assert.strictEqual(yield* Effect.flip(scan(cut)), "cut")
        assert.isUndefined(yield* scan(Stream.make(Buffer.from("the next one"))))
      })
    )
  })
}
