import { Context, type Effect } from "effect"
import type { AttachmentId, UserId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import type { Part } from "./Parts.ts"
import type { Full, StorageLimits } from "./StorageLimits.ts"

/** An upload that was begun. `id` is also that of the attachment that it becomes. */
export interface ResumableUpload {
  readonly id: AttachmentId
  /** How many bytes the file has. */
  readonly size: number
  /** How many of them are stored. */
  readonly offset: number
  /** In how many parts they are, with those that were noted and do not count. */
  readonly parts: number
  /** The name of the file, and all that the client says about it, as it was sent. */
  readonly name: string
  readonly metadata: string
  readonly expiresAt: Date
}

/**
 * Where uploads are kept. A request that adds to an upload holds it as its `writer`: for `upload_lease`, which each call
 * with this writer prolongs. A writer that has lost the upload changes nothing any more.
 */
export class ResumableUploadStorage extends Context.Service<
  ResumableUploadStorage,
  {
    /**
     * Begins an upload, which counts for its user by its whole size until it is forgotten, unless there is no room for it, or
     * the user has too many of them. It ends after an hour, and a day after its first part was added.
     */
    readonly create: (
      userId: UserId,
      upload: Pick<ResumableUpload, "id" | "size" | "name" | "metadata">,
      limits: StorageLimits
    ) => Effect.Effect<ResumableUpload | "too-many" | Full, Unavailable>
    /** An upload of the user that has not ended. */
    readonly get: (userId: UserId, id: AttachmentId) => Effect.Effect<ResumableUpload | undefined, Unavailable>
    /** Does the same and holds it. `locked` while another writer does. */
    readonly hold: (
      userId: UserId,
      id: AttachmentId,
      writer: string
    ) => Effect.Effect<ResumableUpload | "locked" | undefined, Unavailable>
    /**
     * Goes on holding it, and notes the blob of a part that is about to be written. False when the upload was lost, and when it
     * has ended: then its writer holds it all the same, so that nobody deletes the parts that it reads.
     */
    readonly keep: (id: AttachmentId, writer: string, blobId?: string) => Effect.Effect<boolean, Unavailable>
    /**
     * Adds parts that are written, unless all files together would have more than `all` bytes with them (null for no limit).
     * Two that add at a time may both be let in: the completion counts exactly.
     */
    readonly add: (
      id: AttachmentId,
      writer: string,
      parts: ReadonlyArray<Part>,
      all: number | null
    ) => Effect.Effect<"added" | "lost" | "store-full", Unavailable>
    /** The parts that were added, in order. */
    readonly parts: (id: AttachmentId) => Effect.Effect<ReadonlyArray<Part>, Unavailable>
    /** Forgets blobs that were noted for parts, and that the store has deleted. Parts that were added stay. */
    readonly drop: (id: AttachmentId, blobIds: ReadonlyArray<string>) => Effect.Effect<void, Unavailable>
    /** Lets the next writer hold it. */
    readonly release: (id: AttachmentId, writer: string) => Effect.Effect<void, Unavailable>
    /** Ends an upload of the user, if this writer holds it. False when there is none. */
    readonly end: (userId: UserId, id: AttachmentId, writer?: string) => Effect.Effect<boolean, Unavailable>
    /** At most so many uploads that have ended or expired and that no writer holds: of all of them, or of this one. */
    readonly ended: (limit: number, id?: AttachmentId) => Effect.Effect<ReadonlyArray<AttachmentId>, Unavailable>
    /** Leaves an upload out of `ended` for a few minutes. */
    readonly postpone: (id: AttachmentId) => Effect.Effect<void, Unavailable>
    /** The blobs of all parts of an upload, also of those that were never added. */
    readonly blobs: (id: AttachmentId) => Effect.Effect<ReadonlyArray<string>, Unavailable>
    /** Forgets an upload, whose blobs are deleted from the store. */
    readonly forget: (id: AttachmentId) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/ResumableUploadStorage") {}
