import { randomUUIDv7 } from "node:crypto"
import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, Exit, type Layer, Scope } from "effect"
import { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { membershipChanged, PubSub } from "../../../src/services/bus/PubSub.ts"
import { conversationSubject, type Published, userSubject } from "../../../src/services/bus/Subjects.ts"
import { listen, until } from "../../support/Chat.ts"

const aConversation = Effect.sync(() => ConversationId.make(randomUUIDv7()))

const eventOf = (id: ConversationId, seq: number): Published => ({
  event: "message.created",
  conversationId: id,
  seq,
  except: null,
  refersTo: null,
  json: JSON.stringify({ event: "message.created", seq, body: "Grüße 👋 \u2028" })
})

const seqs = (events: ReadonlyArray<Published>) => events.map(({ seq }) => seq)

/**
 * The contract of every Layer of PubSub while it is healthy. `other` gives the bus as another node sees it, which is
 * the same one when there is only one node.
 */
export const pubSubContract = <E>(
  layer: Layer.Layer<PubSub, E>,
  other: Effect.Effect<PubSub["Service"], never, PubSub> = PubSub
) => {
  // The time of a message counts, so that all nodes need the same clock.
  withLayer(layer, { excludeTestServices: true })("PubSub", (it) => {
    const setup = Effect.gen(function* () {
      const id = yield* aConversation
      const publisher = yield* other
      const publish = (...from: ReadonlyArray<number>) =>
        publisher.publish(
          conversationSubject(id),
          from.map((seq) => eventOf(id, seq))
        )
      return { id, subject: conversationSubject(id), publish }
    })

    it.effect("delivers everything that is published after the subscription, complete and in order", () =>
      Effect.gen(function* () {
        const { id, publish, subject } = yield* setup
        yield* publish(1)
        const heard = yield* listen(subject)
        yield* publish(2, 3, 4)
        yield* Effect.forEach(Arr.range(5, 300), (seq) => publish(seq))
        yield* until(Effect.sync(() => heard.at(-1)?.seq === 300))
        // From another node, 1 may still be on its way when the subscription begins.
        assert.deepStrictEqual(
          heard.filter(({ seq }) => seq !== 1),
          Arr.range(2, 300).map((seq) => eventOf(id, seq))
        )
      })
    )

    it.effect("a confirmed subscription misses no event that is published right after it", () =>
      Effect.gen(function* () {
        yield* Effect.forEach(
          Arr.range(1, 50),
          () =>
            Effect.gen(function* () {
              const { publish, subject } = yield* setup
              const heard = yield* listen(subject)
              yield* publish(1)
              yield* until(Effect.sync(() => heard.length > 0))
            }),
          { concurrency: 10 }
        )
      })
    )

    it.effect("every subscriber gets every event, also after another one has left", () =>
      Effect.gen(function* () {
        const pubsub = yield* PubSub
        const { publish, subject } = yield* setup
        const heard: Array<Published> = []
        const onEvents = (events: ReadonlyArray<Published>) => heard.push(...events)
        const [first, second] = [yield* Scope.make(), yield* Scope.make()]
        yield* pubsub.subscribe(subject, onEvents).pipe(Scope.provide(first))
        yield* pubsub.subscribe(subject, onEvents).pipe(Scope.provide(second))
        const third = yield* listen(subject)
        yield* publish(1)
        yield* until(Effect.sync(() => heard.length === 2 && third.length === 1))
        yield* Scope.close(first, Exit.void)
        yield* publish(2)
        yield* until(Effect.sync(() => heard.length >= 3 && third.length === 2))
        yield* Scope.close(second, Exit.void)
        yield* publish(3)
        yield* until(Effect.sync(() => third.length === 3))
        assert.deepStrictEqual(seqs(heard), [1, 1, 2])
        const back = yield* listen(subject)
        yield* publish(4)
        yield* until(Effect.sync(() => back.length > 0))
        assert.deepStrictEqual(seqs(back), [4])
      })
    )

    it.effect("delivers events to the subscribers of their own subject only", () =>
      Effect.gen(function* () {
        const { id, publish, subject } = yield* setup
        const user = UserId.make(randomUUIDv7())
        const elsewhere = yield* listen(conversationSubject(yield* aConversation))
        const toUser = yield* listen(userSubject(user))
        const here = yield* listen(subject)
        yield* publish(1)
        yield* (yield* other).publish(userSubject(user), [membershipChanged(id)])
        yield* until(Effect.sync(() => here.length > 0 && toUser.length > 0))
        assert.deepStrictEqual(seqs(here), [1])
        assert.deepStrictEqual(toUser, [membershipChanged(id)])
        assert.deepStrictEqual(elsewhere, [])
      })
    )

    it.effect("publishing without subscribers succeeds", () =>
      Effect.gen(function* () {
        const { publish } = yield* setup
        yield* publish(1)
        yield* publish()
      })
    )
  })
}
