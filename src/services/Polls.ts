import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { type Changed, makeChanges } from "./Changes.ts"
import { makePollsMemory } from "./PollsMemory.ts"
import { voteProblems } from "./VoteProblems.ts"

/** Votes in polls. */
export class Polls extends Context.Service<
  Polls,
  {
    /**
     * My vote becomes these options, by their places from 0 on, in place of what it was; none takes it back. The same
     * again changes nothing, also after the poll has closed; anything else is then a `Conflict` ("poll-closed").
     * `Forbidden` when the other one of a DM has blocked the user.
     */
    readonly vote: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      options: ReadonlyArray<number>
    ) => Effect.Effect<void, InvalidRequest | Forbidden | NotFound | Conflict | Unavailable>
  }
>()("chat/services/Polls") {
  /** On PostgreSQL. */
  static readonly layer = Layer.effect(
    Polls,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      return Polls.of({
        vote: Effect.fn("Polls.vote")(function* (userId, conversationId, messageId, options) {
          const chosen = [...new Set(options)].sort((a, b) => a - b)
          yield* change(
            conversationId,
            sql<Changed>`SELECT * FROM vote(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
              ${`{${chosen.join()}}`}::int[])`,
            voteProblems
          )
        })
      })
    })
  )

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(Polls, Effect.map(makePollsMemory, Polls.of))
}
