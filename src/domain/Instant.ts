import { Schema } from "effect"
import { Moment } from "./Ids.ts"

/** A Moment as a Date. */
export const Instant = Moment.pipe(Schema.decodeTo(Schema.DateFromString))
