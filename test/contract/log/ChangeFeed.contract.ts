import { assert, layer as withLayer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, type Layer } from "effect"
import type { ConversationId } from "../../../src/domain/Ids.ts"
import { type Change, ChangeFeed } from "../../../src/services/log/ChangeFeed.ts"
import { type Chat, entryOf, groupOf, person, store, twoOfUs, until } from "../../support/Chat.ts"

let consumers = 0

/** A consumer that begins now, and its calls. */
export const makeConsumer = Effect.gen(function* () {
  const feed = yield* ChangeFeed
  const name = `consumer ${consumers++}`
  const consume = (handled: (changes: ReadonlyArray<Change>) => number, most = 100) =>
    feed.consume(name, most, (changes) => Effect.succeed({ changes, handled: handled(changes) }))
  yield* feed.consume(name, 1, () => Effect.succeed({ handled: 0 }))
  return { name, consume }
})

const allOf = (changes: ReadonlyArray<Change>) => changes.length

/** Consumes until the events of a conversation up to `seq` were given, and returns what was given of it. */
const upTo = Effect.fnUntraced(function* (
  { consume }: Effect.Success<typeof makeConsumer>,
  id: ConversationId,
  seq: number
) {
  const given: Array<Change> = []
  yield* until(
    Effect.map(consume(allOf), (done) => {
      given.push(...(done?.changes ?? []).filter(({ conversationId }) => conversationId === id))
      return given.some(({ lastSeq }) => lastSeq >= seq)
    })
  )
  return given
})

/** The seqs of changes, in their order. */
export const seqsOf = (changes: ReadonlyArray<Change>) =>
  changes.flatMap(({ firstSeq, lastSeq }) => Array.from({ length: lastSeq - firstSeq + 1 }, (_, n) => firstSeq + n))

export const changeFeedContract = <E>(layer: Layer.Layer<Chat, E>) =>
  withLayer(layer)("the change feed", (it) => {
    it.effect(
      "gives a consumer what is written after its first call, each event once and in the order of its log",
      () =>
        Effect.gen(function* () {
          const { a, id } = yield* twoOfUs
          yield* store(entryOf(id, a))
          const consumer = yield* makeConsumer
          for (let n = 0; n < 3; n++) yield* store(entryOf(id, a))
          const given = yield* upTo(consumer, id, 5)
          // Those before may be given too, if they were written just before.
          assert.deepStrictEqual(
            seqsOf(given).filter((seq) => seq > 2),
            [3, 4, 5]
          )
          yield* store(entryOf(id, a))
          assert.deepStrictEqual(seqsOf(yield* upTo(consumer, id, 6)), [6])
        })
    )

    it.effect("gives again what was not handled", () =>
      Effect.gen(function* () {
        const owner = yield* person
        const consumer = yield* makeConsumer
        const ids = [yield* groupOf(owner), yield* groupOf(owner), yield* groupOf(owner)]
        yield* until(
          Effect.map(
            consumer.consume(() => 0),
            (done) => ids.every((id) => done?.changes.some(({ conversationId }) => conversationId === id))
          )
        )
        const given: Array<ConversationId> = []
        yield* until(
          Effect.map(
            consumer.consume(() => 1),
            (done) => {
              given.push(...(done?.changes ?? []).slice(0, 1).map(({ conversationId }) => conversationId))
              return done === undefined
            }
          )
        )
        assert.sameMembers(
          given.filter((id) => ids.includes(id)),
          ids
        )
        assert.lengthOf(new Set(given), given.length)
      })
    )

    it.effect("gives at most as many changes as the consumer wants", () =>
      Effect.gen(function* () {
        const owner = yield* person
        const consumer = yield* makeConsumer
        const ids = [yield* groupOf(owner), yield* groupOf(owner), yield* groupOf(owner)]
        const given: Array<ConversationId> = []
        yield* until(
          Effect.map(consumer.consume(allOf, 2), (done) => {
            assert.isAtMost(done?.changes.length ?? 0, 2)
            given.push(...(done?.changes ?? []).map(({ conversationId }) => conversationId))
            return ids.every((id) => given.includes(id))
          })
        )
      })
    )

    it.effect("gives the same again after a failure or an interruption", () =>
      Effect.gen(function* () {
        const feed = yield* ChangeFeed
        const consumer = yield* makeConsumer
        const { id } = yield* twoOfUs
        const seen = yield* Deferred.make<void>()
        yield* until(
          Effect.map(
            Effect.exit(
              feed.consume(consumer.name, 100, (changes) =>
                changes.some(({ conversationId }) => conversationId === id)
                  ? Effect.fail("broken" as const)
                  : Effect.succeed({ handled: 0 })
              )
            ),
            Exit.isFailure
          )
        )
        const stuck = yield* Effect.forkChild(
          feed.consume(consumer.name, 100, () => Effect.andThen(Deferred.succeed(seen, undefined), Effect.never))
        )
        yield* Deferred.await(seen)
        yield* Fiber.interrupt(stuck)
        assert.deepStrictEqual(seqsOf(yield* upTo(consumer, id, 1)), [1])
      })
    )

    it.effect("gives nothing to a consumer that is at work, and does not let it keep others waiting", () =>
      Effect.gen(function* () {
        const feed = yield* ChangeFeed
        const [consumer, other] = [yield* makeConsumer, yield* makeConsumer]
        const { id } = yield* twoOfUs
        const [seen, go] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const working = yield* feed
          .consume(consumer.name, 100, (changes) =>
            Effect.as(Effect.andThen(Deferred.succeed(seen, undefined), Deferred.await(go)), {
              handled: changes.length
            })
          )
          .pipe(Effect.repeat({ until: (done) => done !== undefined }), Effect.forkChild)
        yield* Deferred.await(seen)
        assert.isUndefined(yield* consumer.consume(allOf))
        assert.deepStrictEqual(seqsOf(yield* upTo(other, id, 1)), [1])
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(working)
        yield* groupOf(yield* person)
        yield* until(Effect.map(consumer.consume(allOf), (done) => done !== undefined))
      })
    )
  })
