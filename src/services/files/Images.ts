import { Context, Effect, Layer, Schema, type Scope, type Stream } from "effect"
import type { ThumbnailSize } from "../../domain/Attachment.ts"
import type { AvatarSize } from "../../domain/Avatar.ts"
import type { UserId } from "../../domain/Ids.ts"
import type { RateLimited, Unavailable } from "../../domain/Problem.ts"

/** The content is no picture that can be decoded within the limits. */
export class NoPicture extends Schema.TaggedError<NoPicture>()("NoPicture", { reason: Schema.String }) {}

/** What a picture looks like, upright. The content of the thumbnails is there until the scope closes. */
export interface Picture {
  readonly width: number
  readonly height: number
  /** A thumbhash in Base64. */
  readonly placeholder: string
  readonly thumbnails: ReadonlyArray<{
    readonly size: ThumbnailSize
    readonly width: number
    readonly height: number
    readonly bytes: number
    readonly content: Stream.Stream<Uint8Array, Unavailable>
  }>
}

/** The middle of a picture as a square. The content is there until the scope closes. */
interface Square {
  readonly size: AvatarSize
  readonly bytes: number
  readonly content: Stream.Stream<Uint8Array, Unavailable>
}

/** Reads pictures, sounds and videos, apart from the service: a decoder that crashes ends nothing but its own work. */
export class Images extends Context.Service<
  Images,
  {
    /**
     * Decodes a picture and makes its thumbnails, as WebP without metadata. Undefined where nothing can decode pictures.
     * `NoPicture` for content that is damaged, has too many pixels, takes too long, or crashes the decoder. The users take
     * turns: `RateLimited` when too many pictures of the user wait, and `Unavailable` when too many wait in total.
     */
    readonly examine: <E>(
      userId: UserId,
      content: Stream.Stream<Uint8Array, E>
    ) => Effect.Effect<Picture | undefined, E | NoPicture | RateLimited | Unavailable, Scope.Scope>
    /**
     * How long a sound or a video is, in milliseconds, as the file says. Undefined where nothing can read that, and for a
     * file that does not say it, is damaged, takes too long, or crashes the process.
     */
    readonly duration: <E>(
      userId: UserId,
      content: Stream.Stream<Uint8Array, E>
    ) => Effect.Effect<number | undefined, E | RateLimited | Unavailable, Scope.Scope>
    /** Makes the squares of an avatar, upright, as WebP without metadata; else it is as `examine`. */
    readonly squares: <E>(
      userId: UserId,
      content: Stream.Stream<Uint8Array, E>
    ) => Effect.Effect<ReadonlyArray<Square> | undefined, E | NoPicture | RateLimited | Unavailable, Scope.Scope>
  }
>()("chat/services/Images") {
  /** Decodes nothing. */
  static readonly layerNone = Layer.succeed(
    Images,
    Images.of({
      examine: () => Effect.succeed(undefined),
      duration: () => Effect.succeed(undefined),
      squares: () => Effect.succeed(undefined)
    })
  )
}
