import { Context, Effect, Layer } from "effect"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { NotFound, Unavailable } from "../../domain/Problem.ts"
import { encodeEphemeral, PubSub } from "../bus/PubSub.ts"
import { conversationSubject } from "../bus/Subjects.ts"
import { Conversations } from "../conversations/Conversations.ts"
import { Shedding } from "../platform/load/Shedding.ts"
import { monotonicNow } from "../platform/Monotonic.ts"
import { Settings } from "../platform/Settings.ts"
import { makeBuckets } from "../platform/TokenBucket.ts"
import { untraced } from "../platform/Tracing.ts"

interface Typist {
  sentAt: number
  until: number
}

/** Which users are typing. A start that reached this node ends by itself unless it is repeated. */
export class Typing extends Context.Service<
  Typing,
  {
    /**
     * Publishes `typing.started` to the other members, but to nobody in a DM whose other member has blocked the user, and to
     * nobody while the node is too busy.
     * Repeating it within half of `timers.typing` publishes nothing more, and neither does starting again and again after
     * a stop. Without another start or a stop within
     * `timers.typing`, `typing.stopped` is published. `NotFound` for non-members.
     */
    readonly start: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * Publishes `typing.stopped` to the members who got `typing.started`. Repeating it publishes nothing. `NotFound` for
     * non-members.
     */
    readonly stop: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/Typing") {
  /** The implementation, on any bus. */
  static readonly layer = Layer.effect(
    Typing,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const pubsub = yield* PubSub
      const { timers } = yield* Settings
      const shedding = yield* Shedding
      const scope = yield* Effect.scope
      const typists = new Map<string, Typist>()
      // In half of the time one may start once, and two times at first, so that a start right after a stop is seen.
      const perSecond = 2000 / timers.typing
      const startsOf = makeBuckets(perSecond, 2)
      const stopsOf = makeBuckets(perSecond, 2)
      const keyOf = (userId: UserId, conversationId: ConversationId) => `${userId} ${conversationId}`

      /** Publishes to the other members, and to nobody in a DM whose other member has blocked the user. */
      const publish = Effect.fnUntraced(function* (
        userId: UserId,
        conversationId: ConversationId,
        event: "typing.started" | "typing.stopped"
      ) {
        const { blocked, head } = yield* conversations.standing(userId, conversationId)
        if (blocked) return
        yield* pubsub.publish(conversationSubject(conversationId), [
          encodeEphemeral({ event, conversationId, data: { userId } }, { except: userId, refersTo: head })
        ])
      })

      const expire = Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId, typist: Typist) {
        const key = keyOf(userId, conversationId)
        for (;;) {
          const left = typist.until - (yield* monotonicNow)
          if (left <= 0) break
          yield* Effect.sleep(left)
          if (typists.get(key) !== typist) return
        }
        typists.delete(key)
        // A failure does no harm: clients end the typing of others by themselves after a while.
        yield* Effect.ignore(publish(userId, conversationId, "typing.stopped"))
      })

      return Typing.of({
        start: Effect.fn("Typing.start")(function* (userId, conversationId) {
          if (shedding.sheds("presence")) return
          const key = keyOf(userId, conversationId)
          const now = yield* monotonicNow
          const known = typists.get(key)
          const until = now + timers.typing
          if (known !== undefined && now - known.sentAt < timers.typing / 2) {
            known.until = until
            return
          }
          const starts = startsOf(key, now)
          if (known === undefined && starts.take(now) > 0) return
          const typist = known ?? { sentAt: now, until }
          typists.set(key, Object.assign(typist, { sentAt: now, until }))
          yield* publish(userId, conversationId, "typing.started").pipe(
            Effect.onError(() =>
              Effect.sync(() => {
                if (known === undefined) starts.spend(-1, now)
                if (typists.get(key) === typist) typists.delete(key)
              })
            )
          )
          if (known === undefined) yield* Effect.forkIn(untraced(expire(userId, conversationId, typist)), scope)
        }),
        stop: Effect.fn("Typing.stop")(function* (userId, conversationId) {
          const key = keyOf(userId, conversationId)
          const now = yield* monotonicNow
          const stops = stopsOf(key, now)
          // It is published also without a start on this node, because another node may have had it.
          const free = typists.delete(key)
          if (!free && stops.take(now) > 0) return
          yield* publish(userId, conversationId, "typing.stopped").pipe(
            Effect.onError(() => Effect.sync(() => (free ? undefined : stops.spend(-1, now))))
          )
        })
      })
    })
  )
}
