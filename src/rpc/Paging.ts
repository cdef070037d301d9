import { Schema } from "effect"
import { Seq } from "../domain/Ids.ts"

/** The data of a list by seq. */
export const limitFields = { limit: Schema.optionalKey(Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))) }

const seq = Schema.optionalKey(Seq)

/** The data of a page of messages: at most one of the three seqs. */
export const placeFields = { ...limitFields, before: seq, after: seq, around: seq }

/** The data of a list with a cursor, the `nextCursor` of the page before. */
export const pageFields = { ...limitFields, cursor: Schema.optionalKey(Schema.String) }
