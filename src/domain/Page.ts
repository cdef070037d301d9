import { Schema } from "effect"

/** A page of a list. `nextCursor` is absent on the last one. */
export const Page = <S extends Schema.Top>(item: S) =>
  Schema.Struct({ items: Schema.Array(item), nextCursor: Schema.optionalKey(Schema.String) })

export interface Page<A> {
  readonly items: ReadonlyArray<A>
  readonly nextCursor?: string
}

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
