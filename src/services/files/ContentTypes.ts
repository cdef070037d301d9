import { Effect } from "effect"

/** How many bytes at the beginning of a file tell its type. */
export const headLength = 4100

/** What browsers may show in a page of their own: none of these can have scripts. */
const inline = new Set([
  "image/png",
  "image/jpeg",
  "image/gif",
  "image/webp",
  "image/avif",
  "video/mp4",
  "video/webm",
  "audio/ogg",
  "audio/mpeg",
  "audio/mp4",
  "audio/x-m4a",
  "audio/wav"
])

const pictures = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"])

/** Whether a file is a picture that gets thumbnails. */
export const isPicture = (contentType: string): boolean => pictures.has(contentType)

/** Whether a file is a sound or a video, which may say how long it is. */
export const hasDuration = (contentType: string): boolean => /^(audio|video)\//.test(contentType)

/** A content type without its parameters. */
const plain = (contentType: string) => contentType.split(";", 1)[0] ?? ""

/** Whether a file of this type may be shown by a browser; any other one must be saved. */
export const isInline = (contentType: string): boolean => inline.has(plain(contentType))

/**
 * The type of a file, by the bytes at its beginning. What the sender says about it does not count. A type that is not known
 * is `application/octet-stream`.
 */
export const contentTypeOf = (head: Uint8Array): Effect.Effect<string> =>
  Effect.promise(() => import("file-type")).pipe(
    Effect.flatMap(({ fileTypeFromBuffer }) => Effect.promise(() => fileTypeFromBuffer(head))),
    Effect.map((found) => found?.mime ?? "application/octet-stream")
  )
