import { createHash, randomBytes, randomUUID } from "node:crypto"
import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Stream } from "effect"
import { Unavailable } from "../../../src/domain/Problem.ts"
import { Blobs } from "../../../src/services/files/Blobs.ts"
import { outcome } from "../../support/Chat.ts"

const contentOf = (key: string, range?: { readonly start: number; readonly end: number }) =>
  Blobs.use(({ read }) => Effect.flatMap(read(key, range), Stream.runCollect)).pipe(
    Effect.map((chunks) => Buffer.concat(chunks))
  )

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")

/** The contract of Blobs, for every Layer. */
export const blobsContract = <E>(layer: Layer.Layer<Blobs, E>) => {
  withLayer(layer, { excludeTestServices: true })("Blobs", (it) => {
    it.effect("what was written is read, whole or in part, however large it is", () =>
      Effect.gen(function* () {
        const { write } = yield* Blobs
        for (const size of [1, 4096, 6 * 1024 * 1024 + 1]) {
          const key = randomUUID()
          const bytes = randomBytes(size)
          const chunks = Array.from({ length: Math.ceil(size / 100_000) }, (_, n) =>
            bytes.subarray(n * 100_000, (n + 1) * 100_000)
          )
          yield* write(key, Stream.fromIterable(chunks))
          assert.strictEqual(sha256(yield* contentOf(key)), sha256(bytes))
          const [start, end] = [Math.floor(size / 3), Math.floor(size / 2)]
          assert.strictEqual(sha256(yield* contentOf(key, { start, end })), sha256(bytes.subarray(start, end + 1)))
          assert.deepStrictEqual(yield* contentOf(key, { start: size - 1, end: size - 1 }), bytes.subarray(size - 1))
        }
      })
    )

    it.effect("a write replaces what the key had", () =>
      Effect.gen(function* () {
        const { write } = yield* Blobs
        const key = `${randomUUID()}.320`
        yield* write(key, Stream.make(Buffer.from("old and long")))
        yield* write(key, Stream.make(Buffer.from("new")))
        assert.strictEqual((yield* contentOf(key)).toString(), "new")
      })
    )

    it.effect("a write that fails or is interrupted passes the failure on, and leaves nothing to read", () =>
      Effect.gen(function* () {
        const { read, write } = yield* Blobs
        const some = Stream.make(Buffer.alloc(6 * 1024 * 1024))
        const failing = randomUUID()
        const refusal = new Unavailable({ detail: "cut" })
        const failure = yield* Effect.flip(write(failing, Stream.concat(some, Stream.fail(refusal))))
        assert.strictEqual(failure, refusal)
        assert.strictEqual(yield* outcome(read(failing)), "NoBlob")
        const cut = randomUUID()
        yield* Effect.raceFirst(
          write(cut, Stream.concat(some, Stream.never)),
          Effect.promise(() => new Promise((go) => setImmediate(go)))
        )
        assert.strictEqual(yield* outcome(read(cut)), "NoBlob")
      })
    )

    it.effect("removing may be repeated, and leaves other blobs alone", () =>
      Effect.gen(function* () {
        const { probe, read, remove, write } = yield* Blobs
        yield* probe
        const [one, other] = [randomUUID(), randomUUID()]
        yield* write(one, Stream.make(Buffer.from("one")))
        yield* write(other, Stream.make(Buffer.from("other")))
        yield* remove([one, randomUUID()])
        yield* remove([one])
        assert.strictEqual(yield* outcome(read(one)), "NoBlob")
        assert.strictEqual((yield* contentOf(other)).toString(), "other")
        yield* remove([])
      })
    )
  })
}
