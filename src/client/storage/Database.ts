import { Effect } from "effect"

/** Entries to write and to remove. */
export interface DatabaseChanges {
  readonly put: ReadonlyArray<readonly [key: string, value: unknown]>
  readonly remove: ReadonlyArray<string>
}

/**
 * Where a client keeps its state and its unsent messages, so that they outlive the page or the process: ordered keys with
 * values of plain JSON in which a message that waits may have files, each a `Blob`. `indexedDatabase` is one for browsers.
 * Clients with databases of one name share them.
 */
export interface Database {
  /** Names what is stored, among all databases of the origin or the machine. */
  readonly name: string
  /** Reads the entries whose keys begin with `prefix`. */
  readonly read: (prefix: string) => Promise<ReadonlyArray<readonly [key: string, value: unknown]>>
  /** Makes all changes, or none. */
  readonly write: (changes: DatabaseChanges) => Promise<void>
}

/** A database in memory, for tests and for programs that need nothing more. */
export const memoryDatabase = (name: string = crypto.randomUUID()): Database => {
  const entries = new Map<string, unknown>()
  return {
    name,
    read: async (prefix) =>
      [...entries]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key, structuredClone(value)] as const),
    write: async ({ put, remove }) => {
      const encoded = put.map(([key, value]) => [key, structuredClone(value)] as const)
      for (const key of remove) entries.delete(key)
      for (const [key, value] of encoded) entries.set(key, value)
    }
  }
}

/**
 * The form of what is stored, and of what tabs tell each other. A release that changes it raises the number, and then
 * neither reads what another release has stored nor talks to its tabs.
 */
export const format = 1

/** The beginning of the keys of a user. Another user of the same device sees none of them. */
export const prefixOf = (userId: string) => `${format}/${userId}/`

/** The key of who the user of an app's tokens is. */
export const userKey = `${format}/user`

/** Calls a storage. When that fails, the client goes on with what it has in memory, which the process may lose. */
export const stored = <A>(call: () => Promise<A>, otherwise: A): Effect.Effect<A> =>
  Effect.tryPromise({ try: call, catch: (cause) => cause }).pipe(
    Effect.catch((cause) => Effect.as(Effect.logWarning("the storage of the chat has failed", cause), otherwise))
  )

/** Removes everything that is stored of a user. */
export const erase = async (database: Database, userId: string): Promise<void> => {
  const entries = await database.read(prefixOf(userId))
  await database.write({ put: [], remove: [userKey, ...entries.map(([key]) => key)] })
}
