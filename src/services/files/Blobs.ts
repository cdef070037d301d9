import { Context, type Effect, Schema, type Stream } from "effect"
import { type ThumbnailSize, thumbnailSizes } from "../../domain/Attachment.ts"
import { type AvatarSize, avatarSizes } from "../../domain/Avatar.ts"
import type { Unavailable } from "../../domain/Problem.ts"

/** The key of a thumbnail of a blob, or of the blob itself. */
export const thumbnailKey = (blobId: string, size?: ThumbnailSize): string =>
  size === undefined ? blobId : `${blobId}.${size}`

/** The key of a square of an avatar. No attachment has such a key, so whoever guesses an id sees no file of a message. */
export const avatarKey = (id: string, size: AvatarSize): string => `${id}.avatar-${size}`

/** The keys of everything that the store can have of a blob. */
export const keysOf = (blobId: string): ReadonlyArray<string> => [
  ...[undefined, ...thumbnailSizes].map((size) => thumbnailKey(blobId, size)),
  ...avatarSizes.map((size) => avatarKey(blobId, size))
]

/** There is no such blob in the store. */
export class NoBlob extends Schema.TaggedError<NoBlob>()("NoBlob", { key: Schema.String }) {}

/** A part of a blob: its bytes from `start` up to and including `end`, from 0 on. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** The headers with which a store answers who reads a blob from it. */
export interface BlobHeaders {
  readonly "content-type": string
  readonly "content-disposition": string
}

/**
 * The store of the bytes of files. A key is made by the service: letters, digits, `-` and `.`, at least two of them.
 * `Unavailable` says that the store does not answer, or has no room.
 */
export class Blobs extends Context.Service<
  Blobs,
  {
    /**
     * Names what is stored where, so that two nodes can compare: they have the same place if and only if each one reads
     * what the other one writes.
     */
    readonly place: string
    /**
     * Stores a blob, in place of one that has the key already, and answers once it is durable. When the content fails or
     * the write is interrupted, nothing can be read under a new key. It never holds the whole content in memory.
     */
    readonly write: <E>(key: string, content: Stream.Stream<Uint8Array, E>) => Effect.Effect<void, E | Unavailable>
    /** The content of a blob, or a part of it, which lies within the blob. It is read as the stream is. */
    readonly read: (
      key: string,
      range?: ByteRange
    ) => Effect.Effect<Stream.Stream<Uint8Array, Unavailable>, NoBlob | Unavailable>
    /**
     * Makes a URL at which everybody reads a blob from the store itself, for a minute at most and with these headers. Only a
     * store that is to do that has it.
     */
    readonly presign?: (key: string, headers: BlobHeaders) => Effect.Effect<string, Unavailable>
    /** Deletes blobs. Those that are not there are deleted already. */
    readonly remove: (keys: ReadonlyArray<string>) => Effect.Effect<void, Unavailable>
    /** Fails with the reason when the store cannot be written to. */
    readonly probe: Effect.Effect<void, { readonly message: string }>
  }
>()("chat/services/Blobs") {}
