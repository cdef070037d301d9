import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as RedisPresence from "../../../src/layers/redis/RedisPresence.ts"
import * as InProcessPresenceStore from "../../../src/services/presence/InProcessPresenceStore.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { presenceShared, presenceTimers } from "../../support/Presences.ts"
import { sharedRedis } from "../../support/RedisServers.ts"
import { presenceContract } from "./Presence.contract.ts"

const settings = { timers: presenceTimers }

presenceContract(
  "Presence in this process",
  InProcessPresenceStore.layer.pipe(
    Layer.provideMerge(presenceShared),
    Layer.provideMerge(SettingsMemory.layerMemory(settings))
  ),
  { tick: TestClock.adjust("10 millis"), excludeTestServices: false }
)

describe.skipIf(sharedRedis.skip)(sharedRedis.name, () =>
  presenceContract(
    "Presence",
    RedisPresence.layerStore.pipe(Layer.provideMerge(presenceShared), Layer.provideMerge(sharedRedis.layer(settings))),
    { tick: Effect.sleep("5 millis"), excludeTestServices: true }
  )
)
