import { randomUUID, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Exit, Layer, Stream } from "effect"
import { type Attachment, safeFileName } from "../../domain/Attachment.ts"
import { AttachmentId, type UserId } from "../../domain/Ids.ts"
import {
  type ChecksumMismatch,
  type Conflict,
  type InvalidRequest,
  invalid,
  type Locked,
  type NotFound,
  type RateLimited,
  type TooLarge,
  type Unavailable
} from "../../domain/Problem.ts"
import { fileTooLarge, noUpload, otherOffset, tooManyUploads } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"
import { Attachments } from "./Attachments.ts"
import { Blobs } from "./Blobs.ts"
import type { Part } from "./Parts.ts"
import { type Checksum, locked, makeReceive } from "./ReceivedParts.ts"
import { type ResumableUpload, ResumableUploadStorage } from "./ResumableUploadStorage.ts"
import { makeLimitsOf, refusals } from "./StorageLimits.ts"
import { metadataIn, waveformOf } from "./UploadFields.ts"
import { UploadLimits } from "./UploadLimits.ts"

/** How far an upload is; `attachment` is there once it is complete. */
export interface UploadProgress extends Pick<ResumableUpload, "id" | "size" | "offset" | "metadata"> {
  readonly expiresAt: Date | null
  readonly attachment: Attachment | null
}

type CompleteError = InvalidRequest | TooLarge | RateLimited | NotFound | Conflict | Unavailable

/** How many ended uploads one step of the cleaning deletes. */
const uploadsPerStep = 20

/** How often a writer prolongs its lease, in milliseconds: `upload_lease` in SQL is three times as long. */
const keepMs = 2000

/**
 * Uploads that are sent in several requests, each of which any node may get. A request may be cut at any place: what has
 * arrived is stored in parts, each a blob of its own, and the next request goes on behind it. When all parts are there they
 * are read one after another as the content of an attachment, by the rules of every other upload.
 */
export class ResumableUploads extends Context.Service<
  ResumableUploads,
  {
    /**
     * Begins an upload of `size` bytes. `TooLarge` for more than `limits.attachment_bytes`, `InvalidRequest` for none, and
     * `Conflict` ("storage-full") when there is no room for it or the user has 100 under way. It ends by itself after an
     * hour, and a day after its first part has arrived.
     */
    readonly create: (
      userId: UserId,
      file: { readonly size: number; readonly name: string; readonly metadata: string }
    ) => Effect.Effect<UploadProgress, TooLarge | InvalidRequest | Conflict | Unavailable>
    /** How far an upload of the user is, also once it is complete. */
    readonly get: (userId: UserId, id: AttachmentId) => Effect.Effect<UploadProgress, NotFound | Unavailable>
    /**
     * Adds content behind `offset`, and completes the attachment when nothing is missing. `Conflict` ("upload-offset") unless
     * so many bytes are stored, `Locked` while another request adds to it, and `ChecksumMismatch` for content that is not that of
     * the checksum, of which nothing is kept. `TooLarge` for more content than is missing, `Conflict` ("storage-full") for
     * content in too many parts or without room in the store, and a completion that is refused, with the errors of
     * `Attachments.upload`, end the upload. Interrupting it does not: content that ends, fails or pauses for long is stored as
     * far as it came.
     */
    readonly append: <E>(
      userId: UserId,
      id: AttachmentId,
      offset: number,
      content: Stream.Stream<Uint8Array, E>,
      checksum?: Checksum
    ) => Effect.Effect<UploadProgress, CompleteError | Locked | ChecksumMismatch>
    /** Deletes an upload, or the attachment that it has become if that is not sent; `NotFound` for any other one. */
    readonly remove: (userId: UserId, id: AttachmentId) => Effect.Effect<void, NotFound | Unavailable>
    /** Takes one step: deletes what uploads have left that have ended. True when there are more. It may be repeated. */
    readonly clean: Effect.Effect<boolean, Unavailable>
  }
>()("chat/services/ResumableUploads") {
  /** The rules, on any `ResumableUploadStorage` and any `Blobs`. */
  static readonly layerNoDeps = Layer.effect(
    ResumableUploads,
    Effect.gen(function* () {
      const attachments = yield* Attachments
      const storage = yield* ResumableUploadStorage
      const { attachmentBytes } = (yield* Settings).limits
      const limitsOf = yield* makeLimitsOf
      const clear = yield* makeClear
      const append = yield* makeAppend
      const tooLarge = fileTooLarge(attachmentBytes)
      const refusal = { ...refusals, "too-many": tooManyUploads }

      return ResumableUploads.of({
        create: Effect.fn("ResumableUploads.create")(function* (userId, file) {
          if (file.size > attachmentBytes) return yield* tooLarge
          if (file.size === 0) return yield* invalid("file", "must not be empty")
          const id = AttachmentId.make(randomUUIDv7())
          const limits = yield* limitsOf(userId)
          const created = yield* storage.create(userId, { ...file, id, name: safeFileName(file.name) }, limits)
          return typeof created === "string" ? yield* refusal[created] : progressOf(created)
        }),
        get: Effect.fn("ResumableUploads.get")(function* (userId, id) {
          const upload = yield* storage.get(userId, id)
          if (upload !== undefined) return progressOf(upload)
          const attachment = yield* uploaded(attachments, userId, id)
          return attachment === undefined ? yield* noUpload : completed(attachment)
        }),
        append,
        remove: Effect.fn("ResumableUploads.remove")(function* (userId, id) {
          if (!(yield* storage.end(userId, id))) return yield* attachments.discard(userId, id)
          yield* Effect.ignore(clear(1, id))
        }),
        clean: Effect.withSpan(clear(uploadsPerStep), "ResumableUploads.clean")
      })
    })
  )
}

const progressOf = (upload: ResumableUpload): UploadProgress => ({ ...upload, attachment: null })

const completed = (attachment: Attachment): UploadProgress => {
  const { id, size } = attachment
  return { id, size, offset: size, metadata: "", expiresAt: null, attachment }
}

/** The attachment that an upload of the user has become. */
const uploaded = ({ get }: Attachments["Service"], userId: UserId, id: AttachmentId) =>
  get(userId, id).pipe(
    Effect.map(({ attachment }): Attachment | undefined => attachment),
    Effect.catchTag("NotFound", () => Effect.undefined)
  )

/**
 * Makes the function that deletes what ended uploads have left: so many, or only this one. One that cannot be deleted is tried
 * again later, and keeps no other. True when there may be more, except when none could be deleted.
 */
const makeClear = Effect.gen(function* () {
  const blobs = yield* Blobs
  const storage = yield* ResumableUploadStorage
  return Effect.fnUntraced(function* (limit: number, only?: AttachmentId) {
    const ended = yield* storage.ended(limit, only)
    let deleted = 0
    for (const id of ended) {
      const removal = yield* Effect.exit(blobs.remove(yield* storage.blobs(id)))
      if (Exit.isSuccess(removal)) {
        yield* storage.forget(id)
        deleted++
      } else {
        yield* Effect.logError("what an upload has left cannot be deleted", { id }, removal.cause)
        yield* storage.postpone(id)
      }
    }
    return ended.length === limit && deleted > 0
  })
})

/** Makes the function that adds to an upload: see `ResumableUploads.append`. */
const makeAppend = Effect.gen(function* () {
  const attachments = yield* Attachments
  const blobs = yield* Blobs
  const storage = yield* ResumableUploadStorage
  const uploadLimits = yield* UploadLimits
  const clear = yield* makeClear
  const receive = yield* makeReceive

  /** Deletes blobs that count for nothing. When this fails, they are deleted when the upload has ended. */
  const drop = (id: AttachmentId, loose: ReadonlySet<string>) =>
    Effect.ignore(
      loose.size === 0 ? Effect.void : Effect.andThen(blobs.remove([...loose]), storage.drop(id, [...loose]))
    )

  /** Makes the attachment of all parts. The last one is added by this alone, so that nobody takes the upload for complete. */
  const complete = Effect.fnUntraced(function* (
    userId: UserId,
    { id, metadata, name, size }: ResumableUpload,
    writer: string,
    last: Part
  ) {
    if (!(yield* storage.keep(id, writer))) return yield* locked
    // A node that was killed may have left half of it.
    yield* Effect.catchTag(attachments.discard(userId, id), "NotFound", () => Effect.void)
    const parts = [...(yield* storage.parts(id)), last]
    if (!isWhole(parts, size)) return yield* lost(id)
    const content = Stream.flatMap(Stream.fromIterable(parts), ({ blobId }) =>
      Stream.unwrap(Effect.catchTag(blobs.read(blobId), "NoBlob", () => lost(id)))
    )
    return yield* attachments.upload(userId, name, content, yield* waveformOf(metadataIn(metadata)), id)
  })

  const add = Effect.fnUntraced(function* <E>(
    userId: UserId,
    id: AttachmentId,
    offset: number,
    content: Stream.Stream<Uint8Array, E>,
    checksum: Checksum | undefined
  ) {
    const writer = randomUUID()
    const loose = new Set<string>()
    const held = yield* Effect.acquireRelease(storage.hold(userId, id, writer), () =>
      // When this fails, the lease ends by itself.
      Effect.ignore(storage.release(id, writer))
    )
    if (held === undefined) return yield* noUpload
    if (held === "locked") return yield* locked
    if (held.offset !== offset) return yield* otherOffset
    yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.ignore(storage.keep(id, writer)), keepMs)))
    return yield* Effect.gen(function* () {
      const last = yield* receive(held, writer, content, checksum, loose)
      if (last === undefined) return progressOf((yield* storage.get(userId, id)) ?? (yield* noUpload))
      return completed(yield* complete(userId, held, writer, last))
    }).pipe(
      Effect.onError(() => drop(id, loose)),
      // The client can send the last part again when that passes, and nothing again when it does not.
      Effect.tapError((error) => (isPassing(error) ? Effect.void : storage.end(userId, id, writer)))
    )
  }, Effect.scoped)

  return Effect.fn("ResumableUploads.append")(function* <E>(
    userId: UserId,
    id: AttachmentId,
    offset: number,
    content: Stream.Stream<Uint8Array, E>,
    checksum?: Checksum
  ) {
    return yield* uploadLimits
      .limited(userId, add(userId, id, offset, content, checksum))
      .pipe(Effect.ensuring(Effect.ignore(clear(1, id))), Effect.uninterruptible)
  })
})

const lost = (id: AttachmentId) =>
  Effect.andThen(Effect.logError("an upload has not all of its parts", { id }), Effect.fail(noUpload))

/** Whether parts follow each other from the first to the last byte of a file. */
const isWhole = (parts: ReadonlyArray<Part>, size: number) => {
  let at = 0
  for (const part of parts) {
    if (part.start !== at) return false
    at += part.size
  }
  return at === size
}

const passing = ["Unavailable", "RateLimited", "Locked", "ChecksumMismatch"]
const isPassing = ({ _tag }: { readonly _tag: string }) => passing.includes(_tag)
