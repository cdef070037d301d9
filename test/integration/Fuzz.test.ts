import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fuzz, fuzzLimits } from "../support/Fuzz.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

layer(gatewayService({ limits: fuzzLimits }), { excludeTestServices: true })(
  "a short fuzz test, see test/fuzz",
  (it) => {
    it.effect("finds no 5xx, no defect and nothing undescribed", () =>
      Effect.gen(function* () {
        const { log, url } = yield* Service
        const { complaints } = yield* fuzz(url, 13, (sent) => sent < 600)
        assert.deepStrictEqual(complaints, [])
        assert.deepStrictEqual(
          log.filter(({ level }) => level === "ERROR" || level === "FATAL"),
          []
        )
      })
    )
  }
)
