import { Layer } from "effect"
import { Looks } from "./Background.ts"
import { AddressLimit } from "./load/AddressLimit.ts"
import { HeavyReads } from "./load/HeavyReads.ts"
import * as Purge from "./Purge.ts"
import { Drain } from "./readiness/Drain.ts"
import { Readiness } from "./readiness/Readiness.ts"

/**
 * Whether this node is ready and whether it drains, its looks at the database, its queue of heavy reads, and its limits of
 * addresses. Watches PostgreSQL.
 */
export const layer = Layer.mergeAll(Readiness.layer, Looks.layer, HeavyReads.layer, AddressLimit.layer).pipe(
  Layer.provideMerge(Drain.layer)
)

/** The same, without a database to watch and look at. */
export const layerNoDeps = Layer.mergeAll(Readiness.layerNoDeps, HeavyReads.layer, AddressLimit.layer).pipe(
  Layer.provideMerge(Drain.layer)
)

/** The job that deletes what is no longer needed. */
export const background = Purge.layer
