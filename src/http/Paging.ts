import { Effect, Schema } from "effect"
import { ConversationId } from "../domain/Ids.ts"
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

export const conversationParams = { id: ConversationId }

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
