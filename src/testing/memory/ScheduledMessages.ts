import { Clock, Duration, Effect, Layer } from "effect"
import type { ScheduledMessageId, UserId } from "../../domain/Ids.ts"
import {
  type NewScheduledRow,
  ScheduledMessageStorage,
  ScheduledMessages,
  type ScheduledRow,
  scheduledLimit,
  scheduledProblems
} from "../../services/messages/ScheduledMessages.ts"
import { membership } from "./Log.ts"
import { checkNotBlocked, Memory } from "./State.ts"

const longestWaitMs = Duration.toMillis("365 days")
const leaseMs = Duration.toMillis(ScheduledMessageStorage.lease)

const inOrder = (a: ScheduledRow, b: ScheduledRow) =>
  a.sendAt.getTime() - b.sendAt.getTime() || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

const checkTime = (sendAt: Date, now: number) =>
  sendAt.getTime() <= now
    ? Effect.fail(scheduledProblems["too-early"])
    : sendAt.getTime() > now + longestWaitMs
      ? Effect.fail(scheduledProblems["too-late"])
      : Effect.void

const isSameRequest = (...rows: readonly [NewScheduledRow, NewScheduledRow]) => {
  const [one, other] = rows.map(({ content, conversationId, sendAt }) =>
    JSON.stringify([content, conversationId, sendAt])
  )
  return one === other
}

const storage = Layer.effect(
  ScheduledMessageStorage,
  Effect.map(Memory, (memory) => {
    const { scheduledMessages: rows } = memory
    const find = (userId: UserId, id: ScheduledMessageId) => {
      const row = rows.get(id)
      return row?.userId === userId ? row : undefined
    }
    const all = () => Array.from(rows.values()).sort(inOrder)
    return ScheduledMessageStorage.of({
      add: Effect.fnUntraced(function* (row) {
        const known =
          row.key === null ? undefined : all().find(({ key, userId }) => key === row.key && userId === row.userId)
        if (known !== undefined) return isSameRequest(known, row) ? known.id : yield* scheduledProblems["key-reused"]
        const { conversation } = yield* membership(memory.conversations, row.userId, row.conversationId)
        yield* checkNotBlocked(memory, conversation, row.userId)
        const now = yield* Clock.currentTimeMillis
        yield* checkTime(row.sendAt, now)
        if (all().filter(({ userId }) => userId === row.userId).length >= scheduledLimit)
          return yield* scheduledProblems["too-many"]
        rows.set(row.id, { ...row, createdAt: new Date(now), claimedUntil: null, failure: null })
        return row.id
      }),
      find: (userId, id) => Effect.sync(() => find(userId, id)),
      list: (userId, after, limit) =>
        Effect.sync(() =>
          all()
            .filter((row) => row.userId === userId)
            .filter(({ id, sendAt }) => {
              const later = sendAt.getTime() - (after?.at ?? Number.NEGATIVE_INFINITY)
              return later > 0 || (later === 0 && id > (after?.id ?? ""))
            })
            .slice(0, limit)
        ),
      change: Effect.fnUntraced(function* (userId, id, content, sendAt) {
        const row = find(userId, id)
        if (row === undefined) return yield* scheduledProblems["not-found"]
        if (row.claimedUntil !== null) return yield* scheduledProblems.sending
        const conversation = memory.conversations.get(row.conversationId)
        if (conversation !== undefined) yield* checkNotBlocked(memory, conversation, userId)
        const at = sendAt ?? row.sendAt
        yield* checkTime(at, yield* Clock.currentTimeMillis)
        rows.set(id, { ...row, content: { ...row.content, ...content }, sendAt: at, failure: null })
      }),
      cancel: (userId, id) => Effect.sync(() => find(userId, id)?.claimedUntil === null && rows.delete(id)),
      claim: (limit) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const claimed = all()
            .filter(({ claimedUntil, failure, sendAt }) => {
              const isFree = claimedUntil === null || claimedUntil.getTime() < now
              return failure === null && isFree && sendAt.getTime() <= now
            })
            .slice(0, limit)
          for (const row of claimed) rows.set(row.id, { ...row, claimedUntil: new Date(now + leaseMs) })
          return claimed
        }),
      settle: (id, failure) =>
        Effect.sync(() => {
          const row = rows.get(id)
          if (failure === null) rows.delete(id)
          else if (row !== undefined) rows.set(id, { ...row, failure, claimedUntil: null })
        })
    })
  })
)

/** Scheduled messages in memory, next to the conversations in `Memory`. */
export const layerMemory = ScheduledMessages.layerNoDeps.pipe(Layer.provide(storage))
