import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect, Layer } from "effect"
import { UserId } from "../../src/domain/Ids.ts"
import { Redis } from "../../src/layers/redis/Redis.ts"
import * as RedisPresence from "../../src/layers/redis/RedisPresence.ts"
import { Presence } from "../../src/services/presence/Presence.ts"
import * as ContactsMemory from "../../src/testing/memory/Contacts.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { presenceShared, presenceTimers } from "./Presences.ts"

/** A node with one device, for tests that kill it: `node presenceMain.ts <port of Redis> <user id>`. */
const [, , port = "", userId = ""] = process.argv

Effect.gen(function* () {
  const presence = yield* Presence
  yield* presence.connect({ userId: UserId.make(userId), connectionId: "one", offer: () => true })
  yield* Console.log("connected")
  return yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(
    Presence.layerNoDeps.pipe(
      Layer.provide([ContactsMemory.layerMemory, RedisPresence.layerStore]),
      Layer.provide(presenceShared),
      Layer.provide(Redis.layer),
      Layer.provide(
        SettingsMemory.layerMemory({ redis: { host: "127.0.0.1", port: Number(port) }, timers: presenceTimers })
      )
    )
  ),
  NodeRuntime.runMain()
)
