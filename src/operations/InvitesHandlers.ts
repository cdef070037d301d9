import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Invites } from "../services/conversations/Invites.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { reportCreated } from "./Created.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Invites as Declared } from "./Invites.ts"

/** Serves the operations of `Invites`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const invites = yield* Invites
    const { asReader } = yield* makeHeavyHandlers
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      "invite.create": asUser((userId, { conversationId, idempotencyKey, ...invite }) =>
        invites.create(userId, conversationId, invite, idempotencyKey)
      ),
      "invite.list": asReader((userId, { conversationId, ...page }) =>
        invites.list(userId, conversationId, toPage(page, pageSize))
      ),
      "invite.revoke": asUser((userId, { code, conversationId }) => invites.revoke(userId, conversationId, code)),
      "invite.accept": asUser((userId, { code }) =>
        invites.accept(userId, code).pipe(
          Effect.tap(({ joined }) => reportCreated(joined)),
          Effect.map(({ conversation }) => conversation)
        )
      )
    })
  })
)
