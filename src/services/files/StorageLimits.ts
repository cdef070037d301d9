import { Effect } from "effect"
import type { Conflict } from "../../domain/Problem.ts"
import { storageFull, storeFull } from "../../domain/Refusals.ts"
import { Settings } from "../platform/Settings.ts"

/** How many bytes files may have: those of one user, and all together (null for no limit). */
export interface StorageLimits {
  readonly user: number
  readonly all: number | null
}

/** How many files a user may have, since a file takes up room beyond its bytes: `most_files` in SQL. */
export const mostFiles = ({ user }: StorageLimits) => Math.max(100, Math.floor(user / 16_384))

/** Why there is no room: the user has as many files or bytes of files as are allowed, or all files together have. */
export type Full = "full" | "store-full"

/** The limits of the settings. */
export const storageLimits = Effect.map(
  Settings,
  ({ limits }): StorageLimits => ({ user: limits.storageBytes, all: limits.totalStorageBytes ?? null })
)

const refusals = { full: storageFull, "store-full": storeFull }

/** The refusal of an outcome that says that there is no room; undefined for any other outcome. */
export const refusalOf = (outcome: string): Conflict | undefined =>
  outcome === "full" || outcome === "store-full" ? refusals[outcome] : undefined
