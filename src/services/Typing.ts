import { Clock, Context, Effect, Layer } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { NotFound, Unavailable } from "../domain/Problem.ts"
import { Conversations } from "./Conversations.ts"
import { Settings } from "./Settings.ts"
import { untraced } from "./Tracing.ts"

interface Typist {
  sentAt: number
  until: number
}

/** Who is writing. What this node was told, it ends by itself when nothing more is heard. */
export class Typing extends Context.Service<
  Typing,
  {
    /**
     * Tells the other members that the user types; again within half of `timers.typing` it only counts on. Without
     * another start or a stop within `timers.typing`, `typing.stopped` is sent.
     */
    readonly start: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, NotFound | Unavailable>
    readonly stop: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/Typing") {
  static readonly layer = Layer.effect(
    Typing,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const { timers } = yield* Settings
      const scope = yield* Effect.scope
      const typists = new Map<string, Typist>()
      const keyOf = (userId: UserId, conversationId: ConversationId) => `${userId} ${conversationId}`

      const expire = Effect.fnUntraced(function* (userId: UserId, conversationId: ConversationId, typist: Typist) {
        const key = keyOf(userId, conversationId)
        for (;;) {
          const left = typist.until - (yield* Clock.currentTimeMillis)
          if (left <= 0) break
          yield* Effect.sleep(left)
          if (typists.get(key) !== typist) return
        }
        typists.delete(key)
        // Nobody waits for this: a client gives up on what it hears no more of.
        yield* Effect.ignore(conversations.typing(userId, conversationId, "typing.stopped"))
      })

      return Typing.of({
        start: Effect.fn("Typing.start")(function* (userId, conversationId) {
          const key = keyOf(userId, conversationId)
          const now = yield* Clock.currentTimeMillis
          const known = typists.get(key)
          const until = now + timers.typing
          if (known !== undefined && now - known.sentAt < timers.typing / 2) {
            known.until = until
            return
          }
          const typist = known ?? { sentAt: now, until }
          typists.set(key, Object.assign(typist, { sentAt: now, until }))
          yield* conversations.typing(userId, conversationId, "typing.started").pipe(
            Effect.onError(() =>
              Effect.sync(() => {
                if (typists.get(key) === typist) typists.delete(key)
              })
            )
          )
          if (known === undefined) yield* Effect.forkIn(untraced(expire(userId, conversationId, typist)), scope)
        }),
        stop: Effect.fn("Typing.stop")(function* (userId, conversationId) {
          typists.delete(keyOf(userId, conversationId))
          // Also when it was another node that was told of the start.
          yield* conversations.typing(userId, conversationId, "typing.stopped")
        })
      })
    })
  )
}
