import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fuzz, fuzzLimits } from "../support/Fuzz.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

const seconds = Number(process.env.FUZZ_SECONDS ?? 600)
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))

layer(gatewayService({ limits: fuzzLimits }), { excludeTestServices: true })(
  `for ${seconds} s, FUZZ_SEED=${seed}`,
  (it) => {
    it.effect(
      "every operation answers every input as the documents say, over HTTP, sockets and RPC",
      () =>
        Effect.gen(function* () {
          const { log, url } = yield* Service
          const until = performance.now() + seconds * 1000
          const { complaints, sent } = yield* fuzz(url, seed, () => performance.now() < until)
          yield* Effect.logInfo(`${sent} requests, ${complaints.length} complaints`)
          assert.deepStrictEqual([...new Set(complaints)].slice(0, 50), [])
          assert.deepStrictEqual(log.filter(({ level }) => level === "ERROR" || level === "FATAL").slice(0, 10), [])
        }),
      (seconds + 120) * 1000
    )
  }
)
