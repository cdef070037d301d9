import { randomUUID } from "node:crypto"
import { assert, layer as withLayer } from "@effect/vitest"
import { Deferred, Effect, type Layer, Stream } from "effect"
import type { Attachment } from "../../../src/domain/Attachment.ts"
import { AttachmentId, ClientMessageId, type ConversationId, type UserId } from "../../../src/domain/Ids.ts"
import type { NewMessage } from "../../../src/domain/Message.ts"
import { encodeEvent } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { AccountClosing } from "../../../src/services/conversations/AccountClosing.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { AttachmentStorage } from "../../../src/services/files/AttachmentStorage.ts"
import { Attachments } from "../../../src/services/files/Attachments.ts"
import { Blobs } from "../../../src/services/files/Blobs.ts"
import type { StorageLimits } from "../../../src/services/files/StorageLimits.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { signedIn } from "../../support/Accounts.ts"
import {
  Backstage,
  type Chat,
  groupOf,
  listen,
  outcome,
  person,
  post,
  refused,
  twoOfUs,
  until,
  wholeLog
} from "../../support/Chat.ts"
import { png } from "../../support/Files.ts"

const upload = (userId: UserId, bytes: Uint8Array = png, name = "one.png") =>
  Attachments.use((attachments) => attachments.upload(userId, name, Stream.make(bytes)))

const messageWith = (change: Partial<NewMessage>): NewMessage => ({
  clientMessageId: ClientMessageId.make(randomUUID()),
  body: "",
  type: "file",
  ...change
})

const sees = (userId: UserId, { id }: Attachment) => outcome(Attachments.use(({ get }) => get(userId, id)))

/** Whether the bytes of an attachment are still in the store. */
const stored = (blobId: string) => outcome(Blobs.use(({ read }) => read(blobId)))

const clean = Attachments.use((attachments) => Effect.repeat(attachments.clean, { while: (more) => more }))

const usedBy = (userId: UserId) =>
  Attachments.use(({ use }) => Effect.map(use(userId), ({ bytes, files }) => ({ bytes, files })))

const blobOf = (userId: UserId, { id }: Attachment) =>
  Attachments.use(({ get }) => Effect.map(get(userId, id), ({ blobId }) => blobId))

/** A message with an attachment, in a conversation. */
const sent = Effect.fnUntraced(function* (id: ConversationId, userId: UserId) {
  const attachment = yield* upload(userId)
  const blobId = yield* blobOf(userId, attachment)
  return { attachment, blobId, message: yield* post(id, userId, { attachments: [attachment.id] }) }
})

/** The contract of Attachments with messages. `aDayPasses` makes all uploads a day older. */
export const attachmentsContract = <E, R>(
  layer: Layer.Layer<Chat | AttachmentStorage | R, E>,
  aDayPasses: Effect.Effect<unknown, never, R>
) => {
  withLayer(layer)("Attachments", (it) => {
    it.effect("a file has the type of its content and a harmless name, and only its uploader sees it", () =>
      Effect.gen(function* () {
        const [ann, bob] = [yield* person, yield* person]
        const attachment = yield* upload(ann, png, "../../\u202egpj.exe")
        assert.deepInclude(attachment, { name: "gpj.exe", contentType: "image/png", size: png.length })
        const html = yield* upload(ann, Buffer.from("<html><script>alert(1)</script>"), "picture.png")
        assert.strictEqual(html.contentType, "application/octet-stream")
        assert.strictEqual(yield* sees(ann, attachment), "ok")
        assert.strictEqual(yield* sees(bob, attachment), "NotFound")
        const { read, get } = yield* Attachments
        const whole = yield* Stream.runCollect(yield* read(yield* get(ann, attachment.id), {}))
        assert.deepStrictEqual(Buffer.concat(whole), png)
        const part = yield* Stream.runCollect(
          yield* read(yield* get(ann, attachment.id), { range: { start: 1, end: 3 } })
        )
        assert.strictEqual(Buffer.concat(part).toString(), "PNG")
        assert.deepStrictEqual(yield* usedBy(ann), { files: 2, bytes: png.length + html.size })
      })
    )

    it.effect("an upload that is empty, too large, cut or interrupted leaves nothing", () =>
      Effect.gen(function* () {
        const attachments = yield* Attachments
        const ann = yield* person
        const from = <E>(content: Stream.Stream<Uint8Array, E>) => attachments.upload(ann, "x", content)
        assert.strictEqual(yield* refused(from(Stream.empty)), "file")
        const chunk = Buffer.alloc(1_048_576)
        assert.strictEqual(yield* outcome(from(Stream.forever(Stream.make(chunk)))), "TooLarge")
        const cut = Effect.flip(from(Stream.concat(Stream.make(chunk), Stream.fail("cut"))))
        assert.strictEqual(yield* cut, "cut")
        const begun = yield* Deferred.make<void>()
        const content = Stream.concat(
          Stream.fromEffect(Effect.as(Deferred.succeed(begun, undefined), chunk)),
          Stream.never
        )
        yield* Effect.raceFirst(from(content), Deferred.await(begun))
        assert.deepStrictEqual(yield* usedBy(ann), { files: 0, bytes: 0 })
        assert.strictEqual(yield* outcome(from(Stream.make(png))), "ok")
      })
    )

    it.effect("is bound to one message, in order, and is the same live, in replay and in history", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const heard = yield* listen(conversationSubject(id))
        const files = yield* Effect.replicateEffect(upload(a), 10)
        const ids = files.map((file) => file.id).reverse()
        const message = yield* post(id, a, { body: "", type: "image", attachments: ids })
        assert.deepStrictEqual(
          message.attachments.map((attachment) => attachment.id),
          ids
        )
        assert.deepStrictEqual(message.attachments, files.toReversed())
        assert.deepStrictEqual(yield* messages.get(b, id, message.id), message)
        yield* until(Effect.sync(() => heard.length === 1))
        assert.deepStrictEqual(heard, (yield* wholeLog(id)).slice(1).map(encodeEvent))
        for (const attachment of files) assert.strictEqual(yield* sees(b, attachment), "ok")
        const again = messages.send(a, id, messageWith({ attachments: ids.slice(0, 1) }))
        assert.strictEqual(yield* outcome(again), "NotFound")
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )

    it.effect("a retry is the duplicate although the attachments are bound, and another request is refused", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, id } = yield* twoOfUs
        const { id: file } = yield* upload(a)
        const message = messageWith({ attachments: [file] })
        const send = messages.send(a, id, message)
        const both = yield* Effect.all([send, send], { concurrency: "unbounded" })
        const third = yield* send
        assert.deepStrictEqual(both.map(({ duplicate }) => duplicate).toSorted(), [false, true])
        assert.deepStrictEqual(third, { ...both[0], duplicate: true })
        const other = messages.send(a, id, { ...message, body: "other" })
        assert.strictEqual(yield* outcome(other), "message-id-reused")
      })
    )

    it.effect("of two messages at once with the same attachment, one is stored and the other is refused", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, id } = yield* twoOfUs
        const other = yield* groupOf(a)
        const { id: file } = yield* upload(a)
        const send = (to: ConversationId) => outcome(messages.send(a, to, messageWith({ attachments: [file] })))
        const outcomes = yield* Effect.all([send(id), send(other)], { concurrency: "unbounded" })
        assert.deepStrictEqual(outcomes.toSorted(), ["NotFound", "ok"])
      })
    )

    it.effect("refuses what is not the sender's, does not fit the type, is given twice, or is missing", () =>
      Effect.gen(function* () {
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const [mine, theirs] = [yield* upload(a), yield* upload(b)]
        const send = (change: Partial<NewMessage>) => refused(messages.send(a, id, messageWith(change)))
        assert.strictEqual(yield* send({ attachments: [theirs.id] }), "NotFound")
        assert.strictEqual(yield* send({ attachments: [mine.id, AttachmentId.make(randomUUID())] }), "NotFound")
        assert.strictEqual(yield* send({ type: "video", attachments: [mine.id] }), "attachments")
        assert.strictEqual(yield* send({ type: "audio", attachments: [mine.id] }), "attachments")
        assert.strictEqual(yield* send({ attachments: [mine.id, mine.id] }), "attachments")
        assert.strictEqual(yield* send({ type: "image" }), "attachments")
        assert.strictEqual(yield* send({ type: "text", attachments: [mine.id] }), "body")
        assert.lengthOf(yield* wholeLog(id), 1)
        assert.strictEqual(yield* send({ type: "text", body: "look", attachments: [mine.id] }), "ok")
      })
    )

    it.effect("an attachment that is being uploaded is not ready", () =>
      Effect.gen(function* () {
        const storage = yield* AttachmentStorage
        const messages = yield* Messages
        const { a, id } = yield* twoOfUs
        const uploading = AttachmentId.make(randomUUID())
        assert.strictEqual(yield* storage.begin(a, uploading, randomUUID(), { user: 1, all: null }), "begun")
        const send = messages.send(a, id, messageWith({ attachments: [uploading] }))
        const { retryAfterMs, code } = yield* Effect.flip(send).pipe(Effect.map((error) => Object(error)))
        assert.strictEqual(code, "attachment-not-ready")
        assert.isAbove(retryAfterMs, 0)
      })
    )

    it.effect("whoever may see the message sees the file, until leaving, and nobody else", () =>
      Effect.gen(function* () {
        const members = yield* Members
        const backstage = yield* Backstage
        const [ann, bob, late, stranger] = [yield* person, yield* person, yield* person, yield* person]
        const id = yield* groupOf(ann, bob, late)
        const { attachment } = yield* sent(id, ann)
        yield* backstage.seeFrom(id, late, 3)
        assert.strictEqual(yield* sees(bob, attachment), "ok")
        assert.strictEqual(yield* sees(late, attachment), "NotFound")
        assert.strictEqual(yield* sees(stranger, attachment), "NotFound")
        const { followed, link } = yield* Attachments
        const { url } = yield* link(bob, attachment.id)
        const token = new URL(url, "http://x").searchParams.get("link") ?? ""
        assert.strictEqual(yield* outcome(link(stranger, attachment.id)), "NotFound")
        assert.strictEqual(yield* outcome(followed(attachment.id, token)), "ok")
        assert.strictEqual(yield* outcome(followed(attachment.id, token.replace(/.$/, "!"))), "NotFound")
        assert.strictEqual(yield* outcome(followed(attachment.id, token.replace(bob, ann))), "NotFound")
        assert.strictEqual(yield* outcome(followed((yield* sent(id, ann)).attachment.id, token)), "NotFound")
        yield* members.leave(bob, id)
        yield* members.leave(ann, id)
        assert.strictEqual(yield* sees(bob, attachment), "NotFound")
        assert.strictEqual(yield* sees(ann, attachment), "NotFound")
        assert.strictEqual(yield* outcome(followed(attachment.id, token)), "NotFound")
      })
    )

    it.effect("a forwarded message shares the file, which stays until the last of them is deleted", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const { a, b, id } = yield* twoOfUs
        const other = yield* groupOf(b)
        const { attachment, blobId, message } = yield* sent(id, a)
        const forwarded = yield* changes.forward(b, id, message.id, {
          conversationId: other,
          clientMessageId: ClientMessageId.make("copy")
        })
        const [copy = attachment] = forwarded.message.attachments
        assert.deepStrictEqual({ ...copy, id: attachment.id, url: attachment.url }, attachment)
        assert.strictEqual(yield* blobOf(b, copy), blobId)
        assert.strictEqual(yield* sees(a, copy), "NotFound")
        assert.deepStrictEqual(yield* usedBy(b), { files: 0, bytes: 0 })
        yield* changes.delete(a, id, message.id)
        assert.deepStrictEqual(yield* usedBy(a), { files: 0, bytes: 0 })
        assert.deepStrictEqual(yield* usedBy(b), { files: 1, bytes: attachment.size }, "who keeps it pays for it")
        assert.strictEqual(yield* sees(a, attachment), "NotFound")
        assert.strictEqual(yield* sees(b, copy), "ok")
        yield* clean
        assert.strictEqual(yield* stored(blobId), "ok")
        yield* changes.delete(b, other, forwarded.message.id)
        assert.deepStrictEqual(yield* usedBy(b), { files: 0, bytes: 0 })
        yield* clean
        assert.strictEqual(yield* stored(blobId), "NoBlob")
      })
    )

    it.effect("a deleted message has none, in history and in its events", () =>
      Effect.gen(function* () {
        const changes = yield* MessageChanges
        const messages = yield* Messages
        const { a, b, id } = yield* twoOfUs
        const { attachment, blobId, message } = yield* sent(id, a)
        yield* changes.delete(a, id, message.id)
        assert.deepStrictEqual((yield* messages.get(b, id, message.id)).attachments, [])
        assert.strictEqual(yield* sees(a, attachment), "NotFound")
        yield* clean
        assert.strictEqual(yield* stored(blobId), "NoBlob")
      })
    )

    it.effect("what was not sent within a day is deleted, and what was sent stays", () =>
      Effect.gen(function* () {
        const { a, id } = yield* twoOfUs
        const unsent = yield* upload(a)
        const unsentBlob = yield* blobOf(a, unsent)
        const kept = yield* sent(id, a)
        yield* clean
        assert.strictEqual(yield* sees(a, unsent), "ok")
        yield* aDayPasses
        yield* clean
        assert.strictEqual(yield* sees(a, unsent), "NotFound")
        assert.strictEqual(yield* stored(unsentBlob), "NoBlob")
        assert.strictEqual(yield* stored(kept.blobId), "ok")
        assert.deepStrictEqual(yield* usedBy(a), { files: 1, bytes: png.length })
      })
    )

    it.effect("closing an account deletes what was not sent, and nobody follows its links", () =>
      Effect.gen(function* () {
        const { principal } = yield* signedIn
        const { userId } = principal
        const unsent = yield* upload(userId)
        const blobId = yield* blobOf(userId, unsent)
        const { url } = yield* Attachments.use(({ link }) => link(userId, unsent.id))
        const closing = yield* AccountClosing
        yield* closing.delete(principal, "correct horse")
        yield* clean
        assert.strictEqual(yield* stored(blobId), "NoBlob")
        const token = new URL(url, "http://x").searchParams.get("link") ?? ""
        assert.strictEqual(yield* outcome(Attachments.use(({ followed }) => followed(unsent.id, token))), "NotFound")
      })
    )
  })
  withLayer(layer)("the limit of all files together", (it) => {
    const limits = { user: 1000, all: 100 }
    const begin = Effect.fnUntraced(function* (userId: UserId, within: StorageLimits = limits) {
      const { begin } = yield* AttachmentStorage
      const [id, blobId] = [AttachmentId.make(randomUUID()), randomUUID()]
      return { id, blobId, outcome: yield* begin(userId, id, blobId, within) }
    })
    /** Completes an upload of 40 bytes, of which the store has 20 more. */
    const complete = Effect.fnUntraced(function* (
      { blobId, id }: { readonly id: AttachmentId; readonly blobId: string },
      within: StorageLimits = limits
    ) {
      const { complete } = yield* AttachmentStorage
      const attachment = {
        ...{ id, name: "x", contentType: "text/plain", size: 40, width: null, height: null, durationMs: null },
        ...{ placeholder: null, url: "", thumbnails: [] }
      }
      return yield* complete({ attachment, blobId, sha256: "00" }, 60, within)
    })

    it.effect("holds for uploads at the same time, until a file is deleted from the store", () =>
      Effect.gen(function* () {
        const { drop } = yield* AttachmentStorage
        const [ann, bob] = [yield* person, yield* person]
        const [first, second] = [yield* begin(ann), yield* begin(bob)]
        assert.deepStrictEqual([first.outcome, second.outcome], ["begun", "begun"])
        const outcomes = yield* Effect.all([complete(first), complete(second)], { concurrency: "unbounded" })
        assert.deepStrictEqual(outcomes.toSorted(), ["store-full", "stored"])
        const [stored, refused] = outcomes[0] === "stored" ? [ann, bob] : [bob, ann]
        assert.deepStrictEqual(yield* usedBy(stored), { files: 1, bytes: 40 })
        assert.deepStrictEqual(yield* usedBy(refused), { files: 0, bytes: 0 })
        const kept = stored === ann ? first : second
        const third = yield* begin(refused)
        assert.strictEqual(yield* complete(third), "store-full")
        assert.isTrue(yield* drop(stored, kept.id))
        assert.strictEqual(yield* complete(third), "store-full", "the store has it still")
        yield* clean
        assert.strictEqual(yield* complete(third), "stored")
      })
    )

    it.effect("a user has a bounded number of files, however small they are", () =>
      Effect.gen(function* () {
        const few = { user: 100_000, all: null }
        const ann = yield* person
        for (let n = 0; n < 100; n++) {
          const begun = yield* begin(ann, few)
          assert.deepStrictEqual([begun.outcome, yield* complete(begun, few)], ["begun", "stored"])
        }
        const another = yield* begin(ann, { ...few, user: 10_000_000 })
        assert.strictEqual((yield* begin(ann, few)).outcome, "full")
        assert.strictEqual(yield* complete(another, few), "full")
        assert.strictEqual(yield* complete(another, { ...few, user: 10_000_000 }), "stored")
      })
    )

    it.effect("an upload that was begun again with another blob is not that of the first one any more", () =>
      Effect.gen(function* () {
        const storage = yield* AttachmentStorage
        const roomy = { user: 1000, all: null }
        const ann = yield* person
        const first = yield* begin(ann, roomy)
        assert.isTrue(yield* storage.drop(ann, first.id))
        const again = { id: first.id, blobId: randomUUID() }
        yield* storage.begin(ann, again.id, again.blobId, roomy)
        assert.isFalse(yield* storage.drop(ann, first.id, first.blobId))
        assert.strictEqual(yield* complete(first, roomy), "gone")
        assert.strictEqual(yield* complete(again, roomy), "stored")
        assert.isTrue(yield* storage.drop(ann, again.id, again.blobId))
      })
    )
  })
}
