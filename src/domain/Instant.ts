import { Schema } from "effect"

/** A moment that a client names, as RFC 3339 writes it. */
export const Instant = Schema.String.check(
  Schema.isPattern(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/, {
    message: "must be a time such as 2026-11-22T18:00:00.000Z"
  })
)
  .annotate({ format: "date-time" })
  .pipe(Schema.decodeTo(Schema.DateFromString))
