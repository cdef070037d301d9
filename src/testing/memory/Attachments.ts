import { Clock, Duration, Effect, Layer } from "effect"
import type { Attachment } from "../../domain/Attachment.ts"
import type { AttachmentId, UserId } from "../../domain/Ids.ts"
import { noAttachment } from "../../domain/Refusals.ts"
import { AttachmentStorage } from "../../services/files/AttachmentStorage.ts"
import { Attachments } from "../../services/files/Attachments.ts"
import { UploadLimits } from "../../services/files/UploadLimits.ts"
import type { AttachmentRow } from "./FileRows.ts"
import { fullness, isShown, Memory, oneByte, useOf } from "./State.ts"
import * as Uploaders from "./Uploaders.ts"

/** An attachment that belongs to no message is deleted after this long: `unbound_period` in SQL. */
const unboundPeriod = Duration.toMillis("24 hours")

/** An avatar is kept for at least this long, so that it can be shown: in SQL, the trigger of `avatar_url` decides. */
const unshownPeriod = Duration.toMillis("30 minutes")

/** Binds attachments to a message: `bind_attachments` in SQL. */
export const bindAttachments = Effect.fnUntraced(function* (
  { attachments: rows }: Memory["Service"],
  bound: NonNullable<AttachmentRow["bound"]>,
  senderId: UserId,
  attachments: ReadonlyArray<Attachment>,
  sources: ReadonlyArray<AttachmentId> | undefined
) {
  const found = attachments.flatMap(({ id }, index) => {
    const row = rows.get(sources?.[index] ?? id)
    const fits =
      sources === undefined
        ? row?.ownerId === senderId && row.bound === null && row.attachment !== null
        : row !== undefined && row.bound !== null
    return row !== undefined && fits ? [row] : []
  })
  if (found.length < attachments.length) return yield* noAttachment
  for (const [index, row] of found.entries()) {
    const attachment = attachments[index]
    if (attachment === undefined) continue
    const copied = sources === undefined ? {} : { ownerId: senderId, attachment, bytes: 0 }
    rows.set(attachment.id, { ...row, ...copied, bound })
  }
})

/** The rows of attachments in `Memory`. */
export const storage = Layer.effect(
  AttachmentStorage,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { attachments, avatars, blobs, conversations, uploads, users } = memory
    const isSeenBy = (row: AttachmentRow, userId: string) => {
      if (row.bound === null) return row.ownerId === userId
      const { conversationId, seq } = row.bound
      const me = Array.from(conversations.get(conversationId)?.members.values() ?? []).find(
        (member) => member.userId === userId
      )
      return me?.leftSeq === null && me.visibleFromSeq <= seq
    }
    return AttachmentStorage.of({
      begin: Effect.fnUntraced(function* (userId, id, blobId, limits) {
        const full = fullness(memory, userId, id, oneByte, limits)
        if (full !== undefined) return full
        blobs.set(blobId, 0)
        const createdAt = yield* Clock.currentTimeMillis
        attachments.set(id, { blobId, ownerId: userId, createdAt, attachment: null, sha256: "", bytes: 0, bound: null })
        return "begun"
      }, memory.atomically),
      complete: ({ attachment, blobId, sha256 }, stored, limits) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const row = attachments.get(attachment.id)
          if (row?.blobId !== blobId || row.attachment !== null) return "gone"
          const upload = uploads.get(attachment.id)
          if (upload !== undefined && upload.expiresAt <= now) return "gone"
          const full = fullness(memory, row.ownerId, attachment.id, { bytes: attachment.size, stored }, limits)
          if (full !== undefined) return full
          blobs.set(row.blobId, stored)
          attachments.set(attachment.id, { ...row, attachment, sha256, bytes: attachment.size })
          if (upload !== undefined) uploads.set(attachment.id, { ...upload, expiresAt: now })
          return "stored"
        }).pipe(memory.atomically),
      drop: (userId, id, blobId) =>
        Effect.sync(() => {
          const row = attachments.get(id)
          const isIt = row?.ownerId === userId && row.bound === null && row.blobId === (blobId ?? row.blobId)
          return isIt && attachments.delete(id)
        }),
      unsent: (userId, ids) =>
        Effect.sync(
          () =>
            new Map(
              ids.flatMap((id) => {
                const row = attachments.get(id)
                return row?.ownerId === userId && row.bound === null ? [[id, row.attachment] as const] : []
              })
            )
        ),
      seenBy: (userId, id) =>
        Effect.sync(() => {
          const row = attachments.get(id)
          const user = users.get(userId)
          if (row === undefined || row.attachment === null || user?.deletedAt !== null || user.disabledAt !== null)
            return
          return isSeenBy(row, userId) ? { ...row, attachment: row.attachment } : undefined
        }),
      use: (userId) =>
        Effect.sync(() => {
          const { bytes, files } = useOf(memory, userId)
          const begun = [...uploads.values()].filter(({ ownerId }) => ownerId === userId)
          return { files: files + begun.length, bytes: begun.reduce((sum, { size }) => sum + size, bytes) }
        }),
      unused: Effect.fnUntraced(function* (limit) {
        const now = yield* Clock.currentTimeMillis
        for (const [id, { bound, createdAt }] of attachments)
          if (bound === null && createdAt <= now - unboundPeriod) attachments.delete(id)
        for (const [id, row] of avatars)
          if (!isShown(memory, row) && row.createdAt <= now - unshownPeriod) avatars.delete(id)
        const used = new Set([...Array.from(attachments.values(), ({ blobId }) => blobId), ...avatars.keys()])
        return [...blobs.keys()].filter((id) => !used.has(id)).slice(0, limit)
      }, memory.atomically),
      forget: (ids) =>
        Effect.sync(() => {
          for (const id of ids) blobs.delete(id)
        })
    })
  })
)

/** Attachments in `Memory`, on any `Blobs`. */
export const layerMemory = Attachments.layerNoDeps.pipe(
  Layer.provide([storage, Uploaders.layerMemory, UploadLimits.layer])
)
