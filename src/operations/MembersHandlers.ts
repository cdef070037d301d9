import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Members } from "../services/conversations/Members.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { reportCreated } from "./Created.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Members as Declared } from "./Members.ts"

/** Serves the operations of `Members`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const members = yield* Members
    const { pageSize } = (yield* Settings).limits
    const { asReader } = yield* makeHeavyHandlers
    return Declared.rpcs.of({
      "member.list": asReader((userId, { conversationId, ...page }) =>
        members.list(userId, conversationId, toPage(page, pageSize))
      ),
      "member.add": asUser((userId, { conversationId, userIds }) =>
        members.add(userId, conversationId, userIds).pipe(
          Effect.tap(({ added }) => reportCreated(added)),
          Effect.map(({ items }) => ({ items }))
        )
      ),
      "member.update": asUser((userId, { conversationId, role, userId: memberId }) =>
        members.update(userId, conversationId, memberId, role)
      ),
      "member.leave": asUser((userId, { conversationId }) => members.leave(userId, conversationId)),
      "member.remove": asUser((userId, { conversationId, userId: memberId }) =>
        members.remove(userId, conversationId, memberId)
      )
    })
  })
)
