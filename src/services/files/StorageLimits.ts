import { Effect, Stream } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { Conflict, TooLarge } from "../../domain/Problem.ts"
import { fileTooLarge, storageFull, storeFull } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"
import { Uploaders } from "./Uploaders.ts"

/** How many bytes files may have: those of one user, and all together (null for no limit). */
export interface StorageLimits {
  readonly user: number
  readonly all: number | null
}

/** How many files a user may have, since a file takes up room beyond its bytes: `most_files` in SQL. */
export const mostFiles = ({ user }: StorageLimits) => Math.max(100, Math.floor(user / 16_384))

/** Why there is no room: the user has as many files or bytes of files as are allowed, or all files together have. */
export type Full = "full" | "store-full"

/** Makes the function that gives the limits of a user by the settings. A guest never has more room than others. */
export const makeLimitsOf = Effect.gen(function* () {
  const { guestStorageBytes, storageBytes, totalStorageBytes: all = null } = (yield* Settings).limits
  const uploaders = yield* Uploaders
  const ofGuests = Math.min(guestStorageBytes, storageBytes)
  return (userId: UserId) =>
    Effect.map(uploaders.isGuest(userId), (guest): StorageLimits => ({ user: guest ? ofGuests : storageBytes, all }))
})

/** What the user is told when there is no room. */
export const refusals = { full: storageFull, "store-full": storeFull }

/** The refusal of an outcome that says that there is no room; undefined for any other outcome. */
export const refusalOf = (outcome: string): Conflict | undefined =>
  outcome === "full" || outcome === "store-full" ? refusals[outcome] : undefined

/** The content as it comes, which fails when it has more than `limit` bytes. */
export const atMost = <E>(
  content: Stream.Stream<Uint8Array, E>,
  limit: number
): Stream.Stream<Uint8Array, E | TooLarge> =>
  Stream.suspend(() => {
    let size = 0
    return Stream.mapEffect(content, (chunk) => {
      size += chunk.length
      return size > limit ? Effect.fail(fileTooLarge(limit)) : Effect.succeed(chunk)
    })
  })
