import { Context, Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { RateLimited } from "../../domain/Problem.ts"
import { tooManyAtOnce } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"

/** Counts the uploads of each user that are under way on this node, of whatever kind. */
export class UploadTurns extends Context.Service<
  UploadTurns,
  {
    /** Runs an upload; `RateLimited` while the user has `limits.uploads_per_user` under way. */
    readonly run: <A, E, R>(userId: UserId, upload: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RateLimited, R>
  }
>()("chat/services/UploadTurns") {
  static readonly layer = Layer.effect(
    UploadTurns,
    Effect.map(Settings, ({ limits: { uploadsPerUser } }) => {
      const uploading = new Map<UserId, number>()
      const begin = (userId: UserId) =>
        Effect.suspend(() => {
          const count = uploading.get(userId) ?? 0
          if (count >= uploadsPerUser) return Effect.fail(tooManyAtOnce("You have too many uploads at a time"))
          uploading.set(userId, count + 1)
          return Effect.void
        })
      const end = (userId: UserId) =>
        Effect.sync(() => {
          const count = (uploading.get(userId) ?? 1) - 1
          if (count === 0) uploading.delete(userId)
          else uploading.set(userId, count)
        })
      return UploadTurns.of({
        run: (userId, upload) =>
          Effect.acquireUseRelease(
            begin(userId),
            () => upload,
            () => end(userId)
          )
      })
    })
  )
}
