import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { startCluster } from "../faults/Cluster.ts"
import { allFaults } from "../faults/Nemesis.ts"
import { run, seedOf } from "../faults/Run.ts"
import { serversAreThere } from "../support/Servers.ts"

const name = `two nodes under faults${serversAreThere ? "" : " (no PostgreSQL 15, NATS or Redis to start)"}`

/** One fault of each kind; `npm run test:faults` has all of them. */
const few = ["kill -9 postgres", "lose all of nats", "FLUSHALL", "kill -9 b", "forget a–nats"]

describe.skipIf(!serversAreThere)(name, () => {
  it.live(
    "lose nothing, repeat nothing and show nothing to non-members while PostgreSQL, NATS, Redis and a node go down and come back",
    () =>
      Effect.gen(function* () {
        const cluster = yield* startCluster({ settings: { TIMERS__REPAIR: "5" } })
        const report = yield* run(cluster, {
          seed: seedOf(randomUUID()),
          users: 20,
          pauseMs: 150,
          sleepMs: 3000,
          gapMs: 800,
          patience: 20_000,
          faults: allFaults(cluster).filter((fault) => few.includes(fault.name))
        })
        assert.deepStrictEqual(report.violations, [], report.text)
        assert.isAbove(report.stored, 200)
        assert.strictEqual(report.faults.length, few.length)
      }).pipe(Effect.scoped)
  )
})
