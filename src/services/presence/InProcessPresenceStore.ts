import { Clock, Effect, Layer } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { applyReport, observe, type PresenceRecord } from "./PresenceRecord.ts"
import { PresenceStore } from "./PresenceStore.ts"

/** Keeps presence in the memory of this process, for a node without Redis: other nodes do not see it. */
export const layer = Layer.sync(PresenceStore, () => {
  const records = new Map<UserId, PresenceRecord>()
  const recordOf = (userId: UserId) => {
    const record = records.get(userId) ?? { nodes: new Map(), choice: null, seenAt: null, at: 0 }
    records.set(userId, record)
    return record
  }
  return PresenceStore.of({
    report: (nodeId, reports) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        reports.map((report) => applyReport(recordOf(report.userId), now, nodeId, report))
      ),
    read: (userIds) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        userIds.map((userId) => {
          const record = records.get(userId)
          return record === undefined ? null : observe(record, now)
        })
      ),
    onReturn: () => Effect.void,
    returnSpread: 0
  })
})
