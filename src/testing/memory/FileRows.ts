import type { Attachment } from "../../domain/Attachment.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { Part } from "../../services/files/Parts.ts"

/** A row of `attachments`. Its attachment is null until the upload is complete. */
export interface AttachmentRow {
  readonly blobId: string
  readonly ownerId: UserId
  readonly createdAt: number
  readonly attachment: Attachment | null
  readonly sha256: string
  readonly bytes: number
  readonly bound: { readonly conversationId: ConversationId; readonly seq: number } | null
}

/** A row of `uploads`, with the blobs and parts of `upload_parts`. Times are in milliseconds. */
export interface UploadRow {
  readonly ownerId: UserId
  readonly size: number
  readonly name: string
  readonly metadata: string
  readonly expiresAt: number
  readonly writer: string | null
  readonly writerUntil: number
  readonly blobs: ReadonlyArray<string>
  readonly parts: ReadonlyArray<Part>
}

/** How many bytes of an upload have arrived. */
export const receivedOf = ({ parts }: Pick<UploadRow, "parts">) => parts.reduce((sum, { size }) => sum + size, 0)
