import { Schema } from "effect"
import { Seq } from "./Ids.ts"

/** The Schema of a page of a list. `nextCursor` is absent on the last page. */
export const Page = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.optionalKey(Schema.String) })

/** A page of a list. `nextCursor` is absent on the last page. */
export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly nextCursor?: string
}

/** The field of a request for a list that is ordered by `seq`: a query parameter over HTTP, data over RPC and WebSocket. */
export const limitFields = { limit: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))) }

/** The fields of a request for a list with a cursor. */
export const pageFields = {
  ...limitFields,
  cursor: Schema.optionalKey(Schema.String).annotate({ description: "The `nextCursor` of the previous page" })
}

const seq = Schema.optionalKey(Seq)

/** The fields of a request for a page of messages. At most one of `before`, `after` and `around` is allowed. */
export const placeFields = { ...limitFields, before: seq, after: seq, around: seq }

/** The default size of a page. */
const defaultLimit = 50

/** The requested size of a page, or the default, which is at most `maximum`. A requested size is not checked here. */
export const limitOf = (limit: number | undefined, maximum: number) => limit ?? Math.min(defaultLimit, maximum)

/** Which part of a list is requested. The maximum of `limit` is a setting. */
export interface PageRequest {
  readonly limit: number
  readonly cursor?: string | undefined
}

/** The requested page, with the default size if none is given. */
export const toPage = (
  { cursor, limit }: { readonly cursor?: string; readonly limit?: number },
  maximum: number
): PageRequest => ({ cursor, limit: limitOf(limit, maximum) })
