import { randomBytes } from "node:crypto"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import * as DiskBlobs from "../../../src/layers/blobs/DiskBlobs.ts"
import * as S3Blobs from "../../../src/layers/blobs/S3Blobs.ts"
import { Attachments } from "../../../src/services/files/Attachments.ts"
import * as AttachmentsSql from "../../../src/services/files/AttachmentsSql.ts"
import { Avatars } from "../../../src/services/files/Avatars.ts"
import * as AvatarsSql from "../../../src/services/files/AvatarsSql.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { chat, person, post, twoOfUs } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { startS3In } from "../../support/S3.ts"
import { plainSquares } from "./Avatars.contract.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-erasure-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** The files below a directory that hold some bytes. */
const filesWith = (directory: string, bytes: Buffer) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => join(parentPath, name))
    .filter((file) => readFileSync(file).includes(bytes))

const stores = {
  "the local disk": (dir: string) =>
    DiskBlobs.layer.pipe(Layer.provide([SettingsMemory.layerMemory({ data: { dir } }), NodeServices.layer])),
  S3: (dir: string) => Layer.unwrap(Effect.map(startS3In(dir), S3Blobs.layer))
}

/** Plants bytes in files of every kind, deletes all of them, and looks for the bytes before and after. */
const plantAndDelete = Effect.fnUntraced(function* (directory: string) {
  const planted = randomBytes(32)
  const content = Buffer.concat([randomBytes(100_000), planted, randomBytes(100_000)])
  const attachments = yield* Attachments
  const avatars = yield* Avatars
  const changes = yield* MessageChanges
  const users = yield* Users
  const { a, id } = yield* twoOfUs
  const upload = attachments.upload(a, "planted", Stream.make(content))
  const [sent, discarded] = [yield* upload, yield* upload]
  const message = yield* post(id, a, { type: "file", body: "", attachments: [sent.id] })
  yield* users.update(a, { avatarUrl: yield* avatars.store(a, null, Stream.make(content)) })
  // Half of it comes, and then the client is gone.
  const cut = Stream.concat(Stream.make(content), Stream.fail("cut"))
  yield* Effect.flip(attachments.upload(yield* person, "cut", cut))
  const before = filesWith(directory, planted)
  yield* changes.delete(a, id, message.id)
  yield* attachments.discard(a, discarded.id)
  yield* users.update(a, { avatarUrl: null })
  yield* Effect.repeat(attachments.clean, { while: (more) => more })
  return { before, after: filesWith(directory, planted) }
})

for (const database of databases.slice(0, 1)) {
  describe.skipIf(database.skip)("what was deleted is found nowhere", () => {
    for (const [name, store] of Object.entries(stores))
      it.live(`in ${name}`, () =>
        Effect.gen(function* () {
          const directory = yield* temporary
          const files = Layer.merge(AttachmentsSql.layer, AvatarsSql.layer.pipe(Layer.provide(plainSquares)))
          const layer = Layer.fresh(files).pipe(
            Layer.provide(store(directory)),
            Layer.provideMerge(chat.sql),
            Layer.provideMerge(database.layer)
          )
          const { after, before } = yield* Effect.provide(plantAndDelete(directory), layer)
          assert.lengthOf(before, 4, "two attachments, and two squares of an avatar")
          assert.deepStrictEqual(after, [])
        }).pipe(Effect.scoped)
      )
  })
}
