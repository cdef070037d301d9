import { Schema } from "effect"
import { Timestamp } from "./Time.ts"

/** One act of an operator: who did what, and to whom. */
export const AuditEntry = Schema.Struct({
  id: Schema.String,
  at: Timestamp,
  actor: Schema.String.annotate({
    description: "`token:` and the id of a service token, or `cli:` and the user of the operating system"
  }),
  act: Schema.String.annotate({ description: "The name of the operation" }),
  target: Schema.Struct({ kind: Schema.String, id: Schema.String }),
  detail: Schema.Record(Schema.String, Schema.Unknown).annotate({
    description: "What else is to know, without secrets"
  })
}).annotate({ identifier: "AuditEntry" })
export type AuditEntry = typeof AuditEntry.Type
