import { Context, Effect, Fiber } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import type { ConversationId } from "../../domain/Ids.ts"
import type { Problem } from "../../domain/Problem.ts"
import { encodeEvent, PubSub } from "../bus/PubSub.ts"
import { conversationSubject } from "../bus/Subjects.ts"
import { FairQueue } from "../platform/load/FairQueue.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { Log } from "./Log.ts"

/** The answer of the SQL function of a change: "changed", "unchanged", or the reason why it did nothing. */
export interface Changed {
  readonly outcome: string
  /** The seqs that the change took in the log; null when it took none. */
  readonly firstSeq: number | null
  readonly lastSeq: number | null
}

/** Fails with the refusal that stands for the outcome of a SQL function, if there is one for it. */
export const refuse = <P extends Problem>(
  outcome: string | undefined,
  refusals: Readonly<Record<string, P>>
): Effect.Effect<void, P> => {
  const refusal = outcome === undefined ? undefined : refusals[outcome]
  return refusal === undefined ? Effect.void : Effect.fail(refusal)
}

/**
 * How many changes of a conversation ask the database at a time: the second one waits for the lock of the first, and so
 * begins when that ends. More of them would only hold the connections that everybody else needs.
 */
const atATimePerKey = 2

/** How long a change waits for its turn, in milliseconds: longer than a statement waits for a lock. */
const patienceMs = 5000

/** The turns of the changes of each conversation. */
const Turns = Context.Reference("chat/services/log/Turns", {
  defaultValue: () => new FairQueue({ atATimePerKey, detail: "Too many changes at once" })
})

/**
 * Makes `change`, which runs one durable change other than the append of a message on PostgreSQL. Each is one call of
 * the operation's SQL function; its committed events are read from the log and published in the order of the log.
 */
export const makeChanges = Effect.gen(function* () {
  const log = yield* Log
  const pubsub = yield* PubSub
  const turns = yield* Turns

  const publish = ({ firstSeq, lastSeq }: Changed, conversationId: ConversationId) => {
    if (firstSeq === null || lastSeq === null) return Effect.void
    return log.range(conversationId, firstSeq - 1, lastSeq).pipe(
      Effect.flatMap((events) => pubsub.publish(conversationSubject(conversationId), events.map(encodeEvent))),
      // The change is committed, and a hub that misses its events finds them when it compares heads.
      Effect.catchTag("Unavailable", () => Effect.void)
    )
  }

  /**
   * Makes the change and succeeds with its row once it is committed and published. Fails with the refusal that
   * `refusals` has for the outcome. An interruption of the caller does not interrupt the change.
   */
  const change = Effect.fn("Changes.change")(function* <Row extends Changed, P extends Problem, E = never>(
    conversationId: ConversationId,
    call: Effect.Effect<ReadonlyArray<Row>, SqlError | E>,
    refusals: Readonly<Record<string, P>>
  ) {
    const done = yield* turns.patient(conversationId, call, patienceMs).pipe(
      retryDeadlocks,
      orUnavailable,
      Effect.tap(([row]) => (row === undefined ? Effect.void : publish(row, conversationId))),
      Effect.forkDetach
    )
    const [row] = yield* Fiber.join(done)
    yield* refuse(row?.outcome, refusals)
    if (row?.outcome === "changed" || row?.outcome === "unchanged") return row
    return yield* Effect.die(new Error(`an unknown outcome: ${row?.outcome}`))
  })

  return { change }
})
