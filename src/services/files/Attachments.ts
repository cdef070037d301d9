import { Context, Effect, Layer, type Stream } from "effect"
import {
  type Attachment,
  type AttachmentLink,
  attachmentPath,
  type StorageUse,
  type ThumbnailSize,
  type Waveform
} from "../../domain/Attachment.ts"
import type { AttachmentId, UserId } from "../../domain/Ids.ts"
import type { Conflict, InvalidRequest, NotFound, RateLimited, TooLarge, Unavailable } from "../../domain/Problem.ts"
import { attachmentNotReady, noAttachment } from "../../domain/Refusals.ts"
import { makeAttachmentLinks } from "./AttachmentLinks.ts"
import { AttachmentStorage, type StoredAttachment } from "./AttachmentStorage.ts"
import { makeUpload } from "./AttachmentUpload.ts"
import { type BlobHeaders, Blobs, type ByteRange, keysOf, type NoBlob, thumbnailKey } from "./Blobs.ts"
import { makeLimitsOf } from "./StorageLimits.ts"

type UploadError = InvalidRequest | TooLarge | RateLimited | NotFound | Conflict | Unavailable

/** How many blobs one step of the cleaning deletes. */
const blobsPerStep = 100

/**
 * Files that users upload and send with messages. A file is as private as its message: whoever may see the message may read
 * the file, and nobody else. Until it is sent, only its uploader may.
 */
export class Attachments extends Context.Service<
  Attachments,
  {
    /**
     * Stores a file, and thumbnails of a picture, and answers when they are durable. It never has all of the content in
     * memory. `InvalidRequest` for an empty file, for a picture that cannot be decoded, and for a waveform of
     * something that is no sound, `TooLarge` for more bytes than `limits.attachment_bytes`, `Conflict` ("storage-full")
     * when the files of the user would have more than `limits.storage_bytes`, or all files more than
     * `limits.total_storage_bytes`, and `RateLimited` while the user has as many uploads under way as are allowed.
     * `NotFound` when the account was closed meanwhile. A failed or interrupted upload leaves nothing. `continued` is the
     * id of the resumable upload that it completes, which has its own turn.
     */
    readonly upload: <E>(
      userId: UserId,
      name: string,
      content: Stream.Stream<Uint8Array, E>,
      waveform?: Waveform,
      continued?: AttachmentId
    ) => Effect.Effect<Attachment, E | UploadError>
    /**
     * The attachments of a message that the user is about to send, in this order. `NotFound` unless the user has uploaded
     * all of them and sent none, and `Conflict` ("attachment-not-ready") while one is being uploaded. Appending the message
     * decides again.
     */
    readonly unsent: (
      userId: UserId,
      ids: ReadonlyArray<AttachmentId>
    ) => Effect.Effect<ReadonlyArray<Attachment>, NotFound | Conflict | Unavailable>
    /** An attachment that the user may see now; `NotFound` for any other one. */
    readonly get: (userId: UserId, id: AttachmentId) => Effect.Effect<StoredAttachment, NotFound | Unavailable>
    /** Deletes an attachment that the user has uploaded and not sent; `NotFound` for any other one. */
    readonly discard: (userId: UserId, id: AttachmentId) => Effect.Effect<void, NotFound | Unavailable>
    /** The content of an attachment or of a thumbnail that it has, or a part of it. */
    readonly read: (
      stored: StoredAttachment,
      which: { readonly range?: ByteRange | undefined; readonly thumbnail?: ThumbnailSize | undefined }
    ) => Effect.Effect<Stream.Stream<Uint8Array, Unavailable>, NoBlob | Unavailable>
    /** A URL at which the store itself gives what `read` reads, for a minute; undefined unless `s3.presigned` is set. */
    readonly storeUrl: (
      stored: StoredAttachment,
      thumbnail: ThumbnailSize | undefined,
      headers: BlobHeaders
    ) => Effect.Effect<string | undefined, Unavailable>
    /** A link to an attachment that the user may see, for this user alone and for five minutes. */
    readonly link: (userId: UserId, id: AttachmentId) => Effect.Effect<AttachmentLink, NotFound | Unavailable>
    /** The attachment of a link and its user, if the link is valid and the user may still see it; else `NotFound`. */
    readonly followed: (
      id: AttachmentId,
      token: string
    ) => Effect.Effect<{ readonly userId: UserId; readonly stored: StoredAttachment }, NotFound | Unavailable>
    /** What the files of the user take up. */
    readonly use: (userId: UserId) => Effect.Effect<StorageUse, Unavailable>
    /** Takes one step: deletes files that belong to nothing any more. True when there are more. It may be repeated. */
    readonly clean: Effect.Effect<boolean, Unavailable>
  }
>()("chat/services/Attachments") {
  /** The rules, on any `AttachmentStorage` and any `Blobs`. */
  static readonly layerNoDeps = Layer.effect(
    Attachments,
    Effect.gen(function* () {
      const storage = yield* AttachmentStorage
      const blobs = yield* Blobs
      const links = yield* makeAttachmentLinks
      const limitsOf = yield* makeLimitsOf
      const upload = yield* makeUpload

      /** Deletes blobs from the store, one by one if that fails, so that one keeps no other. Those that it has deleted. */
      const removed = (ids: ReadonlyArray<string>) =>
        blobs.remove(ids.flatMap(keysOf)).pipe(
          Effect.as(ids),
          Effect.catch((error) =>
            Effect.filter(ids, (id) => Effect.isSuccess(blobs.remove(keysOf(id)))).pipe(
              Effect.filterOrFail(
                (deleted) => deleted.length > 0,
                () => error
              )
            )
          )
        )

      const get = Effect.fnUntraced(function* (userId: UserId, id: AttachmentId) {
        return (yield* storage.seenBy(userId, id)) ?? (yield* noAttachment)
      })

      return Attachments.of({
        upload,
        unsent: Effect.fn("Attachments.unsent")(function* (userId, ids) {
          const found = yield* storage.unsent(userId, ids)
          const attachments: Array<Attachment> = []
          for (const id of ids) {
            const attachment = found.get(id)
            if (attachment === undefined) return yield* noAttachment
            if (attachment === null) return yield* attachmentNotReady
            attachments.push(attachment)
          }
          return attachments
        }),
        get,
        discard: Effect.fn("Attachments.discard")(function* (userId, id) {
          if (!(yield* storage.drop(userId, id))) return yield* noAttachment
        }),
        read: (stored, { range, thumbnail }) => blobs.read(thumbnailKey(stored.blobId, thumbnail), range),
        storeUrl: (stored, thumbnail, headers) =>
          blobs.presign?.(thumbnailKey(stored.blobId, thumbnail), headers) ?? Effect.undefined,
        link: Effect.fn("Attachments.link")(function* (userId, id) {
          yield* get(userId, id)
          const { expiresAt, token } = yield* links.sign(id, userId)
          return { url: `${attachmentPath(id)}?link=${token}`, expiresAt: new Date(expiresAt).toISOString() }
        }),
        followed: Effect.fnUntraced(function* (id, token) {
          const userId = yield* links.userOf(id, token)
          return userId === undefined ? yield* noAttachment : { userId, stored: yield* get(userId, id) }
        }),
        use: (userId) =>
          Effect.zipWith(storage.use(userId), limitsOf(userId), (used, { user: limit }) => ({ ...used, limit })),
        clean: Effect.gen(function* () {
          const unused = yield* storage.unused(blobsPerStep)
          yield* storage.forget(yield* removed(unused))
          return unused.length === blobsPerStep
        }).pipe(Effect.withSpan("Attachments.clean"))
      })
    })
  )
}
