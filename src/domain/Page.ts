import { Schema } from "effect"
import { Seq } from "./Ids.ts"

/** A page of a list. `nextCursor` is absent on the last one. */
export const Page = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.optionalKey(Schema.String) })

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly nextCursor?: string
}

/** What a request for a list by seq may hold: as a query over HTTP, as data over RPC and WebSocket. */
export const limitFields = { limit: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))) }

/** The same for a list with a cursor. */
export const pageFields = {
  ...limitFields,
  cursor: Schema.optionalKey(Schema.String).annotate({ description: "The `nextCursor` of the page before this one" })
}

const seq = Schema.optionalKey(Seq)

/** The same for a page of messages: at most one of the three seqs. */
export const placeFields = { ...limitFields, before: seq, after: seq, around: seq }

/** Of who gives none, unless the maximum is less. */
const usualLimit = 50

/** The limit that was given, or the usual one. */
export const limitOf = (limit: number | undefined, maximum: number) => limit ?? Math.min(usualLimit, maximum)

/** How much of a list is wanted, and from where. The maximum of `limit` is a setting. */
export interface PageRequest {
  readonly limit: number
  readonly cursor?: string | undefined
}

/** The page that is asked for, with the usual limit unless one is given. */
export const toPage = (
  { cursor, limit }: { readonly cursor?: string; readonly limit?: number },
  maximum: number
): PageRequest => ({ cursor, limit: limitOf(limit, maximum) })
