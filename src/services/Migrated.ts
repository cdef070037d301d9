import { Context } from "effect"

/** How far the database was brought when this node started. */
export interface MigrationState {
  /** The last migration that has run, as `9_changes`; null where nobody migrated, as in a test. */
  readonly latest: string | null
  /** Those that this release does not know: a newer one was here. It works on, since migrations expand first. */
  readonly newer: ReadonlyArray<string>
}

export const Migrated = Context.Reference<MigrationState>("chat/services/Migrated", {
  defaultValue: () => ({ latest: null, newer: [] })
})
