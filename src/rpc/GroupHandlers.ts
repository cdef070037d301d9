import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { ConversationChanges } from "../services/ConversationChanges.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Invites } from "../services/Invites.ts"
import { Members } from "../services/Members.ts"
import { Settings } from "../services/Settings.ts"
import { GroupRpcs } from "./GroupRpcs.ts"

export const layer = GroupRpcs.toLayer(
  Effect.gen(function* () {
    const changes = yield* ConversationChanges
    const invites = yield* Invites
    const members = yield* Members
    const { pageSize } = (yield* Settings).limits
    return GroupRpcs.of({
      "conversation.update": ({ conversationId, ...change }) =>
        CurrentPrincipal.use(({ userId }) => changes.update(userId, conversationId, change)),
      "conversation.settings": ({ conversationId, ...change }) =>
        CurrentPrincipal.use(({ userId }) => changes.settings(userId, conversationId, change)),
      "member.add": ({ conversationId, userIds }) =>
        CurrentPrincipal.use(({ userId }) =>
          Effect.map(members.add(userId, conversationId, userIds), ({ items }) => ({ items }))
        ),
      "member.update": ({ conversationId, role, userId: memberId }) =>
        CurrentPrincipal.use(({ userId }) => members.update(userId, conversationId, memberId, role)),
      "member.remove": ({ conversationId, userId: memberId }) =>
        CurrentPrincipal.use(({ userId }) => members.remove(userId, conversationId, memberId)),
      "member.leave": ({ conversationId }) =>
        CurrentPrincipal.use(({ userId }) => members.leave(userId, conversationId)),
      "invite.create": ({ conversationId, idempotencyKey, ...invite }) =>
        CurrentPrincipal.use(({ userId }) => invites.create(userId, conversationId, invite, idempotencyKey)),
      "invite.list": ({ conversationId, ...page }) =>
        CurrentPrincipal.use(({ userId }) => invites.list(userId, conversationId, toPage(page, pageSize))),
      "invite.revoke": ({ code, conversationId }) =>
        CurrentPrincipal.use(({ userId }) => invites.revoke(userId, conversationId, code)),
      "invite.accept": ({ code }) =>
        CurrentPrincipal.use(({ userId }) =>
          Effect.map(invites.accept(userId, code), ({ conversation }) => conversation)
        )
    })
  })
)
