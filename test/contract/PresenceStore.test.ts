import { randomUUID } from "node:crypto"
import { assert, describe, layer } from "@effect/vitest"
import { Array as Arr, Clock, Context, Effect, Layer } from "effect"
import * as FastCheck from "fast-check"
import { UserId } from "../../src/domain/Ids.ts"
import * as RedisPresence from "../../src/layers/RedisPresence.ts"
import { type Choice, PresenceStore, type Report, type Reported } from "../../src/services/PresenceStore.ts"
import { sharedRedis } from "../support/RedisServers.ts"

const reports = FastCheck.array(
  FastCheck.record({
    node: FastCheck.constantFrom("a", "b"),
    device: FastCheck.constantFrom("unsaid" as const, null, "online" as const, "away" as const),
    // Lapsed before the next report, or not within the test.
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

/** Their clocks differ by a little. */
const rough = (now: number, time: number | null | undefined) => {
  if (time == null) return null
  const ago = now - time
  return Math.abs(ago) < 2500 ? "now" : ago > 0 && ago < 10_000 ? "before" : time
}

const plain = (now: number, { changed, choice, sighting }: Reported) => ({
  status: sighting.status,
  seen: rough(now, sighting.seenAt),
  changed,
  choice: choice?.status ?? null,
  chosenAt: rough(now, choice?.at)
})

describe.skipIf(sharedRedis.skip)(sharedRedis.name, () => {
  layer(RedisPresence.layerStore.pipe(Layer.provide(sharedRedis.layer())), { excludeTestServices: true })(
    "the rule in Lua",
    (it) => {
      it.effect("is the rule in TypeScript", () =>
        Effect.gen(function* () {
          const shared = yield* PresenceStore
          const own = Context.get(yield* Layer.build(PresenceStore.layer), PresenceStore)
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
                    same: lapsed || reported?.sighting.at === seen?.at
                  }
                })
              )
            assert.deepStrictEqual(yield* answers(shared), yield* answers(own), JSON.stringify(run))
          }
        })
      )

      it.effect("takes many at once, answers in their order", () =>
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
            (yield* say).map(({ sighting }) => sighting.status),
            expected
          )
          assert.deepStrictEqual(
            (yield* store.read(userIds)).map((seen) => seen?.status),
            expected
          )
          assert.isTrue((yield* say).every(({ changed }) => !changed))
        })
      )
    }
  )
})
