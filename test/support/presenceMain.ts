import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { UserId } from "../../src/domain/Ids.ts"
import { Redis } from "../../src/layers/Redis.ts"
import * as RedisPresence from "../../src/layers/RedisPresence.ts"
import { Acquaintances } from "../../src/services/Acquaintances.ts"
import { Presence } from "../../src/services/Presence.ts"
import { Settings } from "../../src/services/Settings.ts"
import { presenceShared, presenceTimers } from "./Presences.ts"

/** A node with one device, for tests that kill it: `node presenceMain.ts <port of Redis> <user id>`. */
const [, , port = "", userId = ""] = process.argv

Effect.gen(function* () {
  const presence = yield* Presence
  yield* presence.connect({ userId: UserId.make(userId), connectionId: "one", tell: () => true })
  yield* Console.log("connected")
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(
    Presence.layerNoDeps.pipe(
      Layer.provide([Acquaintances.layerTest, RedisPresence.layerStore]),
      Layer.provide(presenceShared),
      Layer.provide(Redis.layer),
      Layer.provide(Settings.layerTest({ redis: { host: "127.0.0.1", port: Number(port) }, timers: presenceTimers }))
    )
  ),
  NodeRuntime.runMain()
)
