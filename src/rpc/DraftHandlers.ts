import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Drafts } from "../services/Drafts.ts"
import { Settings } from "../services/Settings.ts"
import { DraftRpcs } from "./DraftRpcs.ts"

export const layer = DraftRpcs.toLayer(
  Effect.gen(function* () {
    const drafts = yield* Drafts
    const { pageSize } = (yield* Settings).limits
    return DraftRpcs.of({
      "draft.set": ({ conversationId, ...draft }) =>
        CurrentPrincipal.use(({ userId }) => drafts.set(userId, conversationId, draft)),
      "draft.clear": ({ conversationId }) => CurrentPrincipal.use(({ userId }) => drafts.clear(userId, conversationId)),
      "draft.list": (page) => CurrentPrincipal.use(({ userId }) => drafts.list(userId, toPage(page, pageSize)))
    })
  })
)
