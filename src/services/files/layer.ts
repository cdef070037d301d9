import { Effect, Layer } from "effect"
import { every } from "../platform/Background.ts"
import { Attachments } from "./Attachments.ts"
import * as AttachmentsSql from "./AttachmentsSql.ts"
import * as AvatarsSql from "./AvatarsSql.ts"
import { ResumableUploads } from "./ResumableUploads.ts"
import * as ResumableUploadsSql from "./ResumableUploadsSql.ts"

/** Attachments, uploads of these and avatars on PostgreSQL and any `Blobs`. */
export const layer = ResumableUploadsSql.layer.pipe(
  Layer.provideMerge(Layer.merge(AttachmentsSql.layer, AvatarsSql.layer))
)

/** The job that deletes files to which nothing refers any more: with their last message, or a day after their upload. */
export const background = Layer.effectDiscard(
  Effect.gen(function* () {
    const attachments = yield* Attachments
    const uploads = yield* ResumableUploads
    const deleting = (name: string, { clean }: Pick<Attachments["Service"], "clean">) =>
      every("10 minutes", `the deletion of ${name}`, Effect.repeat(clean, { while: (more) => more }))
    const both = Effect.andThen(deleting("uploads", uploads), deleting("files", attachments))
    // A node that starts has more urgent things to do.
    yield* Effect.forkScoped(Effect.delay(both, "1 minute"))
  })
)
