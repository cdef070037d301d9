import { assert, it } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { Limits } from "../../src/services/platform/Limits.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { connect } from "../support/Client.ts"
import { makeSteppingClock } from "../support/SteppingClock.ts"

const tenMinutes = 600_000

it.live("the limits, heartbeats and typing of sockets go on while the time of day steps back and forth", () =>
  Effect.gen(function* () {
    const { clock, step } = yield* makeSteppingClock
    const settings = {
      server: { port: 0 },
      limits: { commandsPerSecond: 50, commandsBurst: 5 },
      timers: { heartbeat: 200, heartbeatAnswer: 20_000, typing: 300 }
    }
    yield* Effect.gen(function* () {
      const { signIn, url } = yield* TestService
      const [ann, bob] = [yield* signIn("ann"), yield* signIn("bob")]
      const [a, b] = [yield* connect(url), yield* connect(url)]
      yield* a.ready(ann.accessToken)
      yield* b.ready(bob.accessToken)
      const group = yield* a.ok("conversation.create", { kind: "group", title: "Us", memberIds: [bob.user.id] })
      const conversationId = Object(group).id
      for (const by of [-tenMinutes, tenMinutes, tenMinutes, -tenMinutes]) {
        yield* step(by)
        // More commands than the burst, each sent when the previous one is answered: the tokens come back in time.
        for (let n = 0; n < 10; n++) {
          yield* a.ok("ping")
          yield* Effect.sleep("25 millis")
        }
        yield* a.next(({ json }) => Object(json).event === "ping")
        yield* a.ok("typing.start", { conversationId })
        yield* b.next(({ json }) => Object(json).event === "typing.started")
        yield* step(by)
        yield* b.next(({ json }) => Object(json).event === "typing.stopped")
        yield* step(-by)
      }
    }).pipe(Effect.scoped, Effect.provide(TestService.layer(settings)), Effect.provideService(Clock.Clock, clock))
  })
)

it.live("a limit ends when its window has passed, whatever the time of day says", () =>
  Effect.gen(function* () {
    const { clock, step } = yield* makeSteppingClock
    const once = Effect.flatMap(Limits, (limits) => limits.consume("test:key", 1, "3 seconds"))
    yield* Effect.gen(function* () {
      yield* once
      const { retryAfterMs } = yield* Effect.flip(once)
      assert.isAtMost(retryAfterMs, 3000)
      yield* step(-tenMinutes)
      assert.isAtMost((yield* Effect.flip(once)).retryAfterMs, 3000)
      yield* Effect.retry(once, Schedule.spaced("20 millis"))
      yield* step(tenMinutes)
      yield* Effect.flip(once)
    }).pipe(Effect.provide(Limits.layer), Effect.provideService(Clock.Clock, clock))
  })
)
