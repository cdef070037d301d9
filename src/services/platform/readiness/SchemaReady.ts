import { Context } from "effect"

/** How far the database was migrated when this node started. */
export interface MigrationState {
  /** The last migration of the tables that has run, such as `5_nodes`; null when nothing migrated, as in a test. */
  readonly latest: string | null
  /**
   * Migrations that this release does not know, because a newer release ran them. It keeps working, since migrations
   * expand before they contract.
   */
  readonly newer: ReadonlyArray<string>
}

/** Provided by the migrations, so that no service starts on a database without its schema. */
export const SchemaReady = Context.Reference<MigrationState>("chat/services/SchemaReady", {
  defaultValue: () => ({ latest: null, newer: [] })
})
