import { Cause, Effect, Option, Stream } from "effect"

/** A part of an upload: a blob with the bytes from `start` on. */
export interface Part {
  readonly blobId: string
  readonly start: number
  readonly size: number
}

/**
 * Cuts content as it comes, without holding more of it than a chunk. Content that fails, or sends nothing for `idleMs`, ends
 * there. The content lives as long as the scope.
 */
export const makeParts = Effect.fnUntraced(function* <E>(content: Stream.Stream<Uint8Array, E>, idleMs: number) {
  const pull = yield* Stream.toPull(content)
  let chunk: Uint8Array = new Uint8Array()
  let end: "whole" | "cut" | undefined

  const read = Effect.timeoutOption(pull, idleMs).pipe(
    Effect.exit,
    Effect.flatMap((exit) =>
      Effect.sync(() => {
        if (exit._tag === "Success" && Option.isSome(exit.value)) chunk = Buffer.concat(exit.value.value)
        else end = exit._tag === "Failure" && exit.cause.reasons.every(isDone) ? "whole" : "cut"
      })
    )
  )

  /** Whether there is more content. */
  const more: Effect.Effect<boolean> = Effect.suspend(() => {
    if (chunk.length > 0) return Effect.succeed(true)
    return end === undefined ? Effect.andThen(read, more) : Effect.succeed(false)
  })

  return {
    more,
    /** Whether the content has ended by itself. */
    isWhole: () => end === "whole",
    /** The next part of the content, of at most so many bytes. */
    next: (size: number): Stream.Stream<Uint8Array> => {
      let left = size
      const take = Effect.flatMap(more, (isThere) => {
        if (!isThere || left === 0) return Cause.done()
        const taken = chunk.subarray(0, left)
        chunk = chunk.subarray(taken.length)
        left -= taken.length
        return Effect.succeed([taken] as const)
      })
      return Stream.fromPull(Effect.succeed(Effect.suspend(() => (left === 0 ? Cause.done() : take))))
    }
  }
})

const isDone = (reason: Cause.Reason<unknown>) => Cause.isFailReason(reason) && Cause.isDone(reason.error)
