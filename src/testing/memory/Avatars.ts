import { Clock, Effect, Layer } from "effect"
import { AvatarStorage, Avatars } from "../../services/files/Avatars.ts"
import { UploadLimits } from "../../services/files/UploadLimits.ts"
import { fullness, Memory, oneByte } from "./State.ts"
import * as Uploaders from "./Uploaders.ts"

const storage = Layer.effect(
  AvatarStorage,
  Effect.map(Memory, (memory) => {
    const { atomically, avatars, blobs } = memory
    return AvatarStorage.of({
      begin: Effect.fnUntraced(function* (avatar, limits) {
        const full = fullness(memory, avatar.ownerId, avatar.id, oneByte, limits)
        if (full !== undefined) return full
        blobs.set(avatar.id, 0)
        avatars.set(avatar.id, { ...avatar, createdAt: yield* Clock.currentTimeMillis, bytes: 0 })
        return "begun"
      }, atomically),
      complete: (id, bytes, limits) =>
        Effect.sync(() => {
          const row = avatars.get(id)
          const full = row && fullness(memory, row.ownerId, id, { bytes, stored: bytes }, limits)
          if (row === undefined || full !== undefined) return full ?? "full"
          blobs.set(id, bytes)
          avatars.set(id, { ...row, bytes })
          return "stored"
        }).pipe(atomically),
      // The cleaning looks at all of them.
      release: () => Effect.void
    })
  })
)

/** Avatars in `Memory`, on any `Blobs`. */
export const layerMemory = Avatars.layerNoDeps.pipe(Layer.provide([storage, Uploaders.layerMemory, UploadLimits.layer]))
