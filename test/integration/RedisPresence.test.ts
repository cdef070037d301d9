import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { assert, describe, layer } from "@effect/vitest"
import { Array as Arr, Clock, Context, Effect, Layer, Schedule } from "effect"
import type { UserId } from "../../src/domain/Ids.ts"
import { Redis } from "../../src/layers/Redis.ts"
import * as RedisPresence from "../../src/layers/RedisPresence.ts"
import { Acquaintances } from "../../src/services/Acquaintances.ts"
import { Presence } from "../../src/services/Presence.ts"
import { Settings, type SettingsOverrides } from "../../src/services/Settings.ts"
import { device, friends, presenceShared, presenceTimers, someone, together } from "../support/Presences.ts"
import { ownRedis, startRedis } from "../support/RedisServers.ts"

const { presenceExpiry } = presenceTimers

/** A node with its own connection to that Redis. */
const nodeOn = (settings: SettingsOverrides) =>
  Effect.map(
    Layer.build(
      Layer.fresh(Presence.layerNoDeps).pipe(
        Layer.provide([Acquaintances.layerTest, Layer.fresh(RedisPresence.layerStore)]),
        Layer.provide(Layer.fresh(Redis.layer)),
        Layer.provide(Layer.fresh(Settings.layerTest({ ...settings, timers: presenceTimers })))
      )
    ),
    (context) => Context.get(context, Presence)
  )

const until = (holds: () => boolean) => Effect.repeat(Effect.sleep("5 millis"), { until: holds })

/** So long that all of it would have lapsed, and been told, if nobody had said it again. */
const longEnough = Effect.flatMap(Clock.Clock, (clock) => {
  const since = clock.currentTimeMillisUnsafe()
  return until(() => clock.currentTimeMillisUnsafe() - since > presenceExpiry * 1.25)
})

/** A viewer on one node, watching users with a device on another one. */
const crowd = Effect.gen(function* () {
  const server = yield* startRedis
  const near = yield* nodeOn(server.settings)
  const far = yield* nodeOn(server.settings)
  const userIds = yield* Effect.all(Arr.replicate(someone, 20))
  const [viewerId, ...others] = userIds
  assert.isDefined(viewerId)
  yield* together(...userIds)
  const devices = yield* Effect.forEach(others, (userId) => device(far, userId))
  const viewer = yield* device(near, viewerId)
  const answer = yield* near.subscribe(viewer.connectionId, others)
  assert.isTrue(answer.every(({ status }) => status === "online"))
  const status = (node: Presence["Service"], userId: UserId) =>
    Effect.map(node.get(viewerId, [userId]), ([seen]) => seen?.status)
  return { server, near, far, others, devices, viewer, status }
})

describe.skipIf(ownRedis.skip)(ownRedis.name, () => {
  layer(presenceShared, { excludeTestServices: true })("presence", (it) => {
    it.effect("FLUSHALL loses nothing but what each node says again, and tells nobody", () =>
      Effect.gen(function* () {
        const { devices, far, near, others, server, status, viewer } = yield* crowd
        const [hidden, quiet] = others
        assert.isDefined(hidden)
        assert.isDefined(quiet)
        yield* far.set(hidden, "invisible")
        yield* far.set(quiet, "dnd")
        yield* until(() => viewer.told.length === 2)
        const since = yield* Clock.currentTimeMillis
        yield* server.command("FLUSHALL")
        yield* Effect.repeat(status(near, quiet), {
          schedule: Schedule.spaced("10 millis"),
          until: (seen) => seen === "dnd"
        })
        assert.isBelow((yield* Clock.currentTimeMillis) - since, presenceExpiry / 2)
        yield* longEnough
        assert.strictEqual(viewer.told.length, 2)
        assert.strictEqual(yield* status(near, hidden), "offline", "a choice is said again too")
        yield* Effect.forEach(devices, ({ close }) => close)
        yield* until(() => viewer.told.length === 1 + others.length)
        assert.deepStrictEqual(viewer.statuses(hidden), ["offline"])
      })
    )

    it.effect("tells, after Redis was away, what changed meanwhile and nothing else", () =>
      Effect.gen(function* () {
        const { devices, far, near, others, server, status, viewer } = yield* crowd
        const [left, changed, here] = others
        assert.isDefined(left)
        assert.isDefined(changed)
        assert.isDefined(here)
        yield* server.kill
        yield* devices[0]?.close ?? Effect.void
        const own = yield* device(near, here)
        yield* far.set(changed, "dnd")
        assert.strictEqual(yield* status(near, changed), "offline", "unknown")
        assert.strictEqual(yield* status(far, changed), "dnd", "as far as the node knows")
        assert.strictEqual(yield* status(near, here), "online")
        const absent = yield* someone
        assert.strictEqual((yield* Effect.flip(near.set(absent, "dnd")))._tag, "Unavailable")
        const { users } = yield* friends
        const stranger = yield* device(near, users[0])
        assert.deepStrictEqual(
          (yield* near.subscribe(stranger.connectionId, [users[1]])).map(({ status }) => status),
          ["offline"]
        )
        yield* longEnough
        assert.deepStrictEqual(viewer.told, [])
        yield* server.restart
        yield* until(() => viewer.told.length >= 2)
        yield* longEnough
        assert.deepStrictEqual(
          viewer.told
            .map(({ status, userId }) => [userId, status])
            .sort(([, a], [, b]) => (a ?? "").localeCompare(b ?? "")),
          [
            [changed, "dnd"],
            [left, "offline"]
          ]
        )
        yield* own.close
        yield* device(far, users[1])
        yield* until(() => stranger.told.length === 1)
      })
    )

    it.effect("a Redis that was frozen for longer than the expiry makes nobody come and go", () =>
      Effect.gen(function* () {
        const { far, near, others, server, status, viewer } = yield* crowd
        yield* server.freeze
        yield* longEnough
        yield* server.thaw
        const [one] = others
        assert.isDefined(one)
        yield* Effect.repeat(status(near, one), {
          schedule: Schedule.spaced("10 millis"),
          until: (seen) => seen === "online"
        })
        yield* longEnough
        assert.deepStrictEqual(viewer.told, [])
        yield* far.set(one, "away")
        yield* until(() => viewer.told.length === 1)
      })
    )

    it.effect("a node killed with -9 leaves no ghost for longer than the expiry", () =>
      Effect.gen(function* () {
        const server = yield* startRedis
        const near = yield* nodeOn(server.settings)
        const {
          users: [ann, ben]
        } = yield* friends
        const viewer = yield* device(near, ben)
        yield* near.subscribe(viewer.connectionId, [ann])
        const script = fileURLToPath(new URL("../support/presenceMain.ts", import.meta.url))
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [script, String(server.port), ann], { stdio: ["ignore", "pipe", "inherit"] })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        yield* Effect.promise(() => once(child.stdout, "data"))
        // The buses of the two are not connected: it is the reading again that finds it.
        yield* until(() => viewer.told.length === 1)
        yield* longEnough
        assert.deepStrictEqual(viewer.statuses(ann), ["online"])
        const since = yield* Clock.currentTimeMillis
        child.kill("SIGKILL")
        yield* until(() => viewer.told.length === 2)
        assert.strictEqual(viewer.told[1]?.status, "offline")
        assert.isAtMost((yield* Clock.currentTimeMillis) - since, presenceExpiry + 150)
      })
    )
  })
})
