import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { every, makeWake } from "../platform/Background.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { DisappearingMessages } from "./DisappearingMessages.ts"
import { ScheduledMessages } from "./ScheduledMessages.ts"

/** Finds out whether anything is due, with one statement for both jobs, since mostly nothing is. */
export const lookForDueWork = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  // A volatile function cannot limit the range of an index; its value from a subquery can. The order makes the planner
  // use the index.
  const [due] = yield* sql<{ scheduled: boolean; expired: boolean }>`
    SELECT (SELECT id FROM scheduled_messages WHERE failure IS NULL AND send_at <= (SELECT clock_timestamp())
        AND (claimed_until IS NULL OR claimed_until < (SELECT clock_timestamp()))
        ORDER BY send_at, id LIMIT 1) IS NOT NULL AS scheduled,
      (SELECT conversation_id FROM message_lifetimes WHERE next_at <= (SELECT clock_timestamp())
        ORDER BY next_at LIMIT 1) IS NOT NULL AS expired`
  return { scheduled: due?.scheduled ?? false, expired: due?.expired ?? false }
}).pipe(orUnavailable)

/**
 * The jobs that send scheduled messages and delete expired ones. Each second one look finds out what is due. The jobs do
 * not wait for each other.
 */
export const background = Layer.effectDiscard(
  Effect.gen(function* () {
    const { sendDue } = yield* ScheduledMessages
    const { expireDue } = yield* DisappearingMessages
    const send = yield* makeWake(
      "the sending of scheduled messages",
      Effect.repeat(sendDue, { while: (sent) => sent > 0 })
    )
    const expire = yield* makeWake(
      "the deletion of expired messages",
      Effect.repeat(expireDue, { while: (more) => more })
    )
    const start = Effect.map(lookForDueWork, (due) => {
      if (due.scheduled) send()
      if (due.expired) expire()
    })
    yield* every("1 second", "the look for what is due", start)
  })
)
