import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Array as Arr, Clock, Context, Effect, Layer } from "effect"
import * as FastCheck from "fast-check"
import { UserId } from "../../../src/domain/Ids.ts"
import { Redis } from "../../../src/layers/redis/Redis.ts"
import * as RedisPresence from "../../../src/layers/redis/RedisPresence.ts"
import * as InProcessPresenceStore from "../../../src/services/presence/InProcessPresenceStore.ts"
import { type Choice, PresenceStore, type Report, type Reported } from "../../../src/services/presence/PresenceStore.ts"
import { sharedRedis } from "../../support/RedisServers.ts"
import { counting, sample } from "../../support/Samples.ts"

const reports = FastCheck.array(
  FastCheck.record({
    node: FastCheck.constantFrom("a", "b"),
    device: FastCheck.constantFrom("unsaid" as const, null, "online" as const, "away" as const),
    // A report expires before the next one, or not within the test.
    lifetimeMs: FastCheck.constantFrom(1, 60_000),
    agoMs: FastCheck.constantFrom(0, 5000),
    choice: FastCheck.option(
      FastCheck.record({
        status: FastCheck.constantFrom<Choice>("auto", "online", "away", "dnd", "invisible"),
        at: FastCheck.constantFrom(null, 1, 10_000_000_000_000)
      }),
      { nil: undefined }
    )
  }),
  { minLength: 1, maxLength: 12 }
)

/** Compares times roughly, because the clocks of Redis and the test differ a little. */
const rough = (now: number, time: number | null | undefined) => {
  if (time == null) return null
  const ago = now - time
  return Math.abs(ago) < 2500 ? "now" : ago > 0 && ago < 10_000 ? "before" : time
}

const plain = (now: number, { changed, choice, observed }: Reported) => ({
  status: observed.status,
  seen: rough(now, observed.seenAt),
  changed,
  choice: choice?.status ?? null,
  chosenAt: rough(now, choice?.at)
})

describe.skipIf(sharedRedis.skip)(sharedRedis.name, () => {
  layer(RedisPresence.layerStore.pipe(Layer.provideMerge(sharedRedis.layer()), Layer.provideMerge(counting)), {
    excludeTestServices: true
  })("the rule in Lua", (it) => {
    it.effect("gives the same answers as the rule in TypeScript", () =>
      Effect.gen(function* () {
        const shared = yield* PresenceStore
        const own = Context.get(yield* Layer.build(InProcessPresenceStore.layer), PresenceStore)
        for (const run of FastCheck.sample(reports, 60)) {
          const userId = UserId.make(randomUUID())
          const answers = (store: PresenceStore["Service"]) =>
            Effect.forEach(run, ({ device, node, ...rest }) =>
              Effect.gen(function* () {
                const report: Report = { userId, ...rest, ...(device !== "unsaid" && { device }) }
                const [reported] = yield* store.report(node, [report])
                const lapsed = report.lifetimeMs === 1
                if (lapsed) yield* Effect.sleep("3 millis")
                const [read] = yield* store.read([userId])
                const seen = read ?? null
                const now = yield* Clock.currentTimeMillis
                return {
                  ...(reported && plain(now, reported)),
                  read: seen && { status: seen.status, seen: rough(now, seen.seenAt) },
                  same: lapsed || reported?.observed.at === seen?.at
                }
              })
            )
          assert.deepStrictEqual(yield* answers(shared), yield* answers(own), JSON.stringify(run))
        }
      })
    )

    it.effect("deletes and counts keys that the service has not written, and keeps all other users", () =>
      Effect.gen(function* () {
        const store = yield* PresenceStore
        const { prefix, use } = yield* Redis
        const userIds = Arr.makeBy(8, () => UserId.make(randomUUID()))
        const [list, text, endless, odd, choice, numbers, status, fine] = userIds.map((id) => `${prefix}presence:${id}`)
        const say = store.report(
          "node",
          userIds.map((userId) => ({ userId, device: "online" as const, lifetimeMs: 60_000, agoMs: 0 }))
        )
        const spoil = use((client) =>
          client
            .pipeline()
            .del(`${list}`, `${text}`)
            .rpush(`${list}`, "x")
            .set(`${text}`, "x")
            .persist(`${endless}`)
            .hset(`${odd}`, "n:other", "what is this")
            .hset(`${choice}`, "choice", "upside 1")
            .hset(`${numbers}`, "seen", "yesterday", "at", "-1")
            .hset(`${status}`, "n:other", "busy 1 99999999999999")
            .exec()
        )
        yield* say
        yield* spoil
        const read = yield* store.read(userIds)
        assert.deepStrictEqual(
          read.map((seen) => seen?.status),
          [undefined, undefined, ...Arr.replicate("online" as const, 6)]
        )
        assert.isTrue(read.every((seen) => seen === null || Number.isFinite(seen.at)))
        const deleted = sample(`chat_redis_keys_deleted_total{kind="presence"}`)
        assert.strictEqual(yield* deleted, 2)
        yield* spoil
        assert.deepStrictEqual(
          (yield* say).map(({ observed }) => observed.status),
          Arr.replicate("online" as const, 8)
        )
        assert.strictEqual(yield* deleted, 2 + 7)
        assert.isAbove(yield* use((client) => client.pttl(`${endless}`)), 0)
        assert.isAbove(yield* use((client) => client.pttl(`${fine}`)), 0)
        yield* say
        assert.strictEqual(yield* deleted, 2 + 7)
      })
    )

    it.effect("takes many reports at once, and answers in their order", () =>
      Effect.gen(function* () {
        const store = yield* PresenceStore
        const userIds = Arr.makeBy(700, () => UserId.make(randomUUID()))
        const say = store.report(
          "node",
          userIds.map((userId, i) => ({
            userId,
            device: i % 2 === 0 ? ("online" as const) : ("away" as const),
            lifetimeMs: 60_000,
            agoMs: 0
          }))
        )
        const expected = userIds.map((_, i) => (i % 2 === 0 ? "online" : "away"))
        assert.deepStrictEqual(
          (yield* say).map(({ observed }) => observed.status),
          expected
        )
        assert.deepStrictEqual(
          (yield* store.read(userIds)).map((seen) => seen?.status),
          expected
        )
        assert.isTrue((yield* say).every(({ changed }) => !changed))
      })
    )
  })
})
