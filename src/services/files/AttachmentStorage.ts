import { Context, type Effect } from "effect"
import type { Attachment, StorageUse } from "../../domain/Attachment.ts"
import type { AttachmentId, UserId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import type { Full, StorageLimits } from "./StorageLimits.ts"

/** An attachment in the store. `sha256` is in hexadecimal. */
export interface StoredAttachment {
  readonly attachment: Attachment
  readonly blobId: string
  readonly sha256: string
}

/** Where the rows of attachments are kept, and those of their blobs. */
export class AttachmentStorage extends Context.Service<
  AttachmentStorage,
  {
    /** Begins an upload, unless there is no room already. */
    readonly begin: (
      userId: UserId,
      id: AttachmentId,
      blobId: string,
      limits: StorageLimits
    ) => Effect.Effect<"begun" | Full, Unavailable>
    /**
     * Completes an upload, of which the store has `storedBytes` with the thumbnails. The outcome is `Full` when there is no
     * room for it, and `gone` when the account was closed meanwhile, or the resumable upload that it completes has ended or was
     * begun again with another blob. That upload has ended when it is `stored`.
     */
    readonly complete: (
      upload: StoredAttachment,
      storedBytes: number,
      limits: StorageLimits
    ) => Effect.Effect<"stored" | "gone" | Full, Unavailable>
    /** Deletes an attachment of the user that is bound to no message, if its blob is this one. False when there is none. */
    readonly drop: (userId: UserId, id: AttachmentId, blobId?: string) => Effect.Effect<boolean, Unavailable>
    /** The attachments that the user has uploaded and not sent; null for those that are not uploaded completely. */
    readonly unsent: (
      userId: UserId,
      ids: ReadonlyArray<AttachmentId>
    ) => Effect.Effect<ReadonlyMap<AttachmentId, Attachment | null>, Unavailable>
    /** The attachment if the user may see it now: as its uploader until it is sent, and then as one who sees the message. */
    readonly seenBy: (userId: UserId, id: AttachmentId) => Effect.Effect<StoredAttachment | undefined, Unavailable>
    /** The files that the user has uploaded and the uploads that the user has begun, and the bytes that count for them. */
    readonly use: (userId: UserId) => Effect.Effect<Pick<StorageUse, "files" | "bytes">, Unavailable>
    /** Finds at most so many blobs to which nothing refers, after deleting attachments that were not sent within a day. */
    readonly unused: (limit: number) => Effect.Effect<ReadonlyArray<string>, Unavailable>
    /** Forgets blobs that `unused` has found and that the store has deleted. */
    readonly forget: (blobIds: ReadonlyArray<string>) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/AttachmentStorage") {}
