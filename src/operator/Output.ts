import { userInfo } from "node:os"
import { Console, Effect, Option, Stream } from "effect"
import { Flag } from "effect/cli"
import type { Page } from "../domain/Page.ts"
import type { AuditActor } from "../services/admin/Audit.ts"
import { Settings } from "../services/platform/Settings.ts"

/** The user of the operating system. A container may run as a user without a name. */
const osUser = Effect.sync(() => {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`
  }
})

/** The actor of the audit log who runs the command. */
export const currentActor: Effect.Effect<AuditActor> = Effect.map(osUser, (user): AuditActor => `cli:${user}`)

/** Prints one JSON object in a line. */
export const print = (value: unknown) => Console.log(JSON.stringify(value))

/** Waits until the reader of the output has closed it, as `head` does after some lines. */
const outputClosed = Effect.callback<void>((resume) => {
  const { stdout } = process
  const onError = (error: NodeJS.ErrnoException) => resume(error.code === "EPIPE" ? Effect.void : Effect.die(error))
  stdout.on("error", onError)
  return Effect.sync(() => stdout.off("error", onError))
})

/** Prints each item in a line, until the reader has enough. */
export const printEach = <A, E, R>(items: Stream.Stream<A, E, R>) =>
  Effect.raceFirst(Stream.runForEach(items, print), outputClosed)

/** How many items a command prints at most. */
export const most = Flag.Int("most").pipe(
  Flag.withMetavar("<number>"),
  Flag.withDescription("Print at most so many"),
  Flag.withDefault(1000)
)

/** Prints the first `most` items of a list, page by page. */
export const printAll = Effect.fnUntraced(function* <A, E, R>(
  most: number,
  list: (page: { readonly limit: number; readonly cursor: string | undefined }) => Effect.Effect<Page<A>, E, R>
) {
  const { pageSize } = (yield* Settings).limits
  const items = Stream.paginate<string | undefined, A, E, R>(undefined, (cursor) =>
    Effect.map(list({ limit: pageSize, cursor }), ({ items, nextCursor }) => [
      items,
      nextCursor === undefined ? Option.none() : Option.some(nextCursor)
    ])
  )
  yield* printEach(Stream.take(items, most))
})
