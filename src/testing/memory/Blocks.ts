import { Clock, Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { noUser } from "../../domain/Refusals.ts"
import {
  type BlockRow,
  Blocks,
  blockCursor,
  makeHidePresence,
  notMyself,
  toBlocks
} from "../../services/conversations/Blocks.ts"
import { checkLimit } from "../../services/platform/Paging.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { makeChangesMemory } from "./Changes.ts"
import { Memory } from "./State.ts"

type Position = { readonly at: number; readonly id: string }

const positionOf = ({ blockedAt, id }: BlockRow): Position => ({ at: blockedAt.getTime(), id })

const newestFirst = (a: Position, b: Position) => {
  if (a.at !== b.at) return b.at - a.at
  if (a.id === b.id) return 0
  return a.id < b.id ? 1 : -1
}

/** Blocks in `Memory`. */
export const layerMemory = Layer.effect(
  Blocks,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { nextUserSeq } = yield* makeChangesMemory
    const { limits } = yield* Settings
    const hidePresence = yield* makeHidePresence
    const blocksOf = (userId: UserId) => memory.blocks.get(userId) ?? new Map<UserId, Date>()
    return Blocks.of({
      add: Effect.fnUntraced(function* (userId, otherId) {
        if (userId === otherId) return yield* notMyself
        if (memory.users.get(otherId)?.deletedAt !== null) return yield* noUser
        if (blocksOf(userId).has(otherId)) return
        memory.blocks.set(userId, blocksOf(userId).set(otherId, new Date(yield* Clock.currentTimeMillis)))
        nextUserSeq(userId)
        yield* hidePresence(userId, otherId)
      }),
      remove: (userId, otherId) =>
        Effect.sync(() => {
          if (blocksOf(userId).delete(otherId)) nextUserSeq(userId)
        }),
      list: Effect.fnUntraced(function* (userId, page) {
        yield* checkLimit(page, limits.pageSize)
        const after = page.cursor === undefined ? undefined : yield* blockCursor.decode(page.cursor)
        const rows = [...blocksOf(userId)]
          .flatMap(([id, blockedAt]) => {
            const user = memory.users.get(id)
            return user === undefined ? [] : [{ ...user, blockedAt }]
          })
          .filter((row) => after === undefined || newestFirst(after, positionOf(row)) < 0)
          .sort((a, b) => newestFirst(positionOf(a), positionOf(b)))
        return toBlocks(rows, page.limit)
      })
    })
  })
)
