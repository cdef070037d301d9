import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Unavailable } from "../../src/domain/Problem.ts"
import { Attachments } from "../../src/services/files/Attachments.ts"
import { Blobs } from "../../src/services/files/Blobs.ts"
import { background } from "../../src/services/files/layer.ts"
import { ResumableUploads } from "../../src/services/files/ResumableUploads.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as BlobsMemory from "../../src/testing/memory/Blobs.ts"
import { layerFilesOn } from "../../src/testing/memory/layer.ts"
import { outcome, person } from "../support/Chat.ts"

describe("the deletion of files", () => {
  it.effect("goes on when that of uploads fails", () =>
    Effect.gen(function* () {
      const [attachments, uploads] = [yield* Attachments, yield* ResumableUploads]
      const begun = yield* Deferred.make<void>()
      const down = Effect.fail(new Unavailable({ detail: "down" }))
      yield* Layer.build(background).pipe(
        Effect.provideService(ResumableUploads, { ...uploads, clean: down }),
        Effect.provideService(Attachments, {
          ...attachments,
          clean: Effect.as(Deferred.succeed(begun, undefined), false)
        })
      )
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* Deferred.isDone(begun))
    }).pipe(Effect.scoped, Effect.provide(fakeServices()))
  )

  it.effect("leaves out a file that cannot be deleted", () => {
    const stuck = new Set<string>()
    const blobs = Layer.effect(
      Blobs,
      Effect.map(Blobs, (blobs) =>
        Blobs.of({
          ...blobs,
          remove: (keys) =>
            keys.some((key) => stuck.has(key)) ? Effect.fail(new Unavailable({ detail: "stuck" })) : blobs.remove(keys)
        })
      )
    ).pipe(Layer.provide(BlobsMemory.layerMemory))
    return Effect.gen(function* () {
      const { clean, discard, get, upload } = yield* Attachments
      const { read } = yield* Blobs
      const ann = yield* person
      const keys: Array<string> = []
      for (const name of ["one", "other"]) {
        const { id } = yield* upload(ann, name, Stream.make(Buffer.from(name)))
        keys.push((yield* get(ann, id)).blobId)
        yield* discard(ann, id)
      }
      stuck.add(keys[0] ?? "")
      yield* clean
      assert.deepStrictEqual(yield* Effect.forEach(keys, (key) => outcome(read(key))), ["ok", "NoBlob"])
      stuck.clear()
      yield* clean
      assert.deepStrictEqual(yield* Effect.forEach(keys, (key) => outcome(read(key))), ["NoBlob", "NoBlob"])
    }).pipe(Effect.provide(Layer.fresh(layerFilesOn(blobs)).pipe(Layer.provideMerge(fakeServices()))))
  })
})
