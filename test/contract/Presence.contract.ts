import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Clock, Effect, Exit, Layer, Scope } from "effect"
import { UserId } from "../../src/domain/Ids.ts"
import type { ChosenStatus, Presence as PresenceOf } from "../../src/domain/Presence.ts"
import type { Memory } from "../../src/services/Memory.ts"
import type { Presence } from "../../src/services/Presence.ts"
import { PresenceStore } from "../../src/services/PresenceStore.ts"
import { PubSub } from "../../src/services/PubSub.ts"
import { Settings } from "../../src/services/Settings.ts"
import { device, friends, presenceNode, presenceTimers, someone, together } from "../support/Presences.ts"

const { presenceExpiry, presenceGrace } = presenceTimers

/** What every Layer of PresenceStore makes of Presence. `tick` lets a little time pass. */
export const presenceContract = <E>(
  name: string,
  layer: Layer.Layer<PresenceStore | PubSub | Memory | Settings, E>,
  options: { readonly tick: Effect.Effect<void>; readonly excludeTestServices: boolean }
) => {
  const until = (holds: () => boolean) => Effect.repeat(options.tick, { until: holds })
  const status = (presence: Presence["Service"], viewer: UserId, userId: UserId) =>
    Effect.map(presence.get(viewer, [userId]), ([seen]) => seen?.status)
  const untilStatus = (presence: Presence["Service"], viewer: UserId, userId: UserId, wanted: string) =>
    Effect.andThen(options.tick, status(presence, viewer, userId)).pipe(
      Effect.repeat({ until: (status) => status === wanted })
    )

  withLayer(layer, options)(name, (it) => {
    it.effect("is online from the first device on, and offline after the grace, last seen when the device went", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben]
        } = yield* friends
        assert.deepStrictEqual(yield* presence.get(ben, [ann, ben]), [
          { userId: ann, status: "offline", lastSeenAt: null },
          { userId: ben, status: "offline", lastSeenAt: null }
        ])
        const phone = yield* device(presence, ann)
        const [online] = yield* presence.get(ben, [ann])
        assert.strictEqual(online?.status, "online")
        const before = yield* Clock.currentTimeMillis
        assert.isAtMost(Math.abs(Date.parse(online?.lastSeenAt ?? "") - before), 50)
        yield* phone.close
        assert.strictEqual(yield* status(presence, ben, ann), "online")
        yield* untilStatus(presence, ben, ann, "offline")
        const after = yield* Clock.currentTimeMillis
        assert.isAtLeast(after - before, presenceGrace)
        assert.isBelow(after - before, presenceExpiry / 2, "said, and not only lapsed")
        const [offline] = yield* presence.get(ben, [ann])
        const seen = Date.parse(offline?.lastSeenAt ?? "")
        assert.isAtMost(Math.abs(seen - before), presenceGrace / 2, "not when the grace was over")
      })
    )

    it.effect("tells who subscribed of each change, and nobody of a device that is back within the grace", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben, cat]
        } = yield* friends
        const viewer = yield* device(presence, cat)
        const answer = yield* presence.subscribe(viewer.connectionId, [ann, ben, ann])
        assert.deepStrictEqual(
          answer.map(({ status, userId }) => [userId, status]),
          [
            [ann, "offline"],
            [ben, "offline"]
          ]
        )
        const first = yield* device(presence, ann)
        const other = yield* device(presence, ben)
        yield* until(() => viewer.told.length === 2)
        yield* first.close
        yield* other.close
        const again = yield* device(presence, ann)
        yield* until(() => viewer.statuses(ben).includes("offline"))
        assert.deepStrictEqual(viewer.statuses(ann), ["online"])
        yield* again.close
        yield* until(() => viewer.statuses(ann).length === 2)
        assert.deepStrictEqual(viewer.statuses(ann), ["online", "offline"])
        assert.isString(viewer.told.at(-1)?.lastSeenAt)
      })
    )

    it.effect("merges devices: one that is in use is enough to be online", () =>
      Effect.gen(function* () {
        const [near, far] = [yield* presenceNode, yield* presenceNode]
        const {
          users: [ann, ben]
        } = yield* friends
        const phone = yield* device(near, ann)
        const laptop = yield* device(far, ann)
        const seen = status(near, ben, ann)
        yield* near.set(ann, "away", phone.connectionId)
        assert.strictEqual(yield* seen, "online")
        yield* far.set(ann, "away", laptop.connectionId)
        assert.strictEqual(yield* seen, "away")
        yield* near.set(ann, "online", phone.connectionId)
        assert.strictEqual(yield* seen, "online")
        yield* phone.close
        yield* untilStatus(near, ben, ann, "away")
        assert.strictEqual(yield* status(far, ben, ann), "away")
        yield* laptop.close
        yield* untilStatus(near, ben, ann, "offline")
      })
    )

    it.effect("keeps a choice for all devices, those to come too, until the next one", () =>
      Effect.gen(function* () {
        const [near, far] = [yield* presenceNode, yield* presenceNode]
        const {
          users: [ann, ben]
        } = yield* friends
        yield* near.set(ann, "dnd")
        assert.strictEqual(yield* status(near, ben, ann), "offline")
        const phone = yield* device(near, ann)
        assert.strictEqual(yield* status(near, ben, ann), "dnd")
        const laptop = yield* device(far, ann)
        assert.strictEqual(yield* status(far, ben, ann), "dnd")
        yield* far.set(ann, "away")
        assert.strictEqual(yield* status(near, ben, ann), "away")
        yield* near.set(ann, "online")
        assert.strictEqual(yield* status(near, ben, ann), "online")
        yield* far.set(ann, "dnd", laptop.connectionId)
        assert.strictEqual(yield* status(near, ben, ann), "dnd")
        yield* near.set(ann, "online", phone.connectionId)
        assert.strictEqual(yield* status(near, ben, ann), "online")
      })
    )

    it.effect("an invisible user is offline, and was last seen before", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben, cat]
        } = yield* friends
        const phone = yield* device(presence, ann)
        const viewer = yield* device(presence, cat)
        yield* presence.subscribe(viewer.connectionId, [ann, ben])
        yield* presence.set(ann, "invisible")
        const [hidden] = yield* presence.get(ben, [ann])
        assert.strictEqual(hidden?.status, "offline")
        assert.isString(hidden?.lastSeenAt)
        yield* until(() => viewer.statuses(ann).includes("offline"))
        const again = yield* device(presence, ann)
        yield* phone.close
        yield* again.close
        const marker = yield* device(presence, ben)
        yield* marker.close
        yield* until(() => viewer.statuses(ben).includes("offline"))
        assert.deepStrictEqual(yield* presence.get(ben, [ann]), hidden === undefined ? [] : [hidden])
        const back = yield* device(presence, ann)
        assert.strictEqual(yield* status(presence, ben, ann), "offline")
        yield* presence.set(ann, "online", back.connectionId)
        yield* until(() => viewer.statuses(ann).length === 2)
        assert.deepStrictEqual(viewer.statuses(ann), ["offline", "online"])
      })
    )

    it.effect("shows nobody to strangers", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben]
        } = yield* friends
        const [stranger, unknown] = [yield* someone, yield* someone]
        const spy = yield* device(presence, stranger)
        const friend = yield* device(presence, ben)
        yield* device(presence, ann)
        const nothing = [ann, unknown].map((userId): PresenceOf => ({ userId, status: "offline", lastSeenAt: null }))
        assert.deepStrictEqual(yield* presence.get(stranger, [ann, unknown]), nothing)
        assert.deepStrictEqual(yield* presence.subscribe(spy.connectionId, [ann, unknown]), nothing)
        assert.strictEqual(yield* status(presence, stranger, stranger), "online")
        yield* presence.subscribe(friend.connectionId, [ann])
        yield* presence.set(ann, "dnd")
        yield* until(() => friend.told.length === 1)
        assert.deepStrictEqual(spy.told, [])
      })
    )

    it.effect("ends a subscription when the last common conversation is left", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          group,
          users: [ann, ben, cat]
        } = yield* friends
        yield* together(ann, cat)
        const former = yield* device(presence, ben)
        const friend = yield* device(presence, cat)
        yield* device(presence, ann)
        for (const { connectionId } of [former, friend]) yield* presence.subscribe(connectionId, [ann])
        group.part(ann)
        yield* until(() => former.told.length > 0)
        assert.deepStrictEqual(former.told, [{ userId: ann, status: "offline", lastSeenAt: null }])
        yield* presence.set(ann, "dnd")
        yield* until(() => friend.told.length === 1)
        assert.strictEqual(former.told.length, 1)
      })
    )

    it.effect("tells the last of quick changes, one event for all, and nothing when nothing is left of them", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben, cat]
        } = yield* friends
        const viewers = yield* Effect.all([device(presence, cat), device(presence, cat)])
        for (const { connectionId } of viewers) yield* presence.subscribe(connectionId, [ann, ben])
        yield* device(presence, ann)
        yield* device(presence, ben)
        yield* until(() => viewers.every(({ told }) => told.length === 2))
        const quickly = (userId: UserId, ...statuses: ReadonlyArray<ChosenStatus>) =>
          Effect.forEach(statuses, (status) => presence.set(userId, status), { concurrency: "unbounded" })
        yield* Effect.all([quickly(ann, "dnd", "away", "online"), quickly(ben, "away", "online", "dnd")], {
          concurrency: 2
        })
        yield* until(() => viewers.every(({ told }) => told.length === 3))
        for (const viewer of viewers) {
          assert.deepStrictEqual(viewer.statuses(ann), ["online"])
          assert.deepStrictEqual(viewer.statuses(ben), ["online", "dnd"])
        }
        assert.strictEqual(viewers[0].events[2], viewers[1].events[2])
      })
    )

    it.effect("tells who was behind how things are by then", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben, cat]
        } = yield* friends
        const slow = yield* device(presence, cat)
        const quick = yield* device(presence, cat)
        for (const { connectionId } of [slow, quick]) yield* presence.subscribe(connectionId, [ann, ben])
        slow.state.refuses = true
        yield* device(presence, ann)
        yield* device(presence, ben)
        yield* until(() => quick.told.length === 2)
        yield* presence.set(ann, "dnd")
        yield* until(() => quick.told.length === 3)
        slow.state.refuses = false
        yield* until(() => slow.told.length === 2)
        assert.deepStrictEqual([slow.statuses(ann), slow.statuses(ben)], [["dnd"], ["online"]])
      })
    )

    it.effect("tells nothing after unsubscribing, nor when the viewer is gone", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben, cat]
        } = yield* friends
        const viewers = yield* Effect.all([device(presence, cat), device(presence, cat), device(presence, cat)])
        for (const { connectionId } of viewers) yield* presence.subscribe(connectionId, [ann, ben])
        const [left, closed, stays] = viewers
        yield* presence.unsubscribe(left.connectionId, [ann])
        yield* closed.close
        yield* device(presence, ann)
        yield* device(presence, ben)
        yield* until(() => stays.told.length === 2)
        assert.deepStrictEqual([left.told.map(({ userId }) => userId), closed.told], [[ben], []])
        assert.deepStrictEqual(
          (yield* presence.subscribe(closed.connectionId, [ann])).map(({ status }) => status),
          ["offline"]
        )
      })
    )

    it.effect("knows on each node what others did", () =>
      Effect.gen(function* () {
        const [near, far] = [yield* presenceNode, yield* presenceNode]
        const {
          users: [ann, ben]
        } = yield* friends
        const viewer = yield* device(near, ben)
        yield* near.subscribe(viewer.connectionId, [ann])
        const phone = yield* device(far, ann)
        yield* until(() => viewer.told.length === 1)
        const laptop = yield* device(near, ann)
        yield* phone.close
        yield* far.set(ann, "dnd")
        yield* until(() => viewer.told.length === 2)
        yield* laptop.close
        yield* until(() => viewer.told.length === 3)
        assert.deepStrictEqual(viewer.statuses(ann), ["online", "dnd", "offline"])
      })
    )

    it.effect("repairs what the bus lost", () =>
      Effect.gen(function* () {
        const near = yield* presenceNode
        const deaf = yield* presenceNode.pipe(Effect.provide(Layer.fresh(PubSub.layer)))
        const {
          users: [ann, ben]
        } = yield* friends
        const viewer = yield* device(near, ben)
        yield* near.subscribe(viewer.connectionId, [ann])
        const since = yield* Clock.currentTimeMillis
        yield* device(deaf, ann)
        yield* until(() => viewer.told.length === 1)
        assert.strictEqual(viewer.told[0]?.status, "online")
        assert.isAtMost((yield* Clock.currentTimeMillis) - since, presenceExpiry / 2)
      })
    )

    it.effect("leaves no ghost of a node that died, for longer than the expiry", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben]
        } = yield* friends
        const viewer = yield* device(presence, ben)
        const store = yield* PresenceStore
        // As a node does: told once, to be told again.
        const lifetimeMs = (presenceExpiry * 3) / 4
        yield* store.report("dead", [{ userId: ann, device: "online", lifetimeMs, agoMs: 0 }])
        const since = yield* Clock.currentTimeMillis
        const [answer] = yield* presence.subscribe(viewer.connectionId, [ann])
        assert.strictEqual(answer?.status, "online")
        yield* until(() => viewer.told.length === 1)
        const passed = (yield* Clock.currentTimeMillis) - since
        assert.isAtLeast(passed, lifetimeMs - 20)
        assert.isAtMost(passed, presenceExpiry + 100)
        assert.strictEqual(viewer.told[0]?.status, "offline")
        assert.isAtMost(Math.abs(Date.parse(viewer.told[0]?.lastSeenAt ?? "") - since), 50)
      })
    )

    it.effect("stays online for as long as the device is there", () =>
      Effect.gen(function* () {
        const [near, far] = [yield* presenceNode, yield* presenceNode]
        const {
          users: [ann, ben]
        } = yield* friends
        const viewer = yield* device(near, ben)
        yield* near.subscribe(viewer.connectionId, [ann])
        yield* device(far, ann)
        const since = yield* Clock.currentTimeMillis
        const clock = yield* Clock.Clock
        yield* until(() => clock.currentTimeMillisUnsafe() - since > presenceExpiry * 1.5)
        assert.deepStrictEqual(viewer.statuses(ann), ["online"])
      })
    )

    it.effect("a node that goes leaves its devices the grace, to come back elsewhere", () =>
      Effect.gen(function* () {
        const near = yield* presenceNode
        const {
          users: [ann, ben, cat]
        } = yield* friends
        const viewer = yield* device(near, cat)
        const scope = yield* Scope.make()
        const going = yield* Scope.provide(presenceNode, scope)
        yield* Scope.provide(Effect.all([device(going, ann), device(going, ben)]), scope)
        yield* near.subscribe(viewer.connectionId, [ann, ben])
        const since = yield* Clock.currentTimeMillis
        yield* Scope.close(scope, Exit.void)
        yield* device(near, ann)
        yield* until(() => viewer.told.length > 0)
        const passed = (yield* Clock.currentTimeMillis) - since
        assert.isAtLeast(passed, presenceGrace - 20)
        assert.isBelow(passed, (presenceExpiry * 3) / 4 - 100, "not when all of it lapsed")
        assert.deepStrictEqual([viewer.statuses(ann), viewer.statuses(ben)], [[], ["offline"]])
      })
    )

    it.effect("takes no more subscriptions than the setting says", () =>
      Effect.gen(function* () {
        const { presenceSubscriptions } = (yield* Settings).limits
        const presence = yield* presenceNode
        const users = yield* Effect.all(Arr.replicate(someone, presenceSubscriptions + 2))
        yield* together(...users)
        const [viewerId, ...others] = users
        const viewer = yield* device(presence, viewerId ?? UserId.make(""))
        const problem = (call: Effect.Effect<unknown, { readonly _tag: string }>) =>
          Effect.match(call, { onFailure: ({ _tag }) => _tag, onSuccess: () => "ok" })
        const subscribe = (ids: ReadonlyArray<UserId>) => problem(presence.subscribe(viewer.connectionId, ids))
        assert.strictEqual(yield* subscribe(others), "InvalidRequest")
        assert.strictEqual(yield* problem(presence.get(others[0] ?? UserId.make(""), others)), "InvalidRequest")
        assert.strictEqual(yield* subscribe(others.slice(1)), "ok")
        assert.strictEqual(yield* subscribe(others.slice(1, 3)), "ok")
        assert.strictEqual(yield* subscribe(others.slice(0, 1)), "InvalidRequest")
        yield* presence.unsubscribe(viewer.connectionId, others.slice(3, 4))
        assert.strictEqual(yield* subscribe(others.slice(0, 1)), "ok")
      })
    )
  })
}
