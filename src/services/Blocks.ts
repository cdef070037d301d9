import { Clock, Context, Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import type { Block } from "../domain/Block.ts"
import { UserId } from "../domain/Ids.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import { type InvalidRequest, invalid, type NotFound, type Unavailable } from "../domain/Problem.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { noUser, pageOf } from "./ConversationRows.ts"
import { Memory, type UserRow } from "./Memory.ts"
import { checkLimit, cursorOf, Millis } from "./Paging.ts"
import { Settings } from "./Settings.ts"
import { isRetryable, orUnavailable } from "./Sql.ts"
import { toUser } from "./Users.ts"

const notMyself = invalid("userId", "must not be yourself")

const cursor = cursorOf(Schema.Struct({ at: Millis, id: UserId }))

type Row = Pick<UserRow, "id" | "username" | "displayName" | "avatarUrl" | "createdAt"> & { readonly blockedAt: Date }

const toPage = (rows: ReadonlyArray<Row>, limit: number): Page<Block> =>
  pageOf(
    rows,
    limit,
    rows.slice(0, limit).map((row) => ({ user: toUser(row), createdAt: row.blockedAt.toISOString() })),
    ({ blockedAt, id }) => cursor.encode({ at: blockedAt.getTime(), id })
  )

/** Whom users have blocked: from those they get no messages in a DM, and are added to no group by them. */
export class Blocks extends Context.Service<
  Blocks,
  {
    /** From now on no message of `otherId` gets into the DM of the two. What is there stays. */
    readonly add: (userId: UserId, otherId: UserId) => Effect.Effect<void, InvalidRequest | NotFound | Unavailable>
    readonly remove: (userId: UserId, otherId: UserId) => Effect.Effect<void, Unavailable>
    /** The latest first. */
    readonly list: (userId: UserId, page: PageRequest) => Effect.Effect<Page<Block>, InvalidRequest | Unavailable>
  }
>()("chat/services/Blocks") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(
    Blocks,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { limits } = yield* Settings

      const set = Effect.fnUntraced(function* (userId: UserId, otherId: UserId, blocked: boolean) {
        const [row] = yield* sql<{ outcome: "changed" | "unchanged" | "no-user" }>`
          SELECT set_block(${userId}::uuid, ${otherId}::uuid, ${blocked}::boolean) AS outcome`.pipe(
          Effect.retry({ while: isRetryable, times: 2 })
        )
        return row?.outcome
      })

      return Blocks.of({
        add: Effect.fn("Blocks.add")(function* (userId, otherId) {
          if (userId === otherId) return yield* notMyself
          if ((yield* set(userId, otherId, true)) === "no-user") return yield* noUser
        }, orUnavailable),
        remove: Effect.fn("Blocks.remove")(function* (userId, otherId) {
          yield* set(userId, otherId, false)
        }, orUnavailable),
        list: Effect.fn("Blocks.list")(function* (userId, page) {
          yield* checkLimit(page, limits.pageSize)
          const after = page.cursor === undefined ? undefined : yield* cursor.decode(page.cursor)
          const below =
            after === undefined
              ? sql``
              : sql`AND (b.created_at, b.blocked_id) < (${new Date(after.at)}::timestamptz, ${after.id}::uuid)`
          const rows = yield* sql<Row>`
            SELECT u.id, u.username, u.display_name, u.avatar_url, u.created_at, b.created_at AS blocked_at
            FROM blocks b JOIN users u ON u.id = b.blocked_id
            WHERE b.user_id = ${userId}::uuid ${below}
            ORDER BY b.created_at DESC, b.blocked_id DESC LIMIT ${page.limit + 1}`
          return toPage(rows, page.limit)
        }, orUnavailable)
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(
    Blocks,
    Effect.gen(function* () {
      const memory = yield* Memory
      const { nextUserSeq } = yield* makeChangesMemory
      const { limits } = yield* Settings
      const mine = (userId: UserId) => memory.blocks.get(userId) ?? new Map<UserId, Date>()
      return Blocks.of({
        add: Effect.fnUntraced(function* (userId, otherId) {
          if (userId === otherId) return yield* notMyself
          if (memory.users.get(otherId)?.deletedAt !== null) return yield* noUser
          if (mine(userId).has(otherId)) return
          memory.blocks.set(userId, mine(userId).set(otherId, new Date(yield* Clock.currentTimeMillis)))
          nextUserSeq(userId)
        }),
        remove: (userId, otherId) =>
          Effect.sync(() => {
            if (mine(userId).delete(otherId)) nextUserSeq(userId)
          }),
        list: Effect.fnUntraced(function* (userId, page) {
          yield* checkLimit(page, limits.pageSize)
          const after = page.cursor === undefined ? undefined : yield* cursor.decode(page.cursor)
          const inOrder = (a: { at: number; id: string }, b: { at: number; id: string }) =>
            b.at - a.at || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)
          const place = ({ blockedAt, id }: Row) => ({ at: blockedAt.getTime(), id })
          const rows = [...mine(userId)]
            .flatMap(([id, blockedAt]) => {
              const user = memory.users.get(id)
              return user === undefined ? [] : [{ ...user, blockedAt }]
            })
            .filter((row) => after === undefined || inOrder(after, place(row)) < 0)
            .sort((a, b) => inOrder(place(a), place(b)))
          return toPage(rows, page.limit)
        })
      })
    })
  )
}
