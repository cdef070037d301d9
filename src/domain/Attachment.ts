import { Schema } from "effect"
import { AttachmentId } from "./Ids.ts"
import { Timestamp } from "./Time.ts"

/** A message can have at most this many attachments. */
export const maxAttachments = 10

/** The sizes of thumbnails, in pixels of the longer side. A picture has those that are smaller than itself. */
export const thumbnailSizes = [320, 1280] as const
export type ThumbnailSize = (typeof thumbnailSizes)[number]

/** A smaller picture of an attachment: a WebP of this width and height in pixels and size in bytes. */
const Thumbnail = Schema.Struct({
  width: Schema.Int,
  height: Schema.Int,
  size: Schema.Int,
  url: Schema.String
}).annotate({
  identifier: "Thumbnail"
})

/** How loud a voice note is over its length: 64 numbers from 0 to 100, which the client that records it has measured. */
export const Waveform = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })))
  .check(Schema.isMinLength(64), Schema.isMaxLength(64))
  .annotate({ identifier: "Waveform" })
export type Waveform = typeof Waveform.Type

/**
 * A file that belongs to a message. `contentType` follows from the content. `size` is in bytes; `width` and `height` are
 * in pixels. `placeholder` is a thumbhash in Base64, to show until the picture is there. `url` and those of the thumbnails
 * are paths of this service, which need an access token.
 */
export const Attachment = Schema.Struct({
  id: AttachmentId,
  name: Schema.String,
  contentType: Schema.String,
  size: Schema.Int,
  width: Schema.NullOr(Schema.Int),
  height: Schema.NullOr(Schema.Int),
  durationMs: Schema.NullOr(Schema.Int),
  placeholder: Schema.NullOr(Schema.String),
  waveform: Schema.optionalKey(Waveform),
  url: Schema.String,
  thumbnails: Schema.Array(Thumbnail)
}).annotate({ identifier: "Attachment" })
export type Attachment = typeof Attachment.Type

/** A URL, as a path of this service, under which I can get an attachment without an access token until `expiresAt`. */
export const AttachmentLink = Schema.Struct({ url: Schema.String, expiresAt: Timestamp }).annotate({
  identifier: "AttachmentLink"
})
export type AttachmentLink = typeof AttachmentLink.Type

/** What a user has uploaded and not deleted: the number of files and their bytes, of which there can be `limit`. */
export const StorageUse = Schema.Struct({ files: Schema.Int, bytes: Schema.Int, limit: Schema.Int }).annotate({
  identifier: "StorageUse"
})
export type StorageUse = typeof StorageUse.Type

/** The path under which an attachment is served. */
export const attachmentPath = (id: AttachmentId) => `/v1/attachments/${id}`

/** The path under which a thumbnail of an attachment is served. */
export const thumbnailPath = (id: AttachmentId, size: ThumbnailSize) => `${attachmentPath(id)}?thumbnail=${size}`

/** The same file as an attachment with another id. */
export const withId = (attachment: Attachment, id: AttachmentId): Attachment => {
  const moved = (url: string) => url.replace(attachmentPath(attachment.id), attachmentPath(id))
  const thumbnails = attachment.thumbnails.map((thumbnail) => ({ ...thumbnail, url: moved(thumbnail.url) }))
  return { ...attachment, id, url: attachmentPath(id), thumbnails }
}

const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}\ufeff]/gu

/**
 * The name of a file without what could deceive or harm: directories, control characters, and characters that change the
 * direction of text. At most 200 characters, of which the end is kept, because it has the extension.
 */
export const safeFileName = (name: string): string => {
  const base = name.split(/[/\\]/).at(-1) ?? ""
  const visible = base.replace(unsafe, "").trim()
  const short = Array.from(visible).slice(-200).join("").trim()
  return /^\.*$/.test(short) ? "file" : short
}
