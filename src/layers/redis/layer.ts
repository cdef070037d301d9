import { Effect, Layer } from "effect"
import { Limits } from "../../services/platform/Limits.ts"
import { Readiness } from "../../services/platform/readiness/Readiness.ts"
import { Settings } from "../../services/platform/Settings.ts"
import * as Presence from "../../services/presence/layer.ts"
import { Redis } from "./Redis.ts"
import * as RedisLimits from "./RedisLimits.ts"
import * as RedisPresence from "./RedisPresence.ts"

/** Reports the state of Redis to `Readiness`. */
const layerWatch = Layer.effectDiscard(
  Effect.gen(function* () {
    const readiness = yield* Readiness
    const redis = yield* Redis
    yield* readiness.watch({
      name: "redis",
      required: false,
      probe: redis.probe,
      without: "each node has its own presence and limits"
    })
  })
)

/** State that may be lost: in the Redis of the settings, or in this process if there is none. */
export const layer = Layer.unwrap(
  Effect.map(Settings, ({ redis }) =>
    redis === undefined
      ? Layer.mergeAll(Limits.layer, Presence.layer)
      : Layer.mergeAll(RedisLimits.layer, RedisPresence.layer, layerWatch).pipe(Layer.provide(Redis.layer))
  )
)
