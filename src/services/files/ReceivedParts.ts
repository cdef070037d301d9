import { createHash, randomUUID } from "node:crypto"
import { Effect, Stream } from "effect"
import type { AttachmentId } from "../../domain/Ids.ts"
import { ChecksumMismatch, Locked, TooLarge } from "../../domain/Problem.ts"
import { storeFull, tooManyParts } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"
import { Blobs } from "./Blobs.ts"
import { makeParts, type Part } from "./Parts.ts"
import { type ResumableUpload, ResumableUploadStorage } from "./ResumableUploadStorage.ts"

/** A checksum of what one request adds to an upload. */
export interface Checksum {
  readonly algorithm: "md5" | "sha1" | "sha256"
  readonly digest: Uint8Array
}

/** The size of a part, of which a node that is killed loses at most one. S3 takes as many bytes at once. */
const partSize = 5 * 1024 * 1024

/**
 * In how many parts an upload may come, since each of them is a blob and a row. A client that sends as much as it can at once
 * needs one for each `partSize`.
 */
const mostParts = (size: number) => Math.max(100, Math.ceil(size / 65_536))

/** How long a client may send nothing before what it has sent is taken as all that comes, in milliseconds. */
const idleMs = 20_000

/** The writer has lost the upload, or never had it. */
export const locked = new Locked({ detail: "Another request adds to this upload" })

/**
 * Makes the function that writes content into parts, of which it adds all but the last one of the file, which it returns.
 * Those that do not count, whose blobs are to be deleted if the request fails, are in `loose`.
 */
export const makeReceive = Effect.gen(function* () {
  const blobs = yield* Blobs
  const storage = yield* ResumableUploadStorage
  const { totalStorageBytes = null } = (yield* Settings).limits

  const writePart = Effect.fnUntraced(function* (
    id: AttachmentId,
    writer: string,
    start: number,
    content: Stream.Stream<Uint8Array>,
    loose: Set<string>
  ) {
    const blobId = randomUUID()
    if (!(yield* storage.keep(id, writer, blobId))) return yield* locked
    loose.add(blobId)
    let size = 0
    const counted = Stream.map(content, (chunk) => {
      size += chunk.length
      return chunk
    })
    yield* blobs.write(blobId, counted)
    return { blobId, start, size }
  })

  const add = Effect.fnUntraced(function* (
    id: AttachmentId,
    writer: string,
    parts: ReadonlyArray<Part>,
    loose: Set<string>
  ) {
    // When the answer is lost, they may count. Then they are kept, and deleted when the upload has ended. When the upload
    // has ended while they were written, nothing may be noted of them any more.
    for (const { blobId } of parts) loose.delete(blobId)
    const outcome = yield* storage.add(id, writer, parts, totalStorageBytes)
    if (outcome === "added") return
    for (const { blobId } of parts) loose.add(blobId)
    return yield* outcome === "lost" ? locked : storeFull
  })

  return Effect.fnUntraced(function* <E>(
    { id, offset, parts: before, size }: ResumableUpload,
    writer: string,
    content: Stream.Stream<Uint8Array, E>,
    checksum: Checksum | undefined,
    loose: Set<string>
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
      if (before + written.length >= mostParts(size)) return yield* tooManyParts
      const part = yield* writePart(id, writer, at, parts.next(Math.min(partSize, size - at)), loose)
      at += part.size
      written.push(part)
      // With a checksum, nothing counts before all of it has come.
      if (hash === undefined && at < size) yield* add(id, writer, [part], loose)
    }
    const failure = (yield* parts.more)
      ? new TooLarge({ detail: `the file has ${size} bytes, as was said when the upload was begun` })
      : hash !== undefined && (!parts.isWhole() || !hash.digest().equals(checksum?.digest ?? Buffer.of()))
        ? new ChecksumMismatch({ detail: "the content is not that of Upload-Checksum, or not all of it has come" })
        : undefined
    if (failure !== undefined) return yield* failure
    const last = at === size ? written.pop() : undefined
    if (hash !== undefined) yield* add(id, writer, written, loose)
    return last
  })
})
