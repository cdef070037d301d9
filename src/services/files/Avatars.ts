import { randomUUID } from "node:crypto"
import { Context, Effect, Layer, Stream } from "effect"
import { type AvatarSize, avatarPath } from "../../domain/Avatar.ts"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import {
  type Conflict,
  type InvalidRequest,
  invalid,
  type NotFound,
  type RateLimited,
  type TooLarge,
  Unavailable
} from "../../domain/Problem.ts"
import { noAvatar } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"
import { avatarKey, Blobs } from "./Blobs.ts"
import { Images, NoPicture } from "./Images.ts"
import { makeScan } from "./Scanner.ts"
import { atMost, type Full, makeLimitsOf, refusalOf, type StorageLimits } from "./StorageLimits.ts"
import { UploadLimits } from "./UploadLimits.ts"

/** An avatar that a user has uploaded: of the user, or of the conversation if it names one. */
export interface AvatarRow {
  readonly id: string
  readonly ownerId: UserId
  readonly conversationId: ConversationId | null
}

/**
 * Where the rows of avatars are kept, and those of their blobs. What decides is the `avatarUrl` of the user or of the
 * conversation: when it has become another one, the avatar no longer counts for its owner, and its blob is found by
 * `unused` of `AttachmentStorage` at once if there is none now, and half an hour later if there is another one.
 */
export class AvatarStorage extends Context.Service<
  AvatarStorage,
  {
    /** Begins an upload, unless there is no room already. */
    readonly begin: (avatar: AvatarRow, limits: StorageLimits) => Effect.Effect<"begun" | Full, Unavailable>
    /** Completes an upload, unless there is no room for it. */
    readonly complete: (id: string, bytes: number, limits: StorageLimits) => Effect.Effect<"stored" | Full, Unavailable>
    /** Makes the cleaning look soon whether an avatar is shown. */
    readonly release: (id: string) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/AvatarStorage") {}

/**
 * Pictures of users and groups. Each upload has a path of its own, under which everybody may read it for as long as a user
 * or a group has it as `avatarUrl`, and for a while after.
 */
export class Avatars extends Context.Service<
  Avatars,
  {
    /**
     * Stores the squares that are made of a picture, and returns the path to put into `avatarUrl`. `InvalidRequest` for
     * what cannot be decoded or what the scanner refuses, `TooLarge` for more than `limits.attachment_bytes`, `Conflict`
     * ("storage-full") when the files of the user, or all, would have more bytes than they may, `RateLimited` for too many
     * uploads at a time. What is never shown is deleted.
     */
    readonly store: <E>(
      userId: UserId,
      conversationId: ConversationId | null,
      content: Stream.Stream<Uint8Array, E>
    ) => Effect.Effect<string, E | InvalidRequest | TooLarge | Conflict | RateLimited | Unavailable>
    /** Deletes what `store` has stored under a path within minutes, unless it is shown. It may be repeated. */
    readonly release: (path: string) => Effect.Effect<void, Unavailable>
    /** The bytes of a square, a WebP; `NotFound` when there is none. */
    readonly read: (id: string, size: AvatarSize) => Effect.Effect<Uint8Array, NotFound | Unavailable>
  }
>()("chat/services/Avatars") {
  /** The rules, on any `AvatarStorage` and any `Blobs`. */
  static readonly layerNoDeps = Layer.effect(
    Avatars,
    Effect.gen(function* () {
      const storage = yield* AvatarStorage
      const blobs = yield* Blobs
      const images = yield* Images
      const uploadLimits = yield* UploadLimits
      const scan = yield* makeScan
      const limitsOf = yield* makeLimitsOf
      const { attachmentBytes } = (yield* Settings).limits

      /** The picture as it was uploaded, which the store has until it is scanned and the squares are made. */
      const original = (id: string) => Stream.unwrap(Effect.catchTag(blobs.read(id), "NoBlob", Effect.die))

      /** Stores the squares, and returns how many bytes they have. */
      const storeSquares = Effect.fnUntraced(
        function* <E>(ownerId: UserId, id: string, content: Stream.Stream<Uint8Array, E>) {
          yield* blobs.write(id, content)
          yield* Effect.addFinalizer(() => Effect.ignore(blobs.remove([id])))
          yield* scan(original(id))
          const squares = yield* images.squares(ownerId, original(id))
          if (squares === undefined) return yield* new Unavailable({ detail: "Nothing decodes pictures here" })
          yield* Effect.forEach(squares, ({ content, size }) => blobs.write(avatarKey(id, size), content))
          return squares.reduce((sum, { bytes }) => sum + bytes, 0)
        },
        Effect.scoped,
        Effect.mapError((error) =>
          error instanceof NoPicture ? invalid("file", `cannot be decoded: ${error.reason}`) : error
        )
      )

      return Avatars.of({
        store: Effect.fn("Avatars.store")(function* <E>(
          ownerId: UserId,
          conversationId: ConversationId | null,
          content: Stream.Stream<Uint8Array, E>
        ) {
          const id = randomUUID()
          const upload = Effect.gen(function* () {
            const limits = yield* limitsOf(ownerId)
            const refusal = refusalOf(yield* storage.begin({ id, ownerId, conversationId }, limits))
            if (refusal !== undefined) return yield* refusal
            // When this fails too, the cleaning finds it a day later.
            return yield* Effect.onError(
              Effect.gen(function* () {
                const size = yield* storeSquares(ownerId, id, atMost(content, attachmentBytes))
                const refusal = refusalOf(yield* storage.complete(id, size, limits))
                return refusal === undefined ? { size } : yield* refusal
              }),
              () => Effect.ignore(storage.release(id))
            )
          })
          yield* uploadLimits.run("avatar", ownerId, upload)
          return avatarPath(id)
        }),
        release: Effect.fn("Avatars.release")((path) => storage.release(path.slice(avatarPath("").length))),
        read: Effect.fn("Avatars.read")(
          function* (id, size) {
            return Buffer.concat(yield* Stream.runCollect(yield* blobs.read(avatarKey(id, size))))
          },
          Effect.catchTag("NoBlob", () => Effect.fail(noAvatar))
        )
      })
    })
  )
}
