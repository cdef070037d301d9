import { Effect, Layer } from "effect"
import { limitOf } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Polls } from "../services/Polls.ts"
import { Settings } from "../services/Settings.ts"
import { Threads } from "../services/Threads.ts"
import { PollRpcs, ThreadRpcs } from "./ThreadRpcs.ts"

const thread = ThreadRpcs.toLayer(
  Effect.gen(function* () {
    const threads = yield* Threads
    const { pageSize } = (yield* Settings).limits
    return ThreadRpcs.of({
      "thread.list": ({ conversationId, limit, messageId, ...place }) =>
        CurrentPrincipal.use(({ userId }) =>
          threads.list(userId, conversationId, messageId, { ...place, limit: limitOf(limit, pageSize) })
        ),
      "thread.mark": ({ conversationId, messageId, seq }) =>
        CurrentPrincipal.use(({ userId }) => threads.mark(userId, conversationId, messageId, seq))
    })
  })
)

const poll = PollRpcs.toLayer(
  Effect.gen(function* () {
    const polls = yield* Polls
    return PollRpcs.of({
      "message.vote": ({ conversationId, messageId, options }) =>
        CurrentPrincipal.use(({ userId }) => polls.vote(userId, conversationId, messageId, options)),
      "message.unvote": ({ conversationId, messageId }) =>
        CurrentPrincipal.use(({ userId }) => polls.vote(userId, conversationId, messageId, []))
    })
  })
)

export const layer = Layer.mergeAll(thread, poll)
