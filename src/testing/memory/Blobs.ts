import { Effect, Layer, Stream } from "effect"
import { Blobs, NoBlob } from "../../services/files/Blobs.ts"

/** Blobs in the memory of this process. */
export const layerMemory = Layer.sync(Blobs, () => {
  const blobs = new Map<string, Uint8Array>()
  return Blobs.of({
    place: "memory",
    write: (key, content) =>
      Effect.map(Stream.runCollect(content), (chunks) => {
        blobs.set(key, Buffer.concat(chunks))
      }),
    read: (key, range) =>
      Effect.suspend(() => {
        const blob = blobs.get(key)
        if (blob === undefined) return Effect.fail(new NoBlob({ key }))
        return Effect.succeed(Stream.make(range === undefined ? blob : blob.subarray(range.start, range.end + 1)))
      }),
    remove: (keys) =>
      Effect.sync(() => {
        for (const key of keys) blobs.delete(key)
      }),
    probe: Effect.void
  })
})
