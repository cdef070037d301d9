import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as RedisPresence from "../../../src/layers/redis/RedisPresence.ts"
import * as InProcessPresenceStore from "../../../src/services/presence/InProcessPresenceStore.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { device, presenceNode, presenceShared, presenceTimers, someone } from "../../support/Presences.ts"
import { sharedRedis } from "../../support/RedisServers.ts"
import { presenceContract } from "./Presence.contract.ts"

const settings = { timers: presenceTimers }

const inProcess = InProcessPresenceStore.layer.pipe(
  Layer.provideMerge(presenceShared),
  Layer.provideMerge(SettingsMemory.layerMemory(settings))
)

presenceContract("Presence in this process", inProcess, {
  tick: TestClock.adjust("10 millis"),
  excludeTestServices: false
})

setFlagsFromString("--expose-gc")
const collectGarbage: unknown = runInNewContext("gc")

/** What a request has in its context. */
const Held = Context.Reference<object>("chat/test/Held", { defaultValue: () => ({}) })

it.effect("a device that disconnects leaves nothing of its request in memory for the grace period", () =>
  Effect.gen(function* () {
    const presence = yield* presenceNode
    const userId = yield* someone
    const connectOnce = Effect.suspend(() => {
      const held = { rest: "of a request" }
      return Effect.scoped(device(presence, userId)).pipe(
        Effect.provideService(Held, held),
        Effect.as(new WeakRef(held))
      )
    })
    const held = yield* connectOnce
    // A reference that was just made holds its object until the next turn of the event loop.
    yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
    if (typeof collectGarbage === "function") collectGarbage()
    assert.isUndefined(held.deref())
  }).pipe(Effect.provide(inProcess))
)

describe.skipIf(sharedRedis.skip)(sharedRedis.name, () =>
  presenceContract(
    "Presence",
    RedisPresence.layerStore.pipe(Layer.provideMerge(presenceShared), Layer.provideMerge(sharedRedis.layer(settings))),
    { tick: Effect.sleep("5 millis"), excludeTestServices: true }
  )
)
