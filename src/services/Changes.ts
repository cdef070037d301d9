import { Effect, Fiber } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { ConversationId } from "../domain/Ids.ts"
import type { Problem } from "../domain/Problem.ts"
import { Log } from "./Log.ts"
import { conversationSubject, encodeEvent, PubSub } from "./PubSub.ts"
import { isRetryable, orUnavailable } from "./Sql.ts"

/** What the function of an operation answers (migration 0009): "changed", "unchanged", or why it did nothing. */
export interface Changed {
  readonly outcome: string
  /** The seqs that it took, if any. */
  readonly firstSeq: number | null
  readonly lastSeq: number | null
}

/**
 * Durable changes other than the append of a message, on PostgreSQL: one call of the operation's function each. What
 * is committed is published from the log, in its order.
 */
export const makeChanges = Effect.gen(function* () {
  const log = yield* Log
  const pubsub = yield* PubSub

  const publish = ({ firstSeq, lastSeq }: Changed, conversationId: ConversationId) => {
    if (firstSeq === null || lastSeq === null) return Effect.void
    return log.range(conversationId, firstSeq - 1, lastSeq).pipe(
      Effect.flatMap((events) => pubsub.publish(conversationSubject(conversationId), events.map(encodeEvent))),
      // It is committed, and every hub that was not told finds it by its comparison of heads.
      Effect.catchTag("Unavailable", () => Effect.void)
    )
  }

  /**
   * Makes the change and answers with its row once it is committed and published. An outcome that `problems` has fails
   * with it. Whoever waits for it may be interrupted: the change never is.
   */
  const change = Effect.fn("Changes.change")(function* <Row extends Changed, P extends Problem>(
    conversationId: ConversationId,
    call: Effect.Effect<ReadonlyArray<Row>, SqlError>,
    problems: Readonly<Record<string, P>>
  ) {
    const done = yield* call.pipe(
      Effect.retry({ while: isRetryable, times: 2 }),
      orUnavailable,
      Effect.tap(([row]) => (row === undefined ? Effect.void : publish(row, conversationId))),
      Effect.forkDetach
    )
    const [row] = yield* Fiber.join(done)
    const problem = row === undefined ? undefined : problems[row.outcome]
    if (problem !== undefined) return yield* Effect.fail(problem)
    if (row?.outcome === "changed" || row?.outcome === "unchanged") return row
    return yield* Effect.die(new Error(`an unknown outcome: ${row?.outcome}`))
  })

  return { change }
})
