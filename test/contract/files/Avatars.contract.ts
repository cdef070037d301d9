import { randomUUID } from "node:crypto"
import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import type { AvatarSize } from "../../../src/domain/Avatar.ts"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import { encodeEvent } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject } from "../../../src/services/bus/Subjects.ts"
import { AccountClosing } from "../../../src/services/conversations/AccountClosing.ts"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Attachments } from "../../../src/services/files/Attachments.ts"
import { Avatars } from "../../../src/services/files/Avatars.ts"
import { Images, NoPicture } from "../../../src/services/files/Images.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { signedIn } from "../../support/Accounts.ts"
import { type Chat, groupOf, listen, outcome, person, refused, until, wholeLog } from "../../support/Chat.ts"

/** Makes squares of the bytes of a picture itself, and finds no picture in no bytes. */
export const plainSquares = Layer.succeed(
  Images,
  Images.of({
    examine: () => Effect.succeed(undefined),
    duration: () => Effect.succeed(undefined),
    squares: Effect.fnUntraced(function* (_userId, content) {
      const bytes = Buffer.concat(yield* Stream.runCollect(content))
      if (bytes.length === 0) return yield* new NoPicture({ reason: "it is empty" })
      const square = (size: AvatarSize) => {
        const made = Buffer.concat([Buffer.from(`${size} `), bytes])
        return { size, bytes: made.length, content: Stream.make(made) }
      }
      return [square(512), square(128)]
    })
  })
)

const store = (userId: UserId, text: string, conversationId: ConversationId | null = null) =>
  Avatars.use((avatars) => avatars.store(userId, conversationId, Stream.make(Buffer.from(text))))

const setMine = Effect.fnUntraced(function* (userId: UserId, text = "picture") {
  const avatarUrl = yield* store(userId, text)
  yield* Users.use((users) => users.update(userId, { avatarUrl }))
  return avatarUrl
})

const setGroup = Effect.fnUntraced(function* (userId: UserId, id: ConversationId, text = "picture") {
  const avatarUrl = yield* store(userId, text, id)
  yield* ConversationChanges.use((changes) => changes.update(userId, id, { avatarUrl }))
  return avatarUrl
})

const read = (path: string, size: AvatarSize = 512) =>
  Avatars.use((avatars) => Effect.map(avatars.read(path.split("/").at(-1) ?? "", size), String))

const clean = Attachments.use((attachments) => Effect.repeat(attachments.clean, { while: (more) => more }))

const usedBy = (userId: UserId) =>
  Attachments.use(({ use }) => Effect.map(use(userId), ({ bytes, files }) => ({ bytes, files })))

/** What the squares of a picture count. */
const counted = (text: string, files = 1) => ({ files, bytes: files * (2 * text.length + 8) })

/** The contract of Avatars with users and conversations. `anHourPasses` makes everything an hour older. */
export const avatarsContract = <E, R>(
  layer: Layer.Layer<Chat | Avatars | ConversationAdmin | R, E>,
  anHourPasses: Effect.Effect<unknown, never, R>
) => {
  withLayer(layer)("Avatars", (it) => {
    it.effect("an avatar has two squares under a path of its own, and counts for its user while it is shown", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const path = yield* setMine(ann)
        assert.match(path, /^\/v1\/avatars\/[0-9a-f-]{36}$/)
        assert.strictEqual((yield* Users.use(({ get }) => get(ann))).avatarUrl, path)
        assert.strictEqual(yield* read(path), "512 picture")
        assert.strictEqual(yield* read(path, 128), "128 picture")
        assert.strictEqual(yield* outcome(read(`/v1/avatars/${randomUUID()}`)), "NotFound")
        assert.deepStrictEqual(yield* usedBy(ann), counted("picture"))
        // An upload that nothing shows after a day is deleted.
        for (const hours of [1, 24]) {
          yield* Effect.repeat(anHourPasses, { times: hours - 1 })
          yield* clean
          assert.strictEqual(yield* read(path), "512 picture")
        }
      })
    )

    it.effect("a replaced one stays readable for a while, and counts no longer", () =>
      Effect.gen(function* () {
        const ann = yield* person
        const first = yield* setMine(ann, "first")
        const second = yield* setMine(ann, "second")
        assert.notStrictEqual(second, first)
        assert.deepStrictEqual(yield* usedBy(ann), counted("second"))
        yield* clean
        assert.strictEqual(yield* read(first), "512 first")
        yield* anHourPasses
        yield* clean
        assert.strictEqual(yield* outcome(read(first)), "NotFound")
        assert.strictEqual(yield* outcome(read(first, 128)), "NotFound")
        assert.strictEqual(yield* read(second), "512 second")
      })
    )

    it.effect("one that is removed, or replaced by a URL, is deleted with its bytes", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const ann = yield* person
        for (const avatarUrl of [null, "https://example.com/a.png"]) {
          const path = yield* setMine(ann)
          yield* users.update(ann, { avatarUrl })
          assert.deepStrictEqual(yield* usedBy(ann), { files: 0, bytes: 0 })
          yield* anHourPasses
          yield* clean
          assert.strictEqual(yield* outcome(read(path)), "NotFound")
        }
      })
    )

    it.effect("that of a group counts for who uploaded it, and its change is an event", () =>
      Effect.gen(function* () {
        const [ann, bob] = [yield* person, yield* person]
        const id = yield* groupOf(ann, bob)
        const heard = yield* listen(conversationSubject(id))
        const path = yield* setGroup(ann, id)
        assert.strictEqual((yield* Conversations.use(({ get }) => get(bob, id))).avatarUrl, path)
        yield* until(Effect.sync(() => heard.length === 1))
        const [, event] = yield* wholeLog(id)
        assert.deepInclude(event, { event: "conversation.updated", actorId: ann, data: { avatarUrl: path } })
        assert.deepStrictEqual(
          heard,
          [event].flatMap((each) => (each === undefined ? [] : [encodeEvent(each)]))
        )
        assert.deepStrictEqual(yield* usedBy(ann), counted("picture"))
        const avatarUrl = yield* store(bob, "of a member", id)
        const change = ConversationChanges.use((changes) => changes.update(bob, id, { avatarUrl }))
        assert.strictEqual(yield* outcome(change), "Forbidden")
        yield* Avatars.use((avatars) => avatars.release(avatarUrl))
        yield* anHourPasses
        yield* clean
        assert.strictEqual(yield* outcome(read(avatarUrl)), "NotFound")
        assert.deepStrictEqual(yield* usedBy(bob), { files: 0, bytes: 0 })
        assert.strictEqual(yield* read(path), "512 picture")
      })
    )

    it.effect("goes with the account and with the conversation", () =>
      Effect.gen(function* () {
        const { principal } = yield* signedIn
        const mine = yield* setMine(principal.userId)
        const ann = yield* person
        const id = yield* groupOf(ann)
        const ours = yield* setGroup(ann, id)
        yield* (yield* AccountClosing).delete(principal, "correct horse")
        yield* (yield* ConversationAdmin).delete("cli:ann", id)
        yield* anHourPasses
        yield* clean
        assert.strictEqual(yield* outcome(read(mine)), "NotFound")
        assert.strictEqual(yield* outcome(read(ours)), "NotFound")
        assert.deepStrictEqual(yield* usedBy(ann), { files: 0, bytes: 0 })
      })
    )

    it.effect("no picture is refused, and leaves nothing", () =>
      Effect.gen(function* () {
        const ann = yield* person
        assert.strictEqual(yield* refused(store(ann, "")), "file")
        assert.deepStrictEqual(yield* usedBy(ann), { files: 0, bytes: 0 })
        const cut = Stream.concat(Stream.make(Buffer.from("half")), Stream.fail("cut"))
        assert.strictEqual(yield* Effect.flip(Avatars.use((avatars) => avatars.store(ann, null, cut))), "cut")
      })
    )
  })
}
