import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { conversationSubject } from "../../src/services/bus/Subjects.ts"
import { Typing } from "../../src/services/presence/Typing.ts"
import { Backstage, chat, dmOf, listen, nowhere, person, problem, twoOfUs } from "../support/Chat.ts"

const started = "typing.started"
const stopped = "typing.stopped"

layer(Typing.layer.pipe(Layer.provideMerge(chat.fake)))("Typing", (it) => {
  it.effect("is over when no new start came, counted from the last one", () =>
    Effect.gen(function* () {
      const typing = yield* Typing
      const { a, id } = yield* twoOfUs
      const heard = yield* listen(conversationSubject(id))
      const events = () => heard.map(({ event }) => event)
      yield* typing.start(a, id)
      yield* TestClock.adjust("2 seconds")
      yield* typing.start(a, id)
      yield* TestClock.adjust("5999 millis")
      assert.deepStrictEqual(events(), [started])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(events(), [started, stopped])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(events(), [started, stopped])
      yield* typing.start(a, id)
      assert.deepStrictEqual(events(), [started, stopped, started])
      assert.deepStrictEqual(JSON.parse(heard[1]?.json ?? ""), {
        event: stopped,
        conversationId: id,
        data: { userId: a }
      })
      assert.isTrue(heard.every(({ except }) => except === a))
    })
  )

  it.effect("a repeated start is not sent again within half the time", () =>
    Effect.gen(function* () {
      const typing = yield* Typing
      const { a, b, id } = yield* twoOfUs
      const heard = yield* listen(conversationSubject(id))
      for (let i = 0; i < 12; i++) {
        yield* typing.start(a, id)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(
        heard.map(({ event }) => event),
        [started, started, started, started]
      )
      yield* typing.start(b, id)
      const other = yield* dmOf(a, yield* person)
      const elsewhere = yield* listen(conversationSubject(other))
      yield* typing.start(a, other)
      assert.deepStrictEqual([heard.length, elsewhere.length], [5, 1])
    })
  )

  it.effect("a stop is sent at once and once, and the next start too", () =>
    Effect.gen(function* () {
      const typing = yield* Typing
      const { a, id } = yield* twoOfUs
      const heard = yield* listen(conversationSubject(id))
      yield* typing.start(a, id)
      yield* typing.stop(a, id)
      yield* typing.start(a, id)
      yield* TestClock.adjust("5 seconds")
      yield* typing.stop(a, id)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        heard.map(({ event }) => event),
        [started, stopped, started, stopped]
      )
    })
  )

  it.effect("starts and stops again and again are damped", () =>
    Effect.gen(function* () {
      const typing = yield* Typing
      const { a, b, id } = yield* twoOfUs
      const heard = yield* listen(conversationSubject(id))
      const events = () => heard.map(({ event }) => event)
      for (let i = 0; i < 50; i++) {
        yield* typing.start(a, id)
        yield* typing.stop(a, id)
      }
      assert.deepStrictEqual(events(), [started, stopped, started, stopped, stopped, stopped])
      yield* TestClock.adjust("3 seconds")
      for (let i = 0; i < 50; i++) {
        yield* typing.start(a, id)
        yield* typing.stop(a, id)
      }
      assert.deepStrictEqual(events().slice(6), [started, stopped, stopped])
      for (let i = 0; i < 50; i++) yield* typing.stop(b, id)
      assert.deepStrictEqual(events().slice(9), [stopped, stopped], "which need no start")
      const stranger = yield* person
      for (let i = 0; i < 4; i++) {
        assert.strictEqual((yield* Effect.flip(typing.start(stranger, id)))._tag, "NotFound")
        assert.strictEqual((yield* Effect.flip(typing.stop(stranger, id)))._tag, "NotFound")
      }
    })
  )

  it.effect("is not seen by non-members and former members", () =>
    Effect.gen(function* () {
      const typing = yield* Typing
      const { a, b, id } = yield* twoOfUs
      const heard = yield* listen(conversationSubject(id))
      const unknown = yield* problem(typing.start(a, nowhere))
      assert.deepInclude(unknown, { status: 404 })
      const stranger = yield* person
      for (const call of [typing.start, typing.start, typing.stop]) {
        assert.deepStrictEqual(yield* problem(call(stranger, id)), unknown)
      }
      yield* typing.start(b, id)
      yield* Backstage.use(({ leave }) => leave(id, b))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* problem(typing.start(b, id)), unknown)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        heard.map(({ event }) => event),
        [started]
      )
    })
  )
})
