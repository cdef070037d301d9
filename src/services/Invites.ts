import { hash, randomBytes } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import type { Conversation } from "../domain/Conversation.ts"
import { type ConversationId, InviteCode, type UserId } from "../domain/Ids.ts"
import type { Invite, NewInvite } from "../domain/Invite.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { Conversations } from "./Conversations.ts"
import { changesOf } from "./GroupRules.ts"
import type { InviteStorage } from "./InviteStorage.ts"
import { makeMemoryInvites } from "./InvitesMemory.ts"
import { makeSqlInvites } from "./InvitesSql.ts"
import { Limits } from "./Limits.ts"
import { checkLimit } from "./Paging.ts"
import { Settings } from "./Settings.ts"

type Refusal = NotFound | Forbidden | Conflict | Unavailable

/**
 * Links into groups, for owners and admins to make, see and revoke. In a DM that is a `Conflict` ("not-a-group"). None
 * outlives its group, which is closed when nobody is left in it.
 */
export class Invites extends Context.Service<
  Invites,
  {
    /** Once for an `idempotencyKey` within 24 hours: asked for again it is given back as it is now. */
    readonly create: (
      userId: UserId,
      conversationId: ConversationId,
      invite: NewInvite,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<Invite, Refusal>
    /** Those that can still be used, the latest first. */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      page: PageRequest
    ) => Effect.Effect<Page<Invite>, InvalidRequest | Refusal>
    readonly revoke: (userId: UserId, conversationId: ConversationId, code: InviteCode) => Effect.Effect<void, Refusal>
    /**
     * Makes the user a member, which uses the invite once, in the same transaction. Who is a member already is told so
     * by `joined: false`. `NotFound` for an invite that is unknown, expired, revoked or used up, and for whom another
     * has removed from the group; `Conflict` ("group-full") when there is no room.
     */
    readonly accept: (
      userId: UserId,
      code: InviteCode
    ) => Effect.Effect<
      { readonly conversation: Conversation; readonly joined: boolean },
      NotFound | Conflict | RateLimited | Unavailable
    >
  }
>()("chat/services/Invites") {
  static readonly make = Effect.fnUntraced(function* (storage: InviteStorage) {
    const conversations = yield* Conversations
    const { limits } = yield* Settings
    const limiter = yield* Limits
    return Invites.of({
      create: Effect.fn("Invites.create")(function* (userId, conversationId, invite, idempotencyKey) {
        const { expiresInSeconds = null, maxUses = null } = invite
        return yield* storage.create(
          { conversationId, userId },
          {
            code: InviteCode.make(randomBytes(16).toString("base64url")),
            expiresInSeconds,
            maxUses,
            key: idempotencyKey ?? null,
            requestHash: hash("sha256", JSON.stringify([conversationId, expiresInSeconds, maxUses]), "buffer")
          }
        )
      }),
      list: Effect.fn("Invites.list")(function* (userId, conversationId, page) {
        yield* checkLimit(page, limits.pageSize)
        return yield* storage.list({ conversationId, userId }, page)
      }),
      revoke: Effect.fn("Invites.revoke")((userId, conversationId, code) =>
        storage.revoke({ conversationId, userId }, code)
      ),
      accept: Effect.fn("Invites.accept")(function* (userId, code) {
        const conversationId = yield* storage.groupOf(code)
        const counter = [changesOf(conversationId), limits.memberChangesPerMinute, "1 minute"] as const
        yield* limiter.consume(...counter)
        const joined = yield* storage.accept(conversationId, userId, code, limits.groupMembers).pipe(
          Effect.tap((joined) => (joined ? Effect.void : limiter.giveBack(...counter))),
          Effect.onError(() => limiter.giveBack(...counter))
        )
        return { conversation: yield* conversations.get(userId, conversationId), joined }
      })
    })
  })

  /** On PostgreSQL. */
  static readonly layer = Layer.effect(Invites, Effect.flatMap(makeSqlInvites, Invites.make))

  /** In `Memory`. */
  static readonly layerTest = Layer.effect(Invites, Effect.flatMap(makeMemoryInvites, Invites.make))
}
