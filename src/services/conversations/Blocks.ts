import { Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { Block } from "../../domain/Block.ts"
import { UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import { type InvalidRequest, invalid, type NotFound, type Unavailable } from "../../domain/Problem.ts"
import { noUser } from "../../domain/Refusals.ts"
import { contactsChanged, PubSub } from "../bus/PubSub.ts"
import { presenceSubject } from "../bus/Subjects.ts"
import { toUser } from "../identity/Users.ts"
import { refuse } from "../log/Changes.ts"
import { checkLimit, cursorOf, Millis, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { type ProfileRow, profileColumns } from "./ConversationRows.ts"

/** The refusal of a user who blocks oneself. */
export const notMyself = invalid("userId", "must not be yourself")

/** The cursor of the list of blocks, which has the newest first. */
export const blockCursor = cursorOf(Schema.Struct({ at: Millis, id: UserId }))

/** A blocked user. */
export interface BlockRow extends ProfileRow {
  readonly blockedAt: Date
}

/** A page of blocks from rows that were read with one more than the limit. */
export const toBlocks = (rows: ReadonlyArray<BlockRow>, limit: number): Page<Block> =>
  pageOf(
    rows,
    limit,
    rows.slice(0, limit).map((row) => ({ user: toUser(row), createdAt: row.blockedAt.toISOString() })),
    ({ blockedAt, id }) => blockCursor.encode({ at: blockedAt.getTime(), id })
  )

/**
 * Makes a function that stops two users from watching each other's presence, for as long as there is a block between
 * them.
 */
export const makeHidePresence = Effect.map(
  PubSub,
  (pubsub) =>
    (...userIds: readonly [UserId, UserId]) =>
      Effect.forEach(userIds, (id) => pubsub.publish(presenceSubject(id), [contactsChanged]), { discard: true })
)

/**
 * The users whom a user has blocked. A blocked user can neither change anything in their DM nor open it, nor add the
 * one who blocks to a group. The blocked user's typing and markers in the DM do not reach the one who blocks, and
 * neither of the two sees the other's presence.
 */
export class Blocks extends Context.Service<
  Blocks,
  {
    /**
     * Blocks a user: from now on `otherId` can change nothing in their DM. Earlier messages stay. Repeating it is safe.
     * `NotFound` for an unknown user, `InvalidRequest` for oneself.
     */
    readonly add: (userId: UserId, otherId: UserId) => Effect.Effect<void, InvalidRequest | NotFound | Unavailable>
    /** Ends a block. Repeating it is safe, and so is removing a block that never was. */
    readonly remove: (userId: UserId, otherId: UserId) => Effect.Effect<void, Unavailable>
    /**
     * Reads a page of the user's blocks, the newest first. `InvalidRequest` for a limit beyond the setting and for a
     * cursor of another list.
     */
    readonly list: (userId: UserId, page: PageRequest) => Effect.Effect<Page<Block>, InvalidRequest | Unavailable>
  }
>()("chat/services/Blocks") {
  /** The implementation on PostgreSQL. */
  static readonly layer = Layer.effect(
    Blocks,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { limits } = yield* Settings

      const hidePresence = yield* makeHidePresence
      const set = Effect.fnUntraced(function* (userId: UserId, otherId: UserId, blocked: boolean) {
        const [row] = yield* sql<{ outcome: "changed" | "unchanged" | "no-user" }>`
          SELECT set_block(${userId}::uuid, ${otherId}::uuid, ${blocked}::boolean) AS outcome`.pipe(retryDeadlocks)
        return row?.outcome
      })

      return Blocks.of({
        add: Effect.fn("Blocks.add")(function* (userId, otherId) {
          if (userId === otherId) return yield* notMyself
          const outcome = yield* set(userId, otherId, true)
          yield* refuse(outcome, { "no-user": noUser })
          if (outcome === "changed") yield* hidePresence(userId, otherId)
        }, orUnavailable),
        remove: Effect.fn("Blocks.remove")(function* (userId, otherId) {
          yield* set(userId, otherId, false)
        }, orUnavailable),
        list: Effect.fn("Blocks.list")(function* (userId, page) {
          yield* checkLimit(page, limits.pageSize)
          const after = page.cursor === undefined ? undefined : yield* blockCursor.decode(page.cursor)
          const below =
            after === undefined
              ? sql``
              : sql`AND (b.created_at, b.blocked_id) < (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`
          const rows = yield* sql<BlockRow>`
            SELECT ${sql.literal(profileColumns)}, b.created_at AS blocked_at
            FROM (
              SELECT * FROM blocks b WHERE b.user_id = ${userId}::uuid ${below}
              ORDER BY b.created_at DESC, b.blocked_id DESC LIMIT ${page.limit + 1}
            ) b CROSS JOIN LATERAL (SELECT * FROM users x WHERE x.id = b.blocked_id LIMIT 1) u
            ORDER BY b.created_at DESC, b.blocked_id DESC`
          return toBlocks(rows, page.limit)
        }, orUnavailable)
      })
    })
  )
}
