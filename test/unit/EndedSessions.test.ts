import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { SessionId } from "../../src/domain/Ids.ts"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import { makeEndedSessions } from "../../src/services/identity/EndedSessions.ts"
import { type EndedSession, SessionStorage } from "../../src/services/identity/SessionStorage.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

const id = SessionId.make("00000000-0000-7000-8000-000000000001")

it.effect("a session that ends while the node looks at ended sessions is notified once", () => {
  const ended: Array<EndedSession> = []
  let looks = 0
  return Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const endedAfter = Effect.fnUntraced(function* () {
      const seen = [...ended]
      if (++looks === 2) {
        yield* Deferred.succeed(begun, undefined)
        yield* Deferred.await(release)
      }
      return seen
    })
    const heard: Array<SessionId> = []
    yield* Effect.gen(function* () {
      const { onEnded, publish } = yield* makeEndedSessions(() => {})
      yield* onEnded((ids) => heard.push(...ids))
      yield* TestClock.adjust("1 second")
      yield* Deferred.await(begun)
      yield* publish(
        Effect.sync(() => {
          ended.push({ id, endedSeq: 1, closed: false })
          return [id]
        })
      )
      yield* Deferred.succeed(release, undefined)
      yield* TestClock.adjust("3 seconds")
      assert.isAbove(looks, 3)
      assert.deepStrictEqual(heard, [id])
    }).pipe(
      Effect.provide(
        Layer.mergeAll(Layer.mock(SessionStorage)({ endedAfter }), PubSub.layer, SettingsMemory.layerMemory())
      )
    )
  })
})
