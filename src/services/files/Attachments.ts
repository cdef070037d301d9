import { createHash, randomUUID, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer, Stream } from "effect"
import {
  type Attachment,
  type AttachmentLink,
  attachmentPath,
  type StorageUse,
  safeFileName
} from "../../domain/Attachment.ts"
import { AttachmentId, type UserId } from "../../domain/Ids.ts"
import {
  type Conflict,
  type InvalidRequest,
  invalid,
  type NotFound,
  type RateLimited,
  TooLarge,
  type Unavailable
} from "../../domain/Problem.ts"
import { attachmentNotReady, noAttachment, storageFull, tooManyAtOnce } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"
import { makeAttachmentLinks } from "./AttachmentLinks.ts"
import { Blobs, type ByteRange, type NoBlob } from "./Blobs.ts"
import { contentTypeOf, headLength, isPicture } from "./ContentTypes.ts"
import { Images, type ThumbnailSize, thumbnailSizes } from "./Images.ts"

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
    /** Begins an upload. False when the files of the user have `limit` bytes already. */
    readonly begin: (
      userId: UserId,
      id: AttachmentId,
      blobId: string,
      limit: number
    ) => Effect.Effect<boolean, Unavailable>
    /**
     * Completes an upload. The outcome is `full` when the files of the user would have more than `limit` bytes, and `gone`
     * when the account was closed meanwhile.
     */
    readonly complete: (
      upload: Omit<StoredAttachment, "blobId">,
      limit: number
    ) => Effect.Effect<"stored" | "full" | "gone", Unavailable>
    /** Deletes an attachment of the user that is bound to no message. False when there is none. */
    readonly drop: (userId: UserId, id: AttachmentId) => Effect.Effect<boolean, Unavailable>
    /** The attachments that the user has uploaded and not sent; null for those that are not uploaded completely. */
    readonly unsent: (
      userId: UserId,
      ids: ReadonlyArray<AttachmentId>
    ) => Effect.Effect<ReadonlyMap<AttachmentId, Attachment | null>, Unavailable>
    /** The attachment if the user may see it now: as its uploader until it is sent, and then as one who sees the message. */
    readonly seenBy: (userId: UserId, id: AttachmentId) => Effect.Effect<StoredAttachment | undefined, Unavailable>
    /** The files that the user has uploaded, and their bytes. */
    readonly use: (userId: UserId) => Effect.Effect<Pick<StorageUse, "files" | "bytes">, Unavailable>
    /** Finds at most so many blobs to which nothing refers, after deleting attachments that were not sent within a day. */
    readonly unused: (limit: number) => Effect.Effect<ReadonlyArray<string>, Unavailable>
    /** Forgets blobs that `unused` has found and that the store has deleted. */
    readonly forget: (blobIds: ReadonlyArray<string>) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/AttachmentStorage") {}

/** The key of a thumbnail of a blob, or of the blob itself. */
const thumbnailKey = (blobId: string, size?: ThumbnailSize) => (size === undefined ? blobId : `${blobId}.${size}`)

/** The keys of everything that the store can have of a blob. */
const keysOf = (blobId: string) => [undefined, ...thumbnailSizes].map((size) => thumbnailKey(blobId, size))

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
     * memory. `InvalidRequest` for an empty file and for a picture that cannot be decoded, `TooLarge` for more bytes than `limits.attachment_bytes`, `Conflict` ("storage-full") when the files of
     * the user would have more than `limits.storage_bytes`, and `RateLimited` while the user has as many uploads under way
     * as are allowed. `NotFound` when the account was closed meanwhile. A failed or interrupted upload leaves nothing.
     */
    readonly upload: <E>(
      userId: UserId,
      name: string,
      content: Stream.Stream<Uint8Array, E>
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
    /** A link to an attachment that the user may see, for this user alone and for five minutes. */
    readonly link: (userId: UserId, id: AttachmentId) => Effect.Effect<AttachmentLink, NotFound | Unavailable>
    /** The attachment of a link, if the link is valid and its user may still see it; else `NotFound`. */
    readonly followed: (id: AttachmentId, token: string) => Effect.Effect<StoredAttachment, NotFound | Unavailable>
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
      const { limits } = yield* Settings
      const upload = yield* makeUpload
      const keyOf = ({ blobId }: StoredAttachment, size?: ThumbnailSize) => thumbnailKey(blobId, size)

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
        read: (stored, { range, thumbnail }) => blobs.read(keyOf(stored, thumbnail), range),
        link: Effect.fn("Attachments.link")(function* (userId, id) {
          yield* get(userId, id)
          const { expiresAt, token } = yield* links.sign(id, userId)
          return { url: `${attachmentPath(id)}?link=${token}`, expiresAt: new Date(expiresAt).toISOString() }
        }),
        followed: Effect.fnUntraced(function* (id, token) {
          const userId = yield* links.userOf(id, token)
          return userId === undefined ? yield* noAttachment : yield* get(userId, id)
        }),
        use: (userId) => Effect.map(storage.use(userId), (used) => ({ ...used, limit: limits.storageBytes })),
        clean: Effect.gen(function* () {
          const unused = yield* storage.unused(blobsPerStep)
          yield* blobs.remove(unused.flatMap(keysOf))
          yield* storage.forget(unused)
          return unused.length === blobsPerStep
        }).pipe(Effect.withSpan("Attachments.clean"))
      })
    })
  )
}

/** Counts and hashes content as it passes, and keeps its beginning. Fails when it has more than `limit` bytes. */
const makeObserved = <E>(content: Stream.Stream<Uint8Array, E>, limit: number) => {
  const digest = createHash("sha256")
  const head: Array<Uint8Array> = []
  let size = 0
  return {
    content: Stream.mapEffect(content, (chunk) => {
      if (size < headLength) head.push(chunk.slice(0, headLength - size))
      size += chunk.length
      digest.update(chunk)
      return size > limit
        ? Effect.fail(new TooLarge({ detail: `the file must have at most ${limit} bytes` }))
        : Effect.succeed(chunk)
    }),
    result: () => ({ size, sha256: digest.digest("hex"), head: Buffer.concat(head) })
  }
}

/** Makes the function that stores the thumbnails of a picture, and returns what an attachment says about it. */
const makeThumbnails = Effect.gen(function* () {
  const blobs = yield* Blobs
  const images = yield* Images
  return Effect.fnUntraced(
    function* (blobId: string, id: AttachmentId) {
      const content = yield* Effect.catchTag(blobs.read(blobId), "NoBlob", Effect.die)
      const picture = yield* images.examine(content)
      if (picture === undefined) return undefined
      const { height, placeholder, thumbnails, width } = picture
      yield* Effect.forEach(thumbnails, ({ content, size }) => blobs.write(thumbnailKey(blobId, size), content))
      return {
        width,
        height,
        placeholder,
        thumbnails: thumbnails.map(({ bytes, height, size, width }) => ({
          width,
          height,
          size: bytes,
          url: `${attachmentPath(id)}?thumbnail=${size}`
        }))
      }
    },
    Effect.scoped,
    Effect.catchTag("NoPicture", ({ reason }) => Effect.fail(invalid("file", `cannot be decoded: ${reason}`)))
  )
})

const makeUpload = Effect.gen(function* () {
  const storage = yield* AttachmentStorage
  const blobs = yield* Blobs
  const storeThumbnails = yield* makeThumbnails
  const { attachmentBytes, storageBytes, uploadsPerUser } = (yield* Settings).limits
  const uploading = new Map<UserId, number>()

  /** Runs an upload, unless the user has too many. */
  const counted = <A, E>(userId: UserId, run: Effect.Effect<A, E>) =>
    Effect.acquireUseRelease(
      Effect.suspend(() => {
        const count = uploading.get(userId) ?? 0
        if (count >= uploadsPerUser) return Effect.fail(tooManyAtOnce("You have too many uploads at a time"))
        uploading.set(userId, count + 1)
        return Effect.void
      }),
      () => run,
      () =>
        Effect.sync(() => {
          const count = (uploading.get(userId) ?? 1) - 1
          if (count === 0) uploading.delete(userId)
          else uploading.set(userId, count)
        })
    )

  const store = Effect.fnUntraced(function* <E>(
    { blobId, id }: { readonly blobId: string; readonly id: AttachmentId },
    name: string,
    content: Stream.Stream<Uint8Array, E>
  ) {
    const observed = makeObserved(content, attachmentBytes)
    yield* blobs.write(blobId, observed.content)
    const { head, sha256, size } = observed.result()
    if (size === 0) return yield* invalid("file", "must not be empty")
    const contentType = yield* contentTypeOf(head)
    const picture = isPicture(contentType) ? yield* storeThumbnails(blobId, id) : undefined
    const attachment: Attachment = {
      id,
      name: safeFileName(name),
      contentType,
      size,
      width: null,
      height: null,
      durationMs: null,
      placeholder: null,
      url: attachmentPath(id),
      thumbnails: [],
      ...picture
    }
    const outcome = yield* storage.complete({ attachment, sha256 }, storageBytes)
    if (outcome === "full") return yield* storageFull
    return outcome === "gone" ? yield* noAttachment : attachment
  })

  return Effect.fn("Attachments.upload")(function* <E>(
    userId: UserId,
    name: string,
    content: Stream.Stream<Uint8Array, E>
  ) {
    const id = AttachmentId.make(randomUUIDv7())
    const blobId = randomUUID()
    return yield* counted(
      userId,
      Effect.gen(function* () {
        if (!(yield* storage.begin(userId, id, blobId, storageBytes))) return yield* storageFull
        return yield* Effect.onError(store({ id, blobId }, name, content), () =>
          // When this fails too, the cleaning finds both a day later.
          Effect.ignore(Effect.andThen(storage.drop(userId, id), blobs.remove(keysOf(blobId))))
        )
      })
    )
  })
})
