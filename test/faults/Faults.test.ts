import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { serversAreThere } from "../support/Servers.ts"
import { startCluster } from "./Cluster.ts"
import { allFaults } from "./Nemesis.ts"
import { run, seedOf } from "./Run.ts"

const name = `two nodes under every fault${serversAreThere ? "" : " (no PostgreSQL 15, NATS or Redis to start)"}`

/** `FAULT_SEED` repeats a run, as far as timing allows; without it each run is different. */
const seed = seedOf(randomUUID())

const minutes = 60_000

describe.skipIf(!serversAreThere)(name, () => {
  for (const lanes of [1, 2]) {
    it.live(
      `lose nothing, repeat nothing and show nothing to non-members, ${lanes} faults at a time, FAULT_SEED=${seed}`,
      () =>
        Effect.gen(function* () {
          const cluster = yield* startCluster({ settings: { TIMERS__REPAIR: "5" } })
          const faults = allFaults(cluster)
          const report = yield* run(cluster, {
            seed,
            users: 50,
            pauseMs: 350,
            sleepMs: 15_000,
            gapMs: 1500,
            lanes,
            patience: 90_000,
            faults
          })
          process.stderr.write(`${report.text}\n`)
          assert.deepStrictEqual(report.violations, [], report.text)
          assert.strictEqual(report.faults.length, faults.length)
        }).pipe(Effect.scoped),
      15 * minutes
    )
  }
})
