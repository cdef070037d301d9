import { Effect, Schema } from "effect"
import { ConversationId, MessageId, Seq } from "../domain/Ids.ts"
import { limitOf, type PageRequest } from "../domain/Page.ts"
import { type InvalidRequest, invalid } from "../domain/Problem.ts"

const limit = Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)))

/** The query of a list by seq. */
export const limitQuery = { limit }

/** The query of a list with a cursor. */
export const pageQuery = {
  limit,
  cursor: Schema.optionalKey(Schema.String).annotate({ description: "The `nextCursor` of the page before this one" })
}

const seq = Schema.optionalKey(Seq)

/** The query of a page of messages: at most one of the three seqs. */
export const placeQuery = { limit, before: seq, after: seq, around: seq }

export const conversationParams = { id: ConversationId }
export const messageParams = { ...conversationParams, messageId: MessageId }

/** The page that a query asks for; a `limit` over the maximum is an `InvalidRequest`. */
export const toPageRequest = (
  query: { readonly limit?: number; readonly cursor?: string },
  maximum: number
): Effect.Effect<PageRequest, InvalidRequest> => {
  const { cursor } = query
  const limit = limitOf(query.limit, maximum)
  return limit > maximum
    ? Effect.fail(invalid("limit", `must be from 1 to ${maximum}`))
    : Effect.succeed({ limit, cursor })
}
