import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Drafts } from "../services/messages/Drafts.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { Drafts as Declared } from "./Drafts.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"

/** Serves the operations of `Drafts`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const drafts = yield* Drafts
    const { pageSize } = (yield* Settings).limits
    const { asReader } = yield* makeHeavyHandlers
    return Declared.rpcs.of({
      "draft.set": asUser((userId, { conversationId, ...draft }) => drafts.set(userId, conversationId, draft)),
      "draft.clear": asUser((userId, { conversationId }) => drafts.clear(userId, conversationId)),
      "draft.list": asReader(
        (userId, page) => drafts.list(userId, toPage(page, pageSize)),
        ({ body }) => body
      )
    })
  })
)
