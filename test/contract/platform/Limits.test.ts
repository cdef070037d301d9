import { describe } from "@effect/vitest"
import { Layer } from "effect"
import * as RedisLimits from "../../../src/layers/redis/RedisLimits.ts"
import { Limits } from "../../../src/services/platform/Limits.ts"
import { sharedRedis } from "../../support/RedisServers.ts"
import { limitsContract } from "./Limits.contract.ts"

describe("in this process", () => limitsContract(Limits.layer))

describe.skipIf(sharedRedis.skip)(sharedRedis.name, () =>
  limitsContract(RedisLimits.layer.pipe(Layer.provide(sharedRedis.layer())))
)
