import { Context, type Effect } from "effect"
import type { ConversationId } from "../../domain/Ids.ts"
import type { Unavailable } from "../../domain/Problem.ts"

/** The events `firstSeq` to `lastSeq` of a conversation, which were committed together. */
export interface Change {
  readonly conversationId: ConversationId
  readonly firstSeq: number
  readonly lastSeq: number
}

/** What a consumer has done of the changes that it was given: the first `handled` of them. */
export interface Handled {
  readonly handled: number
}

/**
 * Tells consumers which logs have grown, so that work follows the writes of all nodes. Each consumer has a name and a
 * place in the feed, which outlives every node. It is given every event, those of a conversation in the order of the log,
 * and after a crash at worst the same ones again.
 */
export class ChangeFeed extends Context.Service<
  ChangeFeed,
  {
    /**
     * Gives the next changes, at most `most`, to `handle`, and moves the consumer behind those that were handled. The move
     * and what `handle` writes are one transaction: when `handle` fails or is interrupted, neither has happened. Does
     * nothing, and succeeds with undefined, when there is no change to give, or while the same consumer is at work
     * elsewhere. The first call for a consumer gives nothing: it begins with what is written afterwards.
     */
    readonly consume: <A extends Handled, E, R>(
      consumer: string,
      most: number,
      handle: (changes: ReadonlyArray<Change>) => Effect.Effect<A, E, R>
    ) => Effect.Effect<A | undefined, E | Unavailable, R>
  }
>()("chat/services/ChangeFeed") {}
