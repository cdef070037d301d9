import { Effect, Layer, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { ConsumerState, makeChangeFeedWatch } from "../log/ChangeFeedWatch.ts"
import { Looks, makeWake } from "../platform/Background.ts"
import { DisappearingMessages } from "./DisappearingMessages.ts"
import { Erasures } from "./Erasures.ts"
import { ScheduledMessages } from "./ScheduledMessages.ts"
import { searchConsumer, startSearchIndex } from "./search/SearchIndex.ts"

const DueWork = Schema.Struct({
  scheduled: Schema.Boolean,
  expired: Schema.Boolean,
  erased: Schema.Boolean,
  ...ConsumerState.fields
})

/** Asks what is due, for all jobs at once, since mostly nothing is. */
export const askForDueWork = (sql: SqlClient.SqlClient) =>
  // A volatile function cannot limit the range of an index; its value from a subquery can. The order makes the planner
  // use the index.
  sql`SELECT (SELECT id FROM scheduled_messages WHERE failure IS NULL AND send_at <= (SELECT clock_timestamp())
        AND (claimed_until IS NULL OR claimed_until < (SELECT clock_timestamp()))
        ORDER BY send_at, id LIMIT 1) IS NOT NULL AS scheduled,
      (SELECT conversation_id FROM message_lifetimes WHERE next_at <= (SELECT clock_timestamp())
        ORDER BY next_at LIMIT 1) IS NOT NULL AS expired,
      EXISTS (SELECT FROM erasures) AS erased, place, waits FROM consumer_state(${searchConsumer}::text)`

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
    const looks = yield* Looks
    yield* looks.add(askForDueWork(yield* SqlClient.SqlClient), DueWork, (due) => {
      if (due.scheduled) send()
      if (due.expired) expire()
      if (due.erased) erase()
      if (due.waits === "ready") index()
      return watchSearch(due)
    })
  })
)
