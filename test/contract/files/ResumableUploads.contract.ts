import { createHash, randomBytes, randomUUID } from "node:crypto"
import { assert, layer as withLayer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Attachment, safeFileName } from "../../../src/domain/Attachment.ts"
import { AttachmentId, type UserId } from "../../../src/domain/Ids.ts"
import { Unavailable } from "../../../src/domain/Problem.ts"
import { AccountClosing } from "../../../src/services/conversations/AccountClosing.ts"
import { AttachmentStorage } from "../../../src/services/files/AttachmentStorage.ts"
import { Attachments } from "../../../src/services/files/Attachments.ts"
import { Blobs } from "../../../src/services/files/Blobs.ts"
import type { Checksum } from "../../../src/services/files/ReceivedParts.ts"
import { ResumableUploadStorage } from "../../../src/services/files/ResumableUploadStorage.ts"
import { ResumableUploads } from "../../../src/services/files/ResumableUploads.ts"
import { Scanner } from "../../../src/services/files/Scanner.ts"
import type { StorageLimits } from "../../../src/services/files/StorageLimits.ts"
import { signedIn } from "../../support/Accounts.ts"
import { type Chat, outcome, person, refused } from "../../support/Chat.ts"

const create = (userId: UserId, size: number, name = "a file.bin") =>
  ResumableUploads.use((uploads) => uploads.create(userId, { size, name, metadata: "k dg==" }))

const append = <E, R = never>(
  userId: UserId,
  id: AttachmentId,
  offset: number,
  content: Uint8Array | Stream.Stream<Uint8Array, E, R>,
  checksum?: Checksum
) =>
  Effect.flatMap(Effect.context<R>(), (context) =>
    ResumableUploads.use((uploads) =>
      uploads.append(
        userId,
        id,
        offset,
        content instanceof Uint8Array ? Stream.make(content) : Stream.provideContext(content, context),
        checksum
      )
    )
  )

const progress = (userId: UserId, id: AttachmentId) => ResumableUploads.use(({ get }) => get(userId, id))
const offsetOf = (userId: UserId, id: AttachmentId) => Effect.map(progress(userId, id), ({ offset }) => offset)
const clean = ResumableUploads.use((uploads) => Effect.repeat(uploads.clean, { while: (more) => more }))

/** The blobs of the parts of an upload that are noted. */
const blobsOf = (id: AttachmentId) => ResumableUploadStorage.use(({ blobs }) => blobs(id))
const stored = (key: string) => outcome(Blobs.use(({ read }) => read(key)))

/** Content that does something after its first bytes, when their blob is noted, and the blobs that were noted then. */
const interrupted = <E, R>(id: AttachmentId, bytes: Uint8Array, then: Effect.Effect<unknown, E, R>) => {
  const keys: Array<string> = []
  const noted = Effect.map(blobsOf(id), (all) => keys.push(...all))
  const rest = Stream.fromEffect(Effect.as(Effect.andThen(noted, then), bytes.subarray(1)))
  return { keys, content: Stream.concat(Stream.make(bytes.subarray(0, 1)), rest) }
}

const contentOf = Effect.fnUntraced(function* (userId: UserId, id: AttachmentId) {
  const attachments = yield* Attachments
  const chunks = yield* Stream.runCollect(yield* attachments.read(yield* attachments.get(userId, id), {}))
  return Buffer.concat(chunks)
})

const anAttachment: Omit<Attachment, "id" | "size"> = {
  name: "a",
  contentType: "text/plain",
  width: null,
  height: null,
  durationMs: null,
  placeholder: null,
  url: "/",
  thumbnails: []
}

/** What happens while a file is scanned, which is the last thing before it becomes an attachment. */
const scans: { during: Effect.Effect<void> } = { during: Effect.void }
export const scanner = Layer.succeed(Scanner, {
  scan: () =>
    Effect.as(
      Effect.suspend(() => scans.during),
      undefined
    )
})

/** What cannot be deleted from the store. */
const stuck = new Set<string>()
export const stuckBlobs = Layer.effect(
  Blobs,
  Effect.map(Blobs, (blobs) =>
    Blobs.of({
      ...blobs,
      remove: (keys) =>
        Effect.suspend(() =>
          keys.some((key) => stuck.has(key)) ? Effect.fail(new Unavailable({ detail: "stuck" })) : blobs.remove(keys)
        )
    })
  )
)

/** The contract of ResumableUploads, on a layer with `scanner` and `stuckBlobs`. `aDayPasses`, `aLeasePasses` and `anHourPasses` make everything so much older. */
export const resumableUploadsContract = <E, R>(
  layer: Layer.Layer<Chat | AttachmentStorage | ResumableUploads | ResumableUploadStorage | R, E>,
  aDayPasses: Effect.Effect<unknown, never, R>,
  aLeasePasses: Effect.Effect<unknown, never, R>,
  anHourPasses: Effect.Effect<unknown, never, R>
) => {
  withLayer(layer)("ResumableUploads", (it) => {
    it.effect("an upload in parts becomes the same attachment as one at once, and its parts are deleted", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const bytes = randomBytes(12_000_000)
        const { expiresAt, id, offset } = yield* create(ann, bytes.length)
        assert.strictEqual(offset, 0)
        assert.isNotNull(expiresAt)
        let at = 0
        const keys = new Set<string>()
        for (const size of [1, 7_000_000, 0, 4_999_998]) {
          const chunks = Stream.rechunk(Stream.make(bytes.subarray(at, at + size)), 1)
          const now = yield* append(ann, id, at, chunks)
          at += size
          assert.deepInclude(now, { id, offset: at, size: bytes.length, attachment: null })
          assert.deepInclude(yield* progress(ann, id), { offset: at, metadata: "k dg==", attachment: null })
          for (const key of yield* blobsOf(id)) keys.add(key)
        }
        assert.strictEqual(yield* outcome(Attachments.use(({ get }) => get(ann, id))), "NotFound")
        const { attachment } = yield* append(ann, id, at, bytes.subarray(at))
        assert.deepInclude(attachment, { id, name: "a file.bin", size: bytes.length })
        assert.isTrue(bytes.equals(yield* contentOf(ann, id)))
        assert.deepInclude(yield* progress(ann, id), { offset: bytes.length, size: bytes.length, attachment })
        assert.isAbove(keys.size, 3)
        for (const key of keys) assert.strictEqual(yield* stored(key), "NoBlob")
        const { use } = yield* Attachments
        assert.deepInclude(yield* use(ann), { files: 1, bytes: bytes.length })
      })
    )

    it.effect("keeps what has come of content that is cut, pauses or is interrupted", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const bytes = randomBytes(30)
        const { id } = yield* create(ann, bytes.length)
        const cut = Stream.concat(Stream.make(bytes.subarray(0, 10)), Stream.fail("cut"))
        assert.strictEqual((yield* append(ann, id, 0, cut)).offset, 10)
        const begun = yield* Deferred.make<void>()
        const end = yield* Deferred.make<void>()
        const slow = Stream.concat(
          Stream.fromEffect(Effect.as(Deferred.succeed(begun, undefined), bytes.subarray(10, 20))),
          Stream.drain(Stream.fromEffect(Deferred.await(end)))
        )
        const adding = yield* Effect.forkChild(append(ann, id, 10, slow))
        yield* Deferred.await(begun)
        const interruption = yield* Effect.forkChild(Fiber.interrupt(adding))
        yield* Deferred.succeed(end, undefined)
        yield* Fiber.await(interruption)
        assert.strictEqual(yield* offsetOf(ann, id), 20)
        const paused = yield* Effect.forkChild(
          append(ann, id, 20, Stream.concat(Stream.make(bytes.subarray(20, 25)), Stream.never))
        )
        // Each look at the offset gives the database the time to answer before the clock goes on.
        yield* TestClock.adjust("1 second").pipe(
          Effect.andThen(offsetOf(ann, id)),
          Effect.repeat({ until: () => paused.pollUnsafe() !== undefined })
        )
        assert.strictEqual((yield* Fiber.join(paused)).offset, 25)
        const { attachment } = yield* append(ann, id, 25, bytes.subarray(25))
        assert.strictEqual(attachment?.size, 30)
        assert.isTrue(bytes.equals(yield* contentOf(ann, id)))
      })
    )

    it.effect("refuses another offset, more content than is missing, and what is not its user's", () =>
      Effect.gen(function* () {
        const [ann, bob] = [yield* person, yield* person]
        const { id } = yield* create(ann, 10)
        yield* append(ann, id, 0, Buffer.from("01234"))
        assert.strictEqual(yield* outcome(append(ann, id, 0, Buffer.from("01234"))), "upload-offset")
        assert.strictEqual(yield* outcome(append(ann, id, 6, Buffer.from("6789"))), "upload-offset")
        assert.strictEqual(yield* outcome(append(bob, id, 5, Buffer.from("56789"))), "NotFound")
        assert.strictEqual(yield* outcome(progress(bob, id)), "NotFound")
        assert.strictEqual(yield* outcome(ResumableUploads.use(({ remove }) => remove(bob, id))), "NotFound")
        assert.strictEqual(yield* offsetOf(ann, id), 5)
        yield* append(ann, id, 5, Buffer.from("56789"))
        assert.strictEqual((yield* contentOf(ann, id)).toString(), "0123456789")
        assert.strictEqual(yield* outcome(append(ann, id, 10, Buffer.from("x"))), "NotFound")
      })
    )

    it.effect("ends with content of which there is more than is missing", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const { id } = yield* create(ann, 10)
        yield* append(ann, id, 0, Buffer.from("01234"))
        const keys = yield* blobsOf(id)
        assert.strictEqual(yield* outcome(append(ann, id, 5, Buffer.from("567890"))), "TooLarge")
        assert.strictEqual(yield* outcome(progress(ann, id)), "NotFound")
        assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["NoBlob"])
      })
    )

    it.effect("ends when it comes in too many parts", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const { id } = yield* create(ann, 200)
        for (let at = 0; at < 100; at++) yield* append(ann, id, at, Buffer.from("x"))
        const keys = yield* blobsOf(id)
        assert.lengthOf(keys, 100)
        assert.strictEqual(yield* outcome(append(ann, id, 100, randomBytes(100))), "storage-full")
        assert.strictEqual(yield* outcome(progress(ann, id)), "NotFound")
        assert.deepStrictEqual(new Set(yield* Effect.forEach(keys, stored)), new Set(["NoBlob"]))
      })
    )

    it.effect(
      "is added to by one request at a time, and one whose node was killed holds it for a few seconds only",
      () =>
        Effect.gen(function* () {
          const storage = yield* ResumableUploadStorage
          const ann = yield* person
          const { id } = yield* create(ann, 10)
          const [dead, live] = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"]
          assert.notStrictEqual(yield* storage.hold(ann, id, dead), "locked")
          assert.isTrue(yield* storage.keep(id, dead, dead))
          assert.strictEqual(yield* outcome(append(ann, id, 0, Buffer.from("0123456789"))), "Locked")
          assert.strictEqual(yield* offsetOf(ann, id), 0)
          yield* aLeasePasses
          assert.notStrictEqual(yield* storage.hold(ann, id, live), "locked")
          const part = { blobId: dead, start: 0, size: 10 }
          assert.isFalse(yield* storage.keep(id, dead))
          assert.strictEqual(yield* storage.add(id, dead, [part], null), "lost")
          yield* storage.release(id, dead)
          assert.strictEqual(yield* storage.hold(ann, id, dead), "locked")
          yield* storage.release(id, live)
          yield* append(ann, id, 0, Buffer.from("0123456789"))
          assert.strictEqual((yield* contentOf(ann, id)).toString(), "0123456789")
        })
    )

    it.effect("keeps nothing of content with another checksum", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const bytes = randomBytes(6_000_000)
        const { id } = yield* create(ann, bytes.length)
        const checksumOf = (content: Uint8Array) => ({
          algorithm: "sha1" as const,
          digest: createHash("sha1").update(content).digest()
        })
        const wrong = append(ann, id, 0, bytes, checksumOf(bytes.subarray(1)))
        assert.strictEqual(yield* outcome(wrong), "ChecksumMismatch")
        const cut = Stream.concat(Stream.make(bytes.subarray(0, 10)), Stream.fail("cut"))
        const short = append(ann, id, 0, cut, checksumOf(bytes.subarray(0, 10)))
        assert.strictEqual(yield* outcome(short), "ChecksumMismatch")
        assert.strictEqual(yield* offsetOf(ann, id), 0)
        yield* append(ann, id, 0, bytes.subarray(0, 5_999_999), checksumOf(bytes.subarray(0, 5_999_999)))
        yield* append(ann, id, 5_999_999, bytes.subarray(5_999_999), checksumOf(bytes.subarray(5_999_999)))
        assert.isTrue(bytes.equals(yield* contentOf(ann, id)))
      })
    )

    it.effect("is not begun for an empty or too large file, or when there is no room for all that was begun", () =>
      Effect.gen(function* () {
        const ann = yield* person
        assert.strictEqual(yield* outcome(create(ann, 1_000_000_000_000)), "TooLarge")
        assert.strictEqual(yield* refused(create(ann, 0)), "file")
        const { limit } = yield* Attachments.use(({ use }) => use(ann))
        const begun: Array<AttachmentId> = []
        const most = 25 * 1024 * 1024
        while ((begun.length + 1) * most <= limit) begun.push((yield* create(ann, most)).id)
        assert.strictEqual(yield* outcome(create(ann, most)), "storage-full")
        const [first] = begun
        if (first !== undefined) yield* ResumableUploads.use(({ remove }) => remove(ann, first))
        assert.strictEqual(yield* outcome(create(ann, most)), "ok")
      })
    )

    it.effect("can be deleted, ends after a day, and leaves nothing in the store", () =>
      Effect.gen(function* () {
        const uploads = yield* ResumableUploads
        const ann = yield* person
        const [one, other] = [yield* create(ann, 100), yield* create(ann, 100)]
        for (const { id } of [one, other]) yield* append(ann, id, 0, randomBytes(10))
        const keys = [...(yield* blobsOf(one.id)), ...(yield* blobsOf(other.id))]
        assert.lengthOf(keys, 2)
        for (const key of keys) assert.strictEqual(yield* stored(key), "ok")
        yield* uploads.remove(ann, one.id)
        assert.strictEqual(yield* outcome(progress(ann, one.id)), "NotFound")
        assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["NoBlob", "ok"])
        yield* aDayPasses
        assert.strictEqual(yield* outcome(progress(ann, other.id)), "NotFound")
        assert.strictEqual(yield* outcome(append(ann, other.id, 10, randomBytes(90))), "NotFound")
        yield* clean
        for (const key of keys) assert.strictEqual(yield* stored(key), "NoBlob")
        assert.deepStrictEqual(yield* blobsOf(other.id), [])
        const done = yield* create(ann, 3)
        yield* append(ann, done.id, 0, Buffer.from("abc"))
        yield* uploads.remove(ann, done.id)
        assert.strictEqual(yield* outcome(progress(ann, done.id)), "NotFound")
      })
    )

    it.effect("ends with the account of its user, and leaves nothing in the store", () =>
      Effect.gen(function* () {
        const { principal } = yield* signedIn
        const { id } = yield* create(principal.userId, 100)
        yield* append(principal.userId, id, 0, randomBytes(10))
        const keys = yield* blobsOf(id)
        assert.lengthOf(keys, 1)
        yield* AccountClosing.use((accounts) => accounts.delete(principal, "correct horse"))
        yield* clean
        for (const key of keys) assert.strictEqual(yield* stored(key), "NoBlob")
      })
    )

    it.effect("ends after an hour when nothing of it has arrived, and a day after its first part", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const [empty, begun] = [yield* create(ann, 100), yield* create(ann, 100)]
        const answered = yield* append(ann, begun.id, 0, randomBytes(10))
        const ends = (yield* progress(ann, begun.id)).expiresAt
        assert.deepStrictEqual(answered.expiresAt, ends)
        const [soon, late] = [begun.expiresAt?.getTime() ?? 0, ends?.getTime() ?? 0]
        assert.isAbove(late - soon, 22 * 3_600_000)
        yield* append(ann, begun.id, 10, randomBytes(10))
        assert.deepStrictEqual((yield* progress(ann, begun.id)).expiresAt, ends)
        yield* anHourPasses
        assert.strictEqual(yield* outcome(progress(ann, empty.id)), "NotFound")
        assert.strictEqual(yield* offsetOf(ann, begun.id), 20)
      })
    )

    it.effect("one that cannot be deleted keeps no other, and is deleted later", () =>
      Effect.gen(function* () {
        const storage = yield* ResumableUploadStorage
        const ann = yield* person
        yield* clean
        const [one, other] = [yield* create(ann, 10), yield* create(ann, 10)]
        for (const { id } of [one, other]) {
          yield* append(ann, id, 0, randomBytes(5))
          yield* storage.end(ann, id)
        }
        const keys = [...(yield* blobsOf(one.id)), ...(yield* blobsOf(other.id))]
        stuck.add(keys[0] ?? "")
        yield* clean
        stuck.clear()
        assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["ok", "NoBlob"])
        yield* clean
        assert.strictEqual(yield* stored(keys[0] ?? ""), "ok")
        yield* aDayPasses
        yield* clean
        assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["NoBlob", "NoBlob"])
      })
    )

    it.effect("a request cleans up after its own upload only", () =>
      Effect.gen(function* () {
        const storage = yield* ResumableUploadStorage
        const ann = yield* person
        yield* clean
        const [ended, own] = [yield* create(ann, 10), yield* create(ann, 10)]
        yield* append(ann, ended.id, 0, randomBytes(5))
        const keys = yield* blobsOf(ended.id)
        yield* storage.end(ann, ended.id)
        yield* append(ann, own.id, 0, randomBytes(10))
        assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["ok"])
        yield* clean
        assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["NoBlob"])
      })
    )

    it.effect("leaves neither a blob nor its row of content that is refused", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const ten = Buffer.from("0123456789")
        const wrong = { algorithm: "sha1" as const, digest: createHash("sha1").update("other").digest() }
        const refusals = [
          { bytes: ten.subarray(0, 9), checksum: wrong, refusal: "ChecksumMismatch" },
          { bytes: ten, checksum: wrong, refusal: "ChecksumMismatch" },
          { bytes: Buffer.concat([ten, ten]), checksum: undefined, refusal: "TooLarge" }
        ]
        for (const { bytes, checksum, refusal } of refusals) {
          const { id } = yield* create(ann, ten.length)
          const { content, keys } = interrupted(id, bytes, Effect.void)
          assert.strictEqual(yield* outcome(append(ann, id, 0, content, checksum)), refusal)
          assert.lengthOf(keys, 1)
          assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["NoBlob"])
          assert.deepStrictEqual(yield* blobsOf(id), [])
          if (refusal === "TooLarge") continue
          yield* append(ann, id, 0, ten)
          assert.strictEqual((yield* contentOf(ann, id)).toString(), "0123456789")
        }
      })
    )

    it.effect("content of an upload that ends or is forgotten while it comes is refused, and leaves no blob", () =>
      Effect.gen(function* () {
        const storage = yield* ResumableUploadStorage
        const uploads = yield* ResumableUploads
        const ann = yield* person
        const ends = [
          uploads.remove,
          (userId: UserId, id: AttachmentId) => Effect.andThen(storage.end(userId, id), storage.forget(id))
        ]
        for (const end of ends)
          for (const size of [10, 20]) {
            const { id } = yield* create(ann, size)
            const { content, keys } = interrupted(id, randomBytes(10), end(ann, id))
            assert.strictEqual(yield* outcome(append(ann, id, 0, content)), "Locked")
            assert.strictEqual(yield* outcome(progress(ann, id)), "NotFound")
            assert.lengthOf(keys, 1)
            assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["NoBlob"])
          }
      })
    )

    it.effect("is ended by the writer that holds it only, or by its user", () =>
      Effect.gen(function* () {
        const storage = yield* ResumableUploadStorage
        const ann = yield* person
        const { id } = yield* create(ann, 10)
        const [mine, another] = [randomUUID(), randomUUID()]
        yield* storage.hold(ann, id, mine)
        assert.isFalse(yield* storage.end(ann, id, another))
        assert.strictEqual(yield* offsetOf(ann, id), 0)
        assert.isTrue(yield* storage.end(ann, id, mine))
        assert.strictEqual(yield* outcome(progress(ann, id)), "NotFound")
      })
    )

    it.effect("is refused and ends when its parts do not follow each other", () =>
      Effect.gen(function* () {
        const blobs = yield* Blobs
        const storage = yield* ResumableUploadStorage
        const ann = yield* person
        for (const parts of [
          [[4, 4]],
          [
            [0, 2],
            [1, 2]
          ]
        ] as const) {
          const { id } = yield* create(ann, 10)
          const writer = randomUUID()
          yield* storage.hold(ann, id, writer)
          for (const [start, size] of parts) {
            const blobId = randomUUID()
            yield* storage.keep(id, writer, blobId)
            yield* blobs.write(blobId, Stream.make(randomBytes(size)))
            yield* storage.add(id, writer, [{ blobId, start, size }], null)
          }
          yield* storage.release(id, writer)
          assert.strictEqual(yield* offsetOf(ann, id), 4)
          assert.strictEqual(yield* outcome(append(ann, id, 4, randomBytes(6))), "NotFound")
          assert.strictEqual(yield* outcome(progress(ann, id)), "NotFound")
        }
      })
    )

    it.effect("is refused and ends when a part is not in the store any more", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const { id } = yield* create(ann, 10)
        yield* append(ann, id, 0, randomBytes(4))
        yield* Effect.flatMap(blobsOf(id), (keys) => Blobs.use(({ remove }) => remove(keys)))
        assert.strictEqual(yield* outcome(append(ann, id, 4, randomBytes(6))), "NotFound")
        assert.strictEqual(yield* outcome(progress(ann, id)), "NotFound")
      })
    )

    it.effect("that is deleted while it is completed becomes no attachment", () =>
      Effect.gen(function* () {
        const { remove } = yield* ResumableUploads
        const ann = yield* person
        const { id } = yield* create(ann, 10)
        yield* append(ann, id, 0, randomBytes(4))
        const keys = yield* blobsOf(id)
        let deleted = "not"
        scans.during = Effect.map(outcome(remove(ann, id)), (now) => {
          deleted = now
        })
        const appended = yield* outcome(append(ann, id, 4, randomBytes(6)))
        scans.during = Effect.void
        assert.deepStrictEqual([deleted, appended], ["ok", "NotFound"])
        assert.strictEqual(yield* outcome(progress(ann, id)), "NotFound")
        assert.strictEqual(yield* outcome(remove(ann, id)), "NotFound")
        assert.deepStrictEqual(yield* Effect.forEach(keys, stored), ["NoBlob"])
      })
    )

    it.effect("has ended from the moment on when it is an attachment", () =>
      Effect.gen(function* () {
        const [storage, attachments] = [yield* ResumableUploadStorage, yield* AttachmentStorage]
        const ann = yield* person
        const limits = { user: 1000, all: null }
        const [{ id }, blobId] = [yield* create(ann, 10), randomUUID()]
        yield* attachments.begin(ann, id, blobId, limits)
        const attachment = { ...anAttachment, id, size: 10 }
        assert.strictEqual(yield* attachments.complete({ attachment, blobId, sha256: "00" }, 10, limits), "stored")
        assert.isFalse(yield* storage.end(ann, id))
      })
    )

    it.effect("is held by its writer also when it has ended, so that nobody deletes what is read", () =>
      Effect.gen(function* () {
        const storage = yield* ResumableUploadStorage
        const ann = yield* person
        const { id } = yield* create(ann, 10)
        const writer = randomUUID()
        yield* storage.hold(ann, id, writer)
        yield* storage.end(ann, id)
        yield* aLeasePasses
        assert.isFalse(yield* storage.keep(id, writer, randomUUID()))
        assert.deepStrictEqual(yield* blobsOf(id), [])
        assert.deepStrictEqual(yield* storage.ended(1, id), [])
        yield* storage.release(id, writer)
        assert.deepStrictEqual(yield* storage.ended(1, id), [id])
      })
    )

    it.effect("has a safe name, however it was called", () =>
      Effect.gen(function* () {
        const storage = yield* ResumableUploadStorage
        const ann = yield* person
        for (const name of ["../a\0b\u202e.txt", "\0", `${"é".repeat(3000)}.txt`]) {
          const { id } = yield* create(ann, 10, name)
          assert.strictEqual((yield* storage.get(ann, id))?.name, safeFileName(name))
        }
      })
    )
  })

  withLayer(layer)("the room of uploads that are under way", (it) => {
    const roomy = { user: 10_000, all: null }
    const begin = (userId: UserId, size: number, limits: StorageLimits) =>
      ResumableUploadStorage.use(({ create }) => {
        const id = AttachmentId.make(randomUUID())
        return Effect.map(create(userId, { id, size, name: "x", metadata: "" }, limits), (begun) =>
          typeof begun === "string" ? begun : "begun"
        )
      })
    const beginAttachment = (userId: UserId, limits: StorageLimits) =>
      AttachmentStorage.use((storage) => storage.begin(userId, AttachmentId.make(randomUUID()), randomUUID(), limits))

    it.effect("counts for its user, also for what is uploaded in one request, and is had by one of two", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const both = yield* Effect.all([begin(ann, 6000, roomy), begin(ann, 6000, roomy)], { concurrency: "unbounded" })
        assert.deepStrictEqual(both.toSorted(), ["begun", "full"])
        assert.strictEqual(yield* beginAttachment(ann, roomy), "begun")
        assert.strictEqual(yield* begin(ann, 4000, roomy), "begun")
        assert.strictEqual(yield* beginAttachment(ann, roomy), "full")
        assert.strictEqual(yield* beginAttachment(yield* person, roomy), "begun")
      })
    )

    it.effect("has a bounded number of files", () =>
      Effect.gen(function* () {
        const ann = yield* person
        for (let n = 0; n < 100; n++) assert.strictEqual(yield* begin(ann, 1, roomy), "begun")
        assert.strictEqual(yield* begin(ann, 1, roomy), "full")
        assert.strictEqual(yield* beginAttachment(ann, roomy), "full")
      })
    )

    it.effect("is shown to its user", () =>
      Effect.gen(function* () {
        const { use } = yield* Attachments
        const ann = yield* person
        yield* begin(ann, 70, roomy)
        const { id } = yield* create(ann, 3)
        assert.deepInclude(yield* use(ann), { files: 2, bytes: 73 })
        yield* append(ann, id, 0, Buffer.from("abc"))
        assert.deepInclude(yield* use(ann), { files: 2, bytes: 73 })
      })
    )

    it.effect("is that of at most 100 of a user", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const limits = { user: 10_000_000, all: null }
        for (let n = 0; n < 100; n++) assert.strictEqual(yield* begin(ann, 1, limits), "begun")
        assert.strictEqual(yield* begin(ann, 1, limits), "too-many")
        assert.strictEqual(yield* beginAttachment(ann, limits), "begun")
        assert.strictEqual(yield* begin(yield* person, 1, limits), "begun")
      })
    )

    it.effect("takes no part for which all files together have no room", () =>
      Effect.gen(function* () {
        const storage = yield* ResumableUploadStorage
        const ann = yield* person
        const { id } = yield* create(ann, 1000)
        const [writer, blobId] = [randomUUID(), randomUUID()]
        yield* storage.hold(ann, id, writer)
        yield* storage.keep(id, writer, blobId)
        const add = (all: number | null) => storage.add(id, writer, [{ blobId, start: 0, size: 900 }], all)
        assert.strictEqual(yield* add(899), "store-full")
        assert.strictEqual(yield* offsetOf(ann, id), 0)
        // Other tests have stored a little.
        assert.strictEqual(yield* add(1_000_000_000), "added")
        assert.strictEqual(yield* offsetOf(ann, id), 900)
        yield* storage.release(id, writer)
        yield* ResumableUploads.use(({ remove }) => remove(ann, id))
      })
    )

    it.effect("counts for all files together by what has arrived", () =>
      Effect.gen(function* () {
        const [ann, bob] = [yield* person, yield* person]
        // A test above has stored three bytes.
        const limits = { user: 100_000, all: 20_003 }
        for (let n = 0; n < 3; n++) assert.strictEqual(yield* begin(ann, 20_000, limits), "begun")
        const { id } = yield* create(ann, 10_000)
        yield* append(ann, id, 0, randomBytes(9000))
        assert.strictEqual(yield* begin(bob, 11_001, limits), "store-full")
        assert.strictEqual(yield* begin(bob, 11_000, limits), "begun")
        yield* append(ann, id, 9000, randomBytes(1000))
        assert.strictEqual(yield* begin(bob, 10_001, limits), "store-full")
        assert.strictEqual(yield* begin(bob, 10_000, limits), "begun")
        const next = yield* create(ann, 20_000)
        yield* append(ann, next.id, 0, randomBytes(10_000))
        assert.strictEqual(yield* beginAttachment(bob, limits), "store-full")
        yield* ResumableUploads.use(({ remove }) => remove(ann, next.id))
        assert.strictEqual(yield* beginAttachment(bob, limits), "begun")
      })
    )
  })
}
