import { Schema } from "effect"

/** The data of a list by seq. */
export const limitFields = { limit: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))) }

/** The data of a list with a cursor, the `nextCursor` of the page before. */
export const pageFields = { ...limitFields, cursor: Schema.optionalKey(Schema.String) }
