import { Clock, Effect, Layer } from "effect"
import { Avatars, AvatarStorage } from "../../services/files/Avatars.ts"
import { UploadTurns } from "../../services/files/UploadTurns.ts"
import { Memory, useOf } from "./State.ts"

const storage = Layer.effect(
  AvatarStorage,
  Effect.map(Memory, (memory) => {
    const { atomically, avatars, blobs } = memory
    return AvatarStorage.of({
      begin: Effect.fnUntraced(function* (avatar, limit) {
        if (useOf(memory, avatar.ownerId).bytes >= limit) return false
        blobs.add(avatar.id)
        avatars.set(avatar.id, { ...avatar, createdAt: yield* Clock.currentTimeMillis, bytes: 0 })
        return true
      }, atomically),
      complete: (id, bytes, limit) =>
        Effect.sync(() => {
          const row = avatars.get(id)
          if (row === undefined || useOf(memory, row.ownerId).bytes + bytes > limit) return "full"
          avatars.set(id, { ...row, bytes })
          return "stored"
        }).pipe(atomically),
      // The cleaning looks at all of them.
      release: () => Effect.void
    })
  })
)

/** Avatars in `Memory`, on any `Blobs`. */
export const layerMemory = Avatars.layerNoDeps.pipe(Layer.provide([storage, UploadTurns.layer]))
