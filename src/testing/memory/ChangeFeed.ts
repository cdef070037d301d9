import { Effect, Layer } from "effect"
import type { ConversationId } from "../../domain/Ids.ts"
import { type Change, ChangeFeed, type Handled } from "../../services/log/ChangeFeed.ts"
import { Memory } from "./State.ts"

/** The feed of the logs in `Memory`: all that a log has grown by since the consumer was last given some of it is one change. */
export const layerMemory = Layer.effect(
  ChangeFeed,
  Effect.gen(function* () {
    const { conversations } = yield* Memory
    const consumers = new Map<string, Map<ConversationId, number>>()
    const atWork = new Set<string>()

    const lengths = () => new Map(Array.from(conversations, ([id, { log }]) => [id, log.length] as const))

    const changesAfter = (done: ReadonlyMap<ConversationId, number>): ReadonlyArray<Change> =>
      Array.from(lengths()).flatMap(([conversationId, lastSeq]) => {
        const firstSeq = (done.get(conversationId) ?? 0) + 1
        return firstSeq > lastSeq ? [] : [{ conversationId, firstSeq, lastSeq }]
      })

    const give = Effect.fnUntraced(function* <A extends Handled, E, R>(
      done: Map<ConversationId, number>,
      most: number,
      handle: (changes: ReadonlyArray<Change>) => Effect.Effect<A, E, R>
    ) {
      const changes = changesAfter(done).slice(0, most)
      if (changes.length === 0) return undefined
      const result = yield* handle(changes)
      for (const { conversationId, lastSeq } of changes.slice(0, result.handled)) done.set(conversationId, lastSeq)
      return result
    })

    return ChangeFeed.of({
      consume: (consumer, most, handle) =>
        Effect.suspend(() => {
          if (atWork.has(consumer)) return Effect.undefined
          const done = consumers.get(consumer) ?? lengths()
          consumers.set(consumer, done)
          atWork.add(consumer)
          return Effect.ensuring(
            give(done, most, handle),
            Effect.sync(() => atWork.delete(consumer))
          )
        })
    })
  })
)
