import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import {
  Conflict,
  type Forbidden,
  type InvalidRequest,
  invalid,
  type NotFound,
  type Unavailable
} from "../../domain/Problem.ts"
import { blocked, noMessage } from "../../domain/Refusals.ts"
import { type Changed, makeChanges } from "../log/Changes.ts"

/** Why a vote is refused, by the outcomes in migrations/functions/polls.sql. */
export const voteProblems = {
  "no-message": noMessage,
  blocked,
  "not-a-poll": new Conflict({ code: "not-a-poll", detail: "That message is not a poll" }),
  "poll-closed": new Conflict({ code: "poll-closed", detail: "That poll is closed" }),
  "one-option": invalid("options", "must be a single one: this poll does not take several"),
  "no-option": invalid("options", "must be places of options of this poll, from 0 on")
}

/** The options of a vote as they are stored: each once, in ascending order. */
export const chosenOptions = (options: ReadonlyArray<number>): ReadonlyArray<number> =>
  [...new Set(options)].sort((a, b) => a - b)

/** Votes in polls. */
export class Polls extends Context.Service<
  Polls,
  {
    /**
     * Replaces the user's vote with these options, given by their indexes from 0 on; no options take the vote back.
     * Fails with `NotFound` for a message that the user may not see or that is deleted, `Conflict` for a message that is
     * not a poll ("not-a-poll") or a closed poll ("poll-closed"), `InvalidRequest` for options that the poll does not
     * have or does not take together, and `Forbidden` when the other member of the DM has blocked the user. The same
     * vote again succeeds without an event, also after the poll has closed.
     */
    readonly vote: (
      userId: UserId,
      conversationId: ConversationId,
      messageId: MessageId,
      options: ReadonlyArray<number>
    ) => Effect.Effect<void, InvalidRequest | Forbidden | NotFound | Conflict | Unavailable>
  }
>()("chat/services/Polls") {
  /** The implementation on PostgreSQL. */
  static readonly layer = Layer.effect(
    Polls,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const { change } = yield* makeChanges
      return Polls.of({
        vote: Effect.fn("Polls.vote")(function* (userId, conversationId, messageId, options) {
          yield* change(
            conversationId,
            sql<Changed>`SELECT * FROM vote(${conversationId}::uuid, ${userId}::uuid, ${messageId}::uuid,
              ${`{${chosenOptions(options).join()}}`}::int[])`,
            voteProblems
          )
        })
      })
    })
  )
}
