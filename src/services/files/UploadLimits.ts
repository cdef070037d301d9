import { Cause, Context, Effect, Exit, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { RateLimited } from "../../domain/Problem.ts"
import { tooManyAtOnce } from "../../domain/Refusals.ts"
import { uploadBytes, uploads, uploadsRefused } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { Settings } from "../platform/Settings.ts"

/** Why an upload was not stored, for the metric. What its sender did wrong has a name of its own. */
const reasonOf = (cause: Cause.Cause<unknown>) => {
  const failure = cause.reasons.find(Cause.isFailReason)
  if (failure === undefined) return Cause.hasInterrupts(cause) ? "interrupted" : "unavailable"
  switch (Object(failure.error)._tag) {
    case "TooLarge":
      return "too-large"
    case "Conflict":
      return "storage-full"
    case "RateLimited":
      return "too-many"
    case "Unavailable":
      return "unavailable"
    default:
      return "invalid"
  }
}

/** Counts the uploads of each user that are under way on this node, of whatever kind, and what comes of them. */
export class UploadLimits extends Context.Service<
  UploadLimits,
  {
    /** Runs a request of an upload. `RateLimited` while the user has `limits.uploads_per_user` under way. */
    readonly limited: <A, E, R>(userId: UserId, request: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RateLimited, R>
    /** Counts what comes of an upload, which returns the bytes that it has stored as `size`. */
    readonly counted: <A extends { readonly size: number }, E, R>(
      kind: "attachment" | "avatar",
      upload: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E, R>
    /** Does both for an upload of one request. */
    readonly run: <A extends { readonly size: number }, E, R>(
      kind: "attachment" | "avatar",
      userId: UserId,
      upload: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | RateLimited, R>
  }
>()("chat/services/UploadLimits") {
  static readonly layer = Layer.effect(
    UploadLimits,
    Effect.gen(function* () {
      const { uploadsPerUser } = (yield* Settings).limits
      const metrics = yield* Metrics
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
      const limited: UploadLimits["Service"]["limited"] = (userId, request) =>
        Effect.acquireUseRelease(
          begin(userId),
          () => request,
          () => end(userId)
        )
      const counted: UploadLimits["Service"]["counted"] = (kind, upload) =>
        Effect.onExit(upload, (exit) =>
          Effect.sync(() => {
            if (Exit.isFailure(exit)) return metrics.counter(uploadsRefused, { reason: reasonOf(exit.cause) })()
            metrics.counter(uploads, { kind })()
            metrics.counter(uploadBytes, { kind })(exit.value.size)
          })
        )
      return UploadLimits.of({
        limited,
        counted,
        run: (kind, userId, upload) => counted(kind, limited(userId, upload))
      })
    })
  )
}
