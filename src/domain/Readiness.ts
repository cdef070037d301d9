import { Schema } from "effect"
import { Timestamp } from "./Time.ts"

/**
 * The state of a dependency, which it has had `since`. `latencyMs` is how long its last answer took, and `detail` says why
 * it is down. `in-process` means that the node does the work itself, because no such dependency is configured.
 */
export const DependencyStatus = Schema.Struct({
  status: Schema.Literals(["up", "down", "in-process"]),
  since: Timestamp,
  latencyMs: Schema.optionalKey(Schema.Finite),
  detail: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "DependencyStatus" })
export type DependencyStatus = typeof DependencyStatus.Type

/**
 * Whether a node can serve. A `degraded` node serves, but with limitations, for example because events of other nodes
 * arrive late. A `draining` node is shutting down, and an `unavailable` one cannot reach PostgreSQL, or is too busy to
 * take messages; load balancers should send requests to neither.
 */
export const ReadinessReport = Schema.Struct({
  status: Schema.Literals(["ready", "degraded", "draining", "unavailable"]),
  dependencies: Schema.Record(Schema.String, DependencyStatus),
  /**
   * The state when the node started: the latest applied migration, and applied ones that only a newer release knows.
   */
  migrations: Schema.Struct({ latest: Schema.NullOr(Schema.String), newer: Schema.Array(Schema.String) })
}).annotate({ identifier: "ReadinessReport" })
export type ReadinessReport = typeof ReadinessReport.Type
