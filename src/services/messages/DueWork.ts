import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { type ConsumerState, makeChangeFeedWatch } from "../log/ChangeFeedWatch.ts"
import { every, makeWake } from "../platform/Background.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { DisappearingMessages } from "./DisappearingMessages.ts"
import { Erasures } from "./Erasures.ts"
import { ScheduledMessages } from "./ScheduledMessages.ts"
import { searchConsumer, startSearchIndex } from "./search/SearchIndex.ts"

/** Finds out whether anything is due, with one statement for all jobs, since mostly nothing is. */
export const lookForDueWork = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // A volatile function cannot limit the range of an index; its value from a subquery can. The order makes the planner
  // use the index.
  const [due] = yield* sql<ConsumerState & { scheduled: boolean; expired: boolean; erased: boolean }>`
    SELECT (SELECT id FROM scheduled_messages WHERE failure IS NULL AND send_at <= (SELECT clock_timestamp())
        AND (claimed_until IS NULL OR claimed_until < (SELECT clock_timestamp()))
        ORDER BY send_at, id LIMIT 1) IS NOT NULL AS scheduled,
      (SELECT conversation_id FROM message_lifetimes WHERE next_at <= (SELECT clock_timestamp())
        ORDER BY next_at LIMIT 1) IS NOT NULL AS expired,
      EXISTS (SELECT FROM erasures) AS erased, place, waits FROM consumer_state(${searchConsumer}::text)`
  return {
    scheduled: due?.scheduled ?? false,
    expired: due?.expired ?? false,
    erased: due?.erased ?? false,
    search: { place: due?.place ?? "", waits: due?.waits ?? null }
  }
}).pipe(orUnavailable)

/**
 * The jobs that send scheduled messages, delete expired ones, erase those of deleted users, and index new ones. Each second
 * one look finds out what is due. The jobs do not wait for each other.
 */
export const background = Layer.effectDiscard(
  Effect.gen(function* () {
    const { sendDue } = yield* ScheduledMessages
    const { expireDue } = yield* DisappearingMessages
    const { eraseDue } = yield* Erasures
    const send = yield* makeWake(
      "the sending of scheduled messages",
      Effect.repeat(sendDue, { while: (sent) => sent > 0 })
    )
    const expire = yield* makeWake(
      "the deletion of expired messages",
      Effect.repeat(expireDue, { while: (more) => more })
    )
    const erase = yield* makeWake(
      "the erasure of messages of deleted users",
      Effect.repeat(eraseDue, { while: (more) => more })
    )
    const index = yield* startSearchIndex
    const watchSearch = yield* makeChangeFeedWatch(searchConsumer, "new messages are found more slowly")
    const start = Effect.gen(function* () {
      const due = yield* lookForDueWork
      if (due.scheduled) send()
      if (due.expired) expire()
      if (due.erased) erase()
      if (due.search.waits === "ready") index()
      yield* watchSearch(due.search)
    })
    yield* every("1 second", "the look for what is due", start)
  })
)
