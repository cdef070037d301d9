import { type ThumbnailSize, thumbnailSizes } from "../../domain/Attachment.ts"
import { type AvatarSize, avatarSizes } from "../../domain/Avatar.ts"

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
