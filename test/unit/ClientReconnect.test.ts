import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Context, Effect, Layer, Queue, Schema } from "effect"
import { TestClock } from "effect/testing"
import type { SocketLike } from "../../src/client/Client.ts"
import { Credentials } from "../../src/client/Credentials.ts"
import { Realtime } from "../../src/client/Realtime.ts"
import { UserId } from "../../src/domain/Ids.ts"
import { RateLimited } from "../../src/domain/Problem.ts"

const me = "01890000-0000-7000-8000-000000000001"

/** What a test does to an attempt to connect. */
interface Attempt {
  /** The socket opens, and hello is answered with this. */
  readonly answer: (answer: object) => Effect.Effect<void>
  readonly lose: Effect.Effect<void>
}

/** A client whose attempts to connect are taken from a queue. */
const client = Effect.gen(function* () {
  const attempts = yield* Queue.unbounded<Attempt>()
  const openSocket = (): SocketLike => {
    const listeners = new Map<string, (event: { readonly code: number; readonly data: unknown }) => void>()
    const tell = (type: string, data?: object) => listeners.get(type)?.({ code: 1006, data: JSON.stringify(data) })
    let reply: object = {}
    Queue.offerUnsafe(attempts, {
      answer: (answer) =>
        Effect.sync(() => {
          reply = answer
          tell("open")
        }),
      lose: Effect.sync(() => tell("close"))
    })
    return {
      send: (text) => {
        const { id, op } = JSON.parse(text)
        tell("message", { id, ...reply })
        if (op === "hello" && "ok" in reply)
          tell("message", { event: "ready", data: { conversations: [], done: true } })
      },
      close: () => {},
      addEventListener: (
        type: string,
        listener: (event: { readonly code: number; readonly data: unknown }) => void
      ) => {
        listeners.set(type, listener)
      }
    }
  }
  const credentials = Credentials.of({
    userId: UserId.make(me),
    token: Effect.succeed("token"),
    renewed: () => Effect.succeed("token")
  })
  const layer = Realtime.layer({ url: "http://localhost", openSocket })
  const built = yield* Layer.build(Layer.provide(layer, Layer.succeed(Credentials, credentials)))
  return { attempts, realtime: Context.get(built, Realtime) }
})

const user = {
  id: me,
  username: "ann",
  displayName: "Ann",
  avatarUrl: null,
  createdAt: "2026-01-01T00:00:00.000Z",
  email: ""
}
const greeting = { ok: { user, userSeq: 0, heartbeatMs: 60_000 } }

const tooMuch = { error: Schema.encodeSync(RateLimited)(new RateLimited({ retryAfterMs: 20_000 })) }

/** Lets the client do all that needs no time. */
const settled = Effect.forEach(Arr.range(1, 100), () => Effect.yieldNow, { discard: true })

describe("the pauses between attempts to connect", () => {
  it.effect("end at a wake, also one that comes during the attempt before", () =>
    Effect.gen(function* () {
      const { attempts, realtime } = yield* client
      for (const _ of [1, 2, 3]) {
        const { lose } = yield* Queue.take(attempts)
        yield* realtime.wake
        yield* lose
        yield* settled
        assert.strictEqual(yield* Queue.size(attempts), 1)
      }
      yield* (yield* Queue.take(attempts)).lose
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
        yield* (yield* Queue.take(attempts)).lose
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

  it.effect("do not end at a wake that came before the connection was there", () =>
    Effect.gen(function* () {
      const { attempts, realtime } = yield* client
      const { answer, lose } = yield* Queue.take(attempts)
      yield* realtime.wake
      yield* answer(greeting)
      yield* settled
      assert.strictEqual((yield* realtime.state).connection.status, "online")
      yield* lose
      yield* settled
      assert.strictEqual((yield* realtime.state).connection.status, "waiting")
      assert.strictEqual(yield* Queue.size(attempts), 0)
    })
  )

  it.effect("last as long as the service asked for, whatever wakes the client", () =>
    Effect.gen(function* () {
      const { attempts, realtime } = yield* client
      const { answer } = yield* Queue.take(attempts)
      yield* realtime.wake
      yield* answer(tooMuch)
      yield* settled
      yield* realtime.wake
      yield* TestClock.adjust(19_999)
      assert.deepStrictEqual((yield* realtime.state).connection, { status: "waiting", pauseMs: 20_000 })
      assert.strictEqual(yield* Queue.size(attempts), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Queue.size(attempts), 1)
    })
  )
})
