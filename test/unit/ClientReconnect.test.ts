import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Effect, Layer, Queue } from "effect"
import { TestClock } from "effect/testing"
import type { SocketLike } from "../../src/client/Client.ts"
import { Credentials } from "../../src/client/Credentials.ts"
import { Realtime } from "../../src/client/Realtime.ts"
import { UserId } from "../../src/domain/Ids.ts"

/** A client whose attempts to connect are taken from a queue. Each of them is lost by the effect that is taken. */
const client = Effect.gen(function* () {
  const attempts = yield* Queue.unbounded<Effect.Effect<void>>()
  const openSocket = (): SocketLike => ({
    send: () => {},
    close: () => {},
    addEventListener: (type: string, listener: (event: { readonly code: number; readonly data: unknown }) => void) => {
      if (type !== "close") return
      Queue.offerUnsafe(
        attempts,
        Effect.sync(() => listener({ code: 1006, data: undefined }))
      )
    }
  })
  const credentials = Credentials.of({
    userId: UserId.make("01890000-0000-7000-8000-000000000001"),
    token: Effect.succeed("token"),
    renewed: () => Effect.succeed("token")
  })
  const layer = Realtime.layer({ url: "http://localhost", openSocket })
  const built = yield* Layer.build(Layer.provide(layer, Layer.succeed(Credentials, credentials)))
  return { attempts, realtime: Context.get(built, Realtime) }
})

/** Lets the client do all that needs no time. */
const settled = Effect.forEach(Arr.range(1, 100), () => Effect.yieldNow, { discard: true })

describe("the pauses between attempts to connect", () => {
  it.effect("end at a wake, also one that comes during the attempt before", () =>
    Effect.gen(function* () {
      const { attempts, realtime } = yield* client
      for (const _ of [1, 2, 3]) {
        const lose = yield* Queue.take(attempts)
        yield* realtime.wake
        yield* lose
        yield* settled
        assert.strictEqual(yield* Queue.size(attempts), 1)
      }
      yield* Effect.flatten(Queue.take(attempts))
      yield* settled
      assert.strictEqual(yield* Queue.size(attempts), 0, "each wake ends one pause")
      yield* realtime.wake
      yield* settled
      assert.strictEqual(yield* Queue.size(attempts), 1)
    })
  )

  it.effect("are short again after a wake, however long there was no network", () =>
    Effect.gen(function* () {
      const { attempts, realtime } = yield* client
      /** Loses the attempt that is under way, and gives the pause after it. */
      const pause = Effect.gen(function* () {
        yield* Effect.flatten(Queue.take(attempts))
        yield* settled
        const { connection } = yield* realtime.state
        return connection.status === "waiting" ? connection.pauseMs : assert.fail(connection.status)
      })
      for (let failures = 0; failures < 10; failures++) yield* TestClock.adjust(yield* pause)
      yield* pause
      for (const _ of [1, 2, 3, 4, 5]) {
        yield* realtime.wake
        assert.isAtMost(yield* pause, 1000)
      }
    })
  )
})
