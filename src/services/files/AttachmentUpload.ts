import { createHash, randomUUID, randomUUIDv7 } from "node:crypto"
import { Effect, Stream } from "effect"
import { type Attachment, attachmentPath, safeFileName, thumbnailPath, type Waveform } from "../../domain/Attachment.ts"
import { AttachmentId, type UserId } from "../../domain/Ids.ts"
import { invalid } from "../../domain/Problem.ts"
import { noAttachment } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"
import { AttachmentStorage } from "./AttachmentStorage.ts"
import { Blobs, keysOf, thumbnailKey } from "./Blobs.ts"
import { contentTypeOf, hasDuration, headLength, isPicture } from "./ContentTypes.ts"
import { Images } from "./Images.ts"
import { makeScan } from "./Scanner.ts"
import { atMost, makeLimitsOf, refusalOf, type StorageLimits } from "./StorageLimits.ts"
import { UploadLimits } from "./UploadLimits.ts"

/** Counts and hashes content as it passes, and keeps its beginning. */
const makeObserved = <E>(content: Stream.Stream<Uint8Array, E>) => {
  const digest = createHash("sha256")
  const head: Array<Uint8Array> = []
  let size = 0
  return {
    content: Stream.map(content, (chunk) => {
      if (size < headLength) head.push(chunk.slice(0, headLength - size))
      size += chunk.length
      digest.update(chunk)
      return chunk
    }),
    result: () => ({ size, sha256: digest.digest("hex"), head: Buffer.concat(head) })
  }
}

/** Makes the function that stores the thumbnails of a picture, and returns what an attachment says about it. */
const makeThumbnails = Effect.gen(function* () {
  const blobs = yield* Blobs
  const images = yield* Images
  return Effect.fnUntraced(
    function* (userId: UserId, blobId: string, id: AttachmentId) {
      const content = yield* Effect.catchTag(blobs.read(blobId), "NoBlob", Effect.die)
      const picture = yield* images.examine(userId, content)
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
          url: thumbnailPath(id, size)
        }))
      }
    },
    Effect.scoped,
    Effect.catchTag("NoPicture", ({ reason }) => Effect.fail(invalid("file", `cannot be decoded: ${reason}`)))
  )
})

/** Makes the function that reads how long the sound or the video of a blob is. */
const makeDurationOf = Effect.gen(function* () {
  const blobs = yield* Blobs
  const images = yield* Images
  return (userId: UserId, blobId: string) =>
    Effect.scoped(images.duration(userId, Stream.unwrap(Effect.catchTag(blobs.read(blobId), "NoBlob", Effect.die))))
})

/** Makes the function that uploads a file: see `Attachments`. */
export const makeUpload = Effect.gen(function* () {
  const storage = yield* AttachmentStorage
  const blobs = yield* Blobs
  const scan = yield* makeScan
  const durationOf = yield* makeDurationOf
  const storeThumbnails = yield* makeThumbnails
  const uploadLimits = yield* UploadLimits
  const { attachmentBytes } = (yield* Settings).limits
  const limitsOf = yield* makeLimitsOf

  const store = Effect.fnUntraced(function* <E>(
    {
      blobId,
      id,
      limits,
      userId
    }: {
      readonly blobId: string
      readonly id: AttachmentId
      readonly limits: StorageLimits
      readonly userId: UserId
    },
    name: string,
    content: Stream.Stream<Uint8Array, E>,
    waveform: Waveform | undefined
  ) {
    const observed = makeObserved(atMost(content, attachmentBytes))
    yield* blobs.write(blobId, observed.content)
    const { head, sha256, size } = observed.result()
    if (size === 0) return yield* invalid("file", "must not be empty")
    yield* scan(Stream.unwrap(Effect.catchTag(blobs.read(blobId), "NoBlob", Effect.die)))
    const contentType = yield* contentTypeOf(head)
    if (waveform !== undefined && !hasDuration(contentType)) return yield* invalid("waveform", "is for sounds only")
    const picture = isPicture(contentType) ? yield* storeThumbnails(userId, blobId, id) : undefined
    const durationMs = hasDuration(contentType) ? ((yield* durationOf(userId, blobId)) ?? null) : null
    const attachment: Attachment = {
      id,
      name: safeFileName(name),
      contentType,
      size,
      width: null,
      height: null,
      durationMs,
      placeholder: null,
      url: attachmentPath(id),
      thumbnails: [],
      ...(waveform !== undefined && { waveform }),
      ...picture
    }
    const storedBytes = attachment.thumbnails.reduce((sum, thumbnail) => sum + thumbnail.size, size)
    const outcome = yield* storage.complete({ attachment, blobId, sha256 }, storedBytes, limits)
    const refusal = outcome === "gone" ? noAttachment : refusalOf(outcome)
    return refusal === undefined ? attachment : yield* refusal
  })

  return Effect.fn("Attachments.upload")(function* <E>(
    userId: UserId,
    name: string,
    content: Stream.Stream<Uint8Array, E>,
    waveform?: Waveform,
    continued?: AttachmentId
  ) {
    const id = continued ?? AttachmentId.make(randomUUIDv7())
    const blobId = randomUUID()
    const run = Effect.gen(function* () {
      const limits = yield* limitsOf(userId)
      const refusal = refusalOf(yield* storage.begin(userId, id, blobId, limits))
      if (refusal !== undefined) return yield* refusal
      return yield* Effect.onError(store({ id, blobId, limits, userId }, name, content, waveform), () =>
        // When this fails too, the cleaning finds both a day later.
        Effect.ignore(Effect.andThen(storage.drop(userId, id, blobId), blobs.remove(keysOf(blobId))))
      )
    })
    return yield* continued === undefined
      ? uploadLimits.run("attachment", userId, run)
      : uploadLimits.counted("attachment", run)
  })
})
