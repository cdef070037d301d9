import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { assert, describe, layer } from "@effect/vitest"
import { Array as Arr, Clock, Context, Effect, Layer, Schedule } from "effect"
import type { UserId } from "../../src/domain/Ids.ts"
import { Redis } from "../../src/layers/redis/Redis.ts"
import * as RedisPresence from "../../src/layers/redis/RedisPresence.ts"
import { Presence } from "../../src/services/presence/Presence.ts"
import * as ContactsMemory from "../../src/testing/memory/Contacts.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { device, friends, presenceShared, presenceTimers, someone, together } from "../support/Presences.ts"
import { ownRedis, startRedis } from "../support/RedisServers.ts"

const { presenceExpiry } = presenceTimers

/** A node with its own connection to the Redis. */
const nodeOn = (settings: SettingsOverrides) =>
  Effect.map(
    Layer.build(
      Layer.fresh(Presence.layerNoDeps).pipe(
        Layer.provide([ContactsMemory.layerMemory, Layer.fresh(RedisPresence.layerStore)]),
        Layer.provide(Layer.fresh(Redis.layer)),
        Layer.provide(Layer.fresh(SettingsMemory.layerMemory({ ...settings, timers: presenceTimers })))
      )
    ),
    (context) => Context.get(context, Presence)
  )

const until = (holds: () => boolean) => Effect.repeat(Effect.sleep("5 millis"), { until: holds })

/** Waits so long that every report would have expired, and its change been sent, if the nodes had not repeated it. */
const longEnough = Effect.flatMap(Clock.Clock, (clock) => {
  const since = clock.currentTimeMillisUnsafe()
  return until(() => clock.currentTimeMillisUnsafe() - since > presenceExpiry * 1.25)
})

/** A viewer on one node who watches users with devices on another one. */
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
    it.effect("a FLUSHALL loses nothing, since each node repeats its reports, and sends no changes", () =>
      Effect.gen(function* () {
        const { devices, far, near, others, server, status, viewer } = yield* crowd
        const [hidden, quiet] = others
        assert.isDefined(hidden)
        assert.isDefined(quiet)
        yield* far.set(hidden, "invisible")
        yield* far.set(quiet, "dnd")
        yield* until(() => viewer.received.length === 2)
        yield* server.command("FLUSHALL")
        yield* Effect.repeat(status(near, quiet), {
          schedule: Schedule.spaced("10 millis"),
          until: (seen) => seen === "dnd"
        })
        yield* longEnough
        assert.strictEqual(viewer.received.length, 2)
        assert.strictEqual(yield* status(near, hidden), "offline", "a choice is said again too")
        yield* Effect.forEach(devices, ({ close }) => close)
        yield* until(() => viewer.received.length === 1 + others.length)
        assert.deepStrictEqual(viewer.statuses(hidden), ["offline"])
      })
    )

    it.effect("after Redis was down, only the changes of that time are sent", () =>
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
        assert.deepStrictEqual(viewer.received, [])
        yield* server.restart
        yield* until(() => viewer.received.length >= 2)
        yield* longEnough
        assert.deepStrictEqual(
          viewer.received
            .map(({ status, userId }) => [userId, status])
            .sort(([, a], [, b]) => (a ?? "").localeCompare(b ?? "")),
          [
            [changed, "dnd"],
            [left, "offline"]
          ]
        )
        yield* own.close
        yield* device(far, users[1])
        yield* until(() => stranger.received.length === 1)
      })
    )

    it.effect("a Redis that was frozen for longer than the expiry causes no changes", () =>
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
        assert.deepStrictEqual(viewer.received, [])
        yield* far.set(one, "away")
        yield* until(() => viewer.received.length === 1)
      })
    )

    it.effect("the devices of a node that is killed disappear within the expiry", () =>
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
        // The buses of the two nodes are not connected, so the node finds the change when it reads again.
        yield* until(() => viewer.received.length === 1)
        yield* longEnough
        assert.deepStrictEqual(viewer.statuses(ann), ["online"])
        child.kill("SIGKILL")
        yield* until(() => viewer.received.length === 2)
        assert.strictEqual(viewer.received[1]?.status, "offline")
      })
    )
  })
})
