import { createHash, randomUUID, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer, Stream } from "effect"
import type { Attachment } from "../../domain/Attachment.ts"
import { AttachmentId, type UserId } from "../../domain/Ids.ts"
import {
  ChecksumMismatch,
  type Conflict,
  type InvalidRequest,
  invalid,
  Locked,
  type NotFound,
  type RateLimited,
  TooLarge,
  type Unavailable
} from "../../domain/Problem.ts"
import { noUpload, otherOffset, storageFull } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"
import { Attachments } from "./Attachments.ts"
import { Blobs } from "./Blobs.ts"
import { makeParts, type Part } from "./Parts.ts"
import { type ResumableUpload, ResumableUploadStorage } from "./ResumableUploadStorage.ts"
import { makeLimitsOf } from "./StorageLimits.ts"
import { UploadTurns } from "./UploadTurns.ts"

/** How far an upload is; `attachment` is there once it is complete. */
export interface UploadProgress extends Pick<ResumableUpload, "id" | "size" | "offset" | "metadata"> {
  readonly expiresAt: Date | null
  readonly attachment: Attachment | null
}

/** A checksum of what one request adds to an upload. */
export interface Checksum {
  readonly algorithm: "md5" | "sha1" | "sha256"
  readonly digest: Uint8Array
}

type CompleteError = InvalidRequest | TooLarge | RateLimited | NotFound | Conflict | Unavailable

/** The size of a part, of which a node that is killed loses at most one. S3 takes as many bytes at once. */
const partSize = 5 * 1024 * 1024

/** How many ended uploads one step of the cleaning deletes. */
const uploadsPerStep = 20

/** How long a client may send nothing before what it has sent is taken as all that comes, in milliseconds. */
export const idleMs = 20_000

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
     * `Conflict` ("storage-full") when there is no room for it. It ends by itself after a day.
     */
    readonly create: (
      userId: UserId,
      file: { readonly size: number; readonly name: string; readonly metadata: string }
    ) => Effect.Effect<UploadProgress, TooLarge | InvalidRequest | Conflict | Unavailable>
    /** How far an upload of the user is, also once it is complete. */
    readonly get: (userId: UserId, id: AttachmentId) => Effect.Effect<UploadProgress, NotFound | Unavailable>
    /**
     * Adds content behind `offset`, and completes the attachment when nothing is missing. `Conflict` ("upload-offset") unless
     * so many bytes are stored, `Locked` while another request adds to it, `TooLarge` for more content than is missing, and
     * `ChecksumMismatch` for content that is not that of the checksum, of which nothing is kept. A completion that
     * is refused ends the upload, with the errors of `Attachments.upload`. Interrupting it does not: content that ends,
     * fails or pauses for long is stored as far as it came.
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
      const sweep = yield* makeSweep
      const append = yield* makeAppend
      const tooLarge = new TooLarge({ detail: `the file must have at most ${attachmentBytes} bytes` })

      return ResumableUploads.of({
        create: Effect.fn("ResumableUploads.create")(function* (userId, file) {
          if (file.size > attachmentBytes) return yield* tooLarge
          if (file.size === 0) return yield* invalid("file", "must not be empty")
          const id = AttachmentId.make(randomUUIDv7())
          const created = yield* storage.create(userId, { id, ...file }, (yield* limitsOf(userId)).user)
          return created === undefined ? yield* storageFull : progressOf(created)
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
          yield* Effect.ignore(sweep)
        }),
        clean: sweep
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

/** Deletes what ended uploads have left. True when there may be more. */
const makeSweep = Effect.gen(function* () {
  const blobs = yield* Blobs
  const storage = yield* ResumableUploadStorage
  return Effect.gen(function* () {
    const ended = yield* storage.ended(uploadsPerStep)
    for (const id of ended) {
      yield* blobs.remove(yield* storage.blobs(id))
      yield* storage.forget(id)
    }
    return ended.length === uploadsPerStep
  }).pipe(Effect.withSpan("ResumableUploads.clean"))
})

/** Makes the function that writes content into parts, of which it adds all but the last one of the file. */
const makeReceive = Effect.gen(function* () {
  const blobs = yield* Blobs
  const storage = yield* ResumableUploadStorage

  const writePart = Effect.fnUntraced(function* (
    id: AttachmentId,
    writer: string,
    start: number,
    content: Stream.Stream<Uint8Array>
  ) {
    const blobId = randomUUID()
    if (!(yield* storage.keep(id, writer, blobId))) return yield* locked
    let size = 0
    const counted = Stream.map(content, (chunk) => {
      size += chunk.length
      return chunk
    })
    yield* blobs.write(blobId, counted)
    return { blobId, start, size }
  })

  return Effect.fnUntraced(function* <E>(
    { id, offset, size }: ResumableUpload,
    writer: string,
    content: Stream.Stream<Uint8Array, E>,
    checksum: Checksum | undefined
  ) {
    const hash = checksum && createHash(checksum.algorithm)
    const observed = Stream.map(content, (chunk) => {
      hash?.update(chunk)
      return chunk
    })
    const parts = yield* makeParts(observed, idleMs)
    const written: Array<Part> = []
    let at = offset
    while (at < size && (yield* parts.more)) {
      const part = yield* writePart(id, writer, at, parts.next(Math.min(partSize, size - at)))
      at += part.size
      written.push(part)
      // With a checksum, nothing counts before all of it has come.
      if (hash === undefined && at < size && !(yield* storage.add(id, writer, [part]))) return yield* locked
    }
    const failure = (yield* parts.more)
      ? new TooLarge({ detail: `the file has ${size} bytes, as was said when the upload was begun` })
      : hash !== undefined && (!parts.isWhole() || !hash.digest().equals(checksum?.digest ?? Buffer.of()))
        ? new ChecksumMismatch({ detail: "the content is not that of Upload-Checksum, or not all of it has come" })
        : undefined
    if (failure !== undefined) return yield* failure
    const last = at === size ? written.pop() : undefined
    if (hash !== undefined && !(yield* storage.add(id, writer, written))) return yield* locked
    return { offset: at, last }
  })
})

/** Makes the function that adds to an upload: see `ResumableUploads.append`. */
const makeAppend = Effect.gen(function* () {
  const attachments = yield* Attachments
  const blobs = yield* Blobs
  const storage = yield* ResumableUploadStorage
  const turns = yield* UploadTurns
  const sweep = yield* makeSweep
  const receive = yield* makeReceive

  /** Makes the attachment of all parts. The last one is added by this alone, so that nobody takes the upload for complete. */
  const complete = Effect.fnUntraced(function* (userId: UserId, { id, name }: ResumableUpload, last: Part) {
    const known = yield* uploaded(attachments, userId, id)
    if (known !== undefined) return known
    // A node that was killed may have left half of it.
    yield* Effect.catchTag(attachments.discard(userId, id), "NotFound", () => Effect.void)
    const keys = [...(yield* storage.parts(id)), last.blobId]
    const content = Stream.flatMap(Stream.fromIterable(keys), (key) =>
      Stream.unwrap(Effect.catchTag(blobs.read(key), "NoBlob", Effect.die))
    )
    return yield* attachments.upload(userId, name, content, undefined, id)
  })

  const add = Effect.fnUntraced(function* <E>(
    userId: UserId,
    id: AttachmentId,
    offset: number,
    content: Stream.Stream<Uint8Array, E>,
    checksum: Checksum | undefined
  ) {
    const writer = randomUUID()
    const held = yield* Effect.acquireRelease(storage.hold(userId, id, writer), () =>
      // When this fails, the lease ends by itself.
      Effect.ignore(storage.release(id, writer))
    )
    if (held === undefined) return yield* noUpload
    if (held === "locked") return yield* locked
    if (held.offset !== offset) return yield* otherOffset
    yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.ignore(storage.keep(id, writer)), keepMs)))
    const received = yield* receive(held, writer, content, checksum)
    const { last } = received
    if (last === undefined) return progressOf({ ...held, offset: received.offset })
    const attachment = yield* Effect.tapError(complete(userId, held, last), (error) =>
      // The client can send the last part again when that passes, and nothing again when it does not.
      isPassing(error) ? Effect.ignore(blobs.remove([last.blobId])) : storage.end(userId, id)
    )
    yield* storage.end(userId, id)
    return completed(attachment)
  }, Effect.scoped)

  return Effect.fn("ResumableUploads.append")(function* <E>(
    userId: UserId,
    id: AttachmentId,
    offset: number,
    content: Stream.Stream<Uint8Array, E>,
    checksum?: Checksum
  ) {
    return yield* turns
      .limited(userId, add(userId, id, offset, content, checksum))
      .pipe(Effect.ensuring(Effect.ignore(sweep)), Effect.uninterruptible)
  })
})

const isPassing = ({ _tag }: { readonly _tag: string }) => _tag === "Unavailable" || _tag === "RateLimited"

const locked = new Locked({ detail: "Another request adds to this upload" })
