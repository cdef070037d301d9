import { randomUUIDv7 } from "node:crypto"
import { Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { positionsPerUser, StreamPositions, type Vector } from "../../services/log/StreamPositions.ts"

/** Keeps positions in memory; they do not expire. */
export const layerMemory = Layer.sync(StreamPositions, () => {
  const stored = new Map<string, { readonly userId: UserId; readonly vector: Vector }>()
  return StreamPositions.of({
    store: (userId, vector) =>
      Effect.sync(() => {
        const id = randomUUIDv7()
        stored.set(id, { userId, vector })
        const own = [...stored].filter(([, position]) => position.userId === userId)
        for (const [older] of own.slice(0, -positionsPerUser)) stored.delete(older)
        return id
      }),
    load: (userId, id) =>
      Effect.sync(() => {
        const position = stored.get(id)
        if (position?.userId !== userId) return undefined
        // The positions are in the order of their last use.
        stored.delete(id)
        stored.set(id, position)
        return position.vector
      })
  })
})
