import { Schema } from "effect"
import { Timestamp } from "./Ids.ts"

/** What a node stands on. `latencyMs` is how long the last answer took, `detail` why it is down. */
export const DependencyStatus = Schema.Struct({
  status: Schema.Literals(["up", "down", "in-process"]),
  since: Timestamp,
  latencyMs: Schema.optionalKey(Schema.Finite),
  detail: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "DependencyStatus" })
export type DependencyStatus = typeof DependencyStatus.Type

/**
 * `degraded` works on with less (another node's events come late, say); `draining` is on its way out and `unavailable`
 * lacks PostgreSQL: neither should be sent anything.
 */
export const ReadinessReport = Schema.Struct({
  status: Schema.Literals(["ready", "degraded", "draining", "unavailable"]),
  dependencies: Schema.Record(Schema.String, DependencyStatus),
  /** As of the start of the node: the last one that has run, and those that only a newer release knows. */
  migrations: Schema.Struct({ latest: Schema.NullOr(Schema.String), newer: Schema.Array(Schema.String) })
}).annotate({ identifier: "ReadinessReport" })
export type ReadinessReport = typeof ReadinessReport.Type
