import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Clock, Effect, Exit, Layer, Scope } from "effect"
import { UserId } from "../../../src/domain/Ids.ts"
import type { ChosenStatus, Presence as PresenceOf } from "../../../src/domain/Presence.ts"
import { encodeEphemeral, PubSub } from "../../../src/services/bus/PubSub.ts"
import { presenceSubject } from "../../../src/services/bus/Subjects.ts"
import { Settings } from "../../../src/services/platform/Settings.ts"
import type { Presence } from "../../../src/services/presence/Presence.ts"
import { PresenceStore } from "../../../src/services/presence/PresenceStore.ts"
import type { Memory } from "../../../src/testing/memory/State.ts"
import { device, friends, presenceNode, presenceTimers, someone, together } from "../../support/Presences.ts"

const { presenceExpiry, presenceGrace } = presenceTimers

/** The contract of Presence on every Layer of PresenceStore. `tick` lets a little time pass. */
export const presenceContract = <E>(
  name: string,
  layer: Layer.Layer<PresenceStore | PubSub | Memory | Settings, E>,
  options: { readonly tick: Effect.Effect<void>; readonly excludeTestServices: boolean }
) => {
  const until = (holds: () => boolean) => Effect.repeat(options.tick, { until: holds })
  /** Checks an upper bound of a duration. Only a simulated clock can keep it, since a real one goes on while others run. */
  const lastsAtMost = (passed: number, most: number, why?: string) => {
    if (!options.excludeTestServices) assert.isAtMost(passed, most, why)
  }
  const status = (presence: Presence["Service"], viewer: UserId, userId: UserId) =>
    Effect.map(presence.get(viewer, [userId]), ([seen]) => seen?.status)
  const untilStatus = (presence: Presence["Service"], viewer: UserId, userId: UserId, wanted: string) =>
    Effect.andThen(options.tick, status(presence, viewer, userId)).pipe(
      Effect.repeat({ until: (status) => status === wanted })
    )

  withLayer(layer, options)(name, (it) => {
    it.effect(
      "a user is online from the first device on, and offline after the grace period, last seen at the disconnect",
      () =>
        Effect.gen(function* () {
          const presence = yield* presenceNode
          const {
            users: [ann, ben]
          } = yield* friends
          assert.deepStrictEqual(yield* presence.get(ben, [ann, ben]), [
            { userId: ann, status: "offline", lastSeenAt: null },
            { userId: ben, status: "offline", lastSeenAt: null }
          ])
          const start = yield* Clock.currentTimeMillis
          const phone = yield* device(presence, ann)
          const [online] = yield* presence.get(ben, [ann])
          assert.strictEqual(online?.status, "online")
          const before = yield* Clock.currentTimeMillis
          assert.isAtLeast(Date.parse(online?.lastSeenAt ?? ""), start - 5)
          assert.isAtMost(Date.parse(online?.lastSeenAt ?? ""), before + 5)
          yield* phone.close
          const closed = yield* Clock.currentTimeMillis
          assert.strictEqual(yield* status(presence, ben, ann), "online")
          yield* untilStatus(presence, ben, ann, "offline")
          const after = yield* Clock.currentTimeMillis
          assert.isAtLeast(after - before, presenceGrace)
          lastsAtMost(after - before, presenceExpiry / 2, "said, and not only lapsed")
          const [offline] = yield* presence.get(ben, [ann])
          const seen = Date.parse(offline?.lastSeenAt ?? "")
          assert.isAtLeast(seen, before - 5)
          assert.isAtMost(seen, closed + 5, "not when the grace was over")
        })
    )

    it.effect("sends each change to subscribers, and nothing about a device that is back within the grace period", () =>
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
        yield* until(() => viewer.received.length === 2)
        yield* first.close
        yield* other.close
        const again = yield* device(presence, ann)
        yield* until(() => viewer.statuses(ben).includes("offline"))
        assert.deepStrictEqual(viewer.statuses(ann), ["online"])
        yield* again.close
        yield* until(() => viewer.statuses(ann).length === 2)
        assert.deepStrictEqual(viewer.statuses(ann), ["online", "offline"])
        assert.isString(viewer.received.at(-1)?.lastSeenAt)
      })
    )

    it.effect("sends the last profile of a user to subscribers, and to nobody else", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const pubsub = yield* PubSub
        const {
          users: [ann, ben, cat]
        } = yield* friends
        const [viewer, other] = [yield* device(presence, cat), yield* device(presence, ben)]
        yield* presence.subscribe(viewer.connectionId, [ann])
        const named = (displayName: string) => {
          const user = { id: ann, username: "ann", displayName, avatarUrl: null, createdAt: "2026-01-01T00:00:00.000Z" }
          return encodeEphemeral({ event: "user.updated", data: { user } })
        }
        for (const name of ["Ann", "Anna"]) yield* pubsub.publish(presenceSubject(ann), [named(name)])
        yield* until(() => viewer.events.at(-1)?.json === named("Anna").json)
        yield* presence.unsubscribe(viewer.connectionId, [ann])
        yield* pubsub.publish(presenceSubject(ann), [named("Hannah")])
        const phone = yield* device(presence, ben)
        yield* presence.subscribe(viewer.connectionId, [ben])
        yield* presence.set(ben, "dnd")
        yield* until(() => viewer.statuses(ben).includes("dnd"))
        assert.strictEqual(viewer.events.findLast(({ event }) => event === "user.updated")?.json, named("Anna").json)
        assert.deepStrictEqual([...other.events, ...phone.events], [])
      })
    )

    it.effect("merges devices: one device in use makes the user online", () =>
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

    it.effect("a choice holds for all devices, later ones included, until the next choice", () =>
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

    it.effect("shows no presence to strangers", () =>
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
        yield* until(() => friend.received.length === 1)
        assert.deepStrictEqual(spy.received, [])
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
        yield* until(() => former.received.length > 0)
        assert.deepStrictEqual(former.received, [{ userId: ann, status: "offline", lastSeenAt: null }])
        yield* presence.set(ann, "dnd")
        yield* until(() => friend.received.length === 1)
        assert.strictEqual(former.received.length, 1)
      })
    )

    it.effect(
      "sends only the last of quick changes, one event for all watchers, and nothing when the last equals the first",
      () =>
        Effect.gen(function* () {
          const presence = yield* presenceNode
          const {
            users: [ann, ben, cat]
          } = yield* friends
          const viewers = yield* Effect.all([device(presence, cat), device(presence, cat)])
          for (const { connectionId } of viewers) yield* presence.subscribe(connectionId, [ann, ben])
          yield* device(presence, ann)
          yield* device(presence, ben)
          yield* until(() => viewers.every(({ received }) => received.length === 2))
          const quickly = (userId: UserId, ...statuses: ReadonlyArray<ChosenStatus>) =>
            Effect.forEach(statuses, (status) => presence.set(userId, status), { concurrency: "unbounded" })
          yield* Effect.all([quickly(ann, "dnd", "away", "online"), quickly(ben, "away", "online", "dnd")], {
            concurrency: 2
          })
          yield* until(() => viewers.every(({ received }) => received.length === 3))
          for (const viewer of viewers) {
            assert.deepStrictEqual(viewer.statuses(ann), ["online"])
            assert.deepStrictEqual(viewer.statuses(ben), ["online", "dnd"])
          }
          assert.strictEqual(viewers[0].events[2], viewers[1].events[2])
        })
    )

    it.effect("sends the current state to a watcher that refused a change", () =>
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
        yield* until(() => quick.received.length === 2)
        yield* presence.set(ann, "dnd")
        yield* until(() => quick.received.length === 3)
        slow.state.refuses = false
        yield* until(() => slow.received.length === 2)
        assert.deepStrictEqual([slow.statuses(ann), slow.statuses(ben)], [["dnd"], ["online"]])
      })
    )

    it.effect("sends nothing after unsubscribing, nor after the viewer has disconnected", () =>
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
        yield* until(() => stays.received.length === 2)
        assert.deepStrictEqual([left.received.map(({ userId }) => userId), closed.received], [[ben], []])
        assert.deepStrictEqual(
          (yield* presence.subscribe(closed.connectionId, [ann])).map(({ status }) => status),
          ["offline"]
        )
      })
    )

    it.effect("each node knows the changes of the others", () =>
      Effect.gen(function* () {
        const [near, far] = [yield* presenceNode, yield* presenceNode]
        const {
          users: [ann, ben]
        } = yield* friends
        const viewer = yield* device(near, ben)
        yield* near.subscribe(viewer.connectionId, [ann])
        const phone = yield* device(far, ann)
        yield* until(() => viewer.received.length === 1)
        const laptop = yield* device(near, ann)
        yield* phone.close
        yield* far.set(ann, "dnd")
        yield* until(() => viewer.received.length === 2)
        yield* laptop.close
        yield* until(() => viewer.received.length === 3)
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
        yield* until(() => viewer.received.length === 1)
        assert.strictEqual(viewer.received[0]?.status, "online")
        lastsAtMost((yield* Clock.currentTimeMillis) - since, presenceExpiry / 2)
      })
    )

    it.effect("the devices of a dead node disappear within the expiry", () =>
      Effect.gen(function* () {
        const presence = yield* presenceNode
        const {
          users: [ann, ben]
        } = yield* friends
        const viewer = yield* device(presence, ben)
        const store = yield* PresenceStore
        // The report is sent once and then repeated, as a node does.
        const lifetimeMs = (presenceExpiry * 3) / 4
        const start = yield* Clock.currentTimeMillis
        yield* store.report("dead", [{ userId: ann, device: "online", lifetimeMs, agoMs: 0 }])
        const since = yield* Clock.currentTimeMillis
        const [answer] = yield* presence.subscribe(viewer.connectionId, [ann])
        assert.strictEqual(answer?.status, "online")
        yield* until(() => viewer.received.length === 1)
        const passed = (yield* Clock.currentTimeMillis) - since
        assert.isAtLeast(passed + since - start, lifetimeMs - 20)
        lastsAtMost(passed, presenceExpiry + 100)
        assert.strictEqual(viewer.received[0]?.status, "offline")
        assert.isAtLeast(Date.parse(viewer.received[0]?.lastSeenAt ?? ""), start - 5)
        assert.isAtMost(Date.parse(viewer.received[0]?.lastSeenAt ?? ""), since + 5)
      })
    )

    it.effect("a user stays online for as long as a device is connected", () =>
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

    it.effect("a node that stops leaves its devices the grace period to reconnect elsewhere", () =>
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
        yield* until(() => viewer.received.length > 0)
        const passed = (yield* Clock.currentTimeMillis) - since
        assert.isAtLeast(passed, presenceGrace - 20)
        lastsAtMost(passed, (presenceExpiry * 3) / 4 - 100, "not when all of it lapsed")
        assert.deepStrictEqual([viewer.statuses(ann), viewer.statuses(ben)], [[], ["offline"]])
      })
    )

    it.effect("refuses more subscriptions than the setting allows", () =>
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
