import { hash, randomBytes } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import type { Conversation } from "../../domain/Conversation.ts"
import { type ConversationId, InviteCode, type UserId } from "../../domain/Ids.ts"
import type { Invite, NewInvite } from "../../domain/Invite.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../../domain/Problem.ts"
import type { UserRow } from "../identity/Rows.ts"
import { Limits } from "../platform/Limits.ts"
import { checkLimit } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { changesOf, checkLeader } from "./ConversationRules.ts"
import { Conversations } from "./Conversations.ts"
import { InviteStorage } from "./InviteStorage.ts"

type Refusal = NotFound | Forbidden | Conflict | Unavailable

/**
 * Makes the code of an invite, which cannot be guessed: it has 128 random bits. It does not begin with a dash, because a
 * command line would take it for a flag.
 */
export const newInviteCode = () => InviteCode.make(randomBytes(16).toString("base64url").replace(/^-/, "_"))

/**
 * Invites into groups, which owners and admins create, list and revoke. For non-members these fail with `NotFound`, for
 * plain members with `Forbidden`, and in a DM with a `Conflict` ("not-a-group"). The invites of a group end with the
 * group, when its last member leaves.
 */
export class Invites extends Context.Service<
  Invites,
  {
    /**
     * Creates an invite. Each call creates another one, unless it repeats an `idempotencyKey` within 24 hours: then the
     * same request answers with the same invite as it is now, and another one is a `Conflict`
     * ("idempotency-key-reused").
     */
    readonly create: (
      userId: UserId,
      conversationId: ConversationId,
      invite: NewInvite,
      idempotencyKey?: string | undefined
    ) => Effect.Effect<Invite, Refusal>
    /** Reads a page of the invites that can still be used, the newest first. */
    readonly list: (
      userId: UserId,
      conversationId: ConversationId,
      page: PageRequest
    ) => Effect.Effect<Page<Invite>, InvalidRequest | Refusal>
    /** Ends an invite at once. Repeating it is safe. `NotFound` for an invite that this group never had. */
    readonly revoke: (userId: UserId, conversationId: ConversationId, code: InviteCode) => Effect.Effect<void, Refusal>
    /**
     * Makes the user a member and uses the invite once, in the same transaction. Repeating it is safe: for a member it
     * succeeds with `joined: false` and uses nothing. `NotFound` for an invite that is unknown, expired, revoked or used
     * up, for users whom another member has removed from the group, and for guests when it admits none; `Conflict`
     * ("group-full") without room.
     */
    readonly accept: (
      userId: UserId,
      code: InviteCode
    ) => Effect.Effect<
      { readonly conversation: Conversation; readonly joined: boolean },
      NotFound | Conflict | RateLimited | Unavailable
    >
    /**
     * Stores a new user and lets them accept the invite, in one transaction: when the invite cannot be accepted, there is
     * no user either. It fails as `accept` does, for a guest also with `NotFound` when the invite admits none, and with a
     * `Conflict` for a taken e-mail address or username.
     */
    readonly register: (
      user: UserRow,
      code: InviteCode
    ) => Effect.Effect<void, NotFound | Conflict | RateLimited | Unavailable>
  }
>()("chat/services/Invites") {
  /** The rules, on any storage. */
  static readonly layerNoDeps = Layer.effect(
    Invites,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const { limits } = yield* Settings
      const limiter = yield* Limits
      const storage = yield* InviteStorage

      /** Uses an invite; a use that adds no member to the group does not count on the changes of the group. */
      const join = Effect.fnUntraced(function* (
        code: InviteCode,
        use: (conversationId: ConversationId) => Effect.Effect<boolean, NotFound | Conflict | Unavailable>
      ) {
        const conversationId = yield* storage.groupOf(code)
        const joined = yield* limiter.counted(
          [{ counter: changesOf(conversationId, limits), times: 1, used: Number }],
          use(conversationId)
        )
        return { conversationId, joined }
      })

      return Invites.of({
        create: Effect.fn("Invites.create")(function* (userId, conversationId, invite, idempotencyKey) {
          const { expiresInSeconds = null, guests = false, maxUses = null } = invite
          return yield* storage.create(
            { userId, conversationId },
            {
              code: newInviteCode(),
              expiresInSeconds,
              maxUses,
              guests,
              key: idempotencyKey ?? null,
              // As before there were guests, so that a retry on another release has the same hash.
              requestHash: hash(
                "sha256",
                JSON.stringify([conversationId, expiresInSeconds, maxUses, ...(guests ? ["guests"] : [])]),
                "buffer"
              )
            }
          )
        }),
        list: Effect.fn("Invites.list")(function* (userId, conversationId, page) {
          yield* checkLimit(page, limits.pageSize)
          yield* checkLeader(yield* conversations.standing(userId, conversationId))
          return yield* storage.list(conversationId, page)
        }),
        revoke: Effect.fn("Invites.revoke")((userId, conversationId, code) =>
          storage.revoke({ userId, conversationId }, code)
        ),
        accept: Effect.fn("Invites.accept")(function* (userId, code) {
          const { conversationId, joined } = yield* join(code, (id) =>
            storage.accept(userId, id, code, limits.groupMembers)
          )
          return { conversation: yield* conversations.get(userId, conversationId), joined }
        }),
        register: Effect.fn("Invites.register")(function* (user, code) {
          yield* join(code, (id) => Effect.as(storage.register(user, id, code, limits.groupMembers), true))
        })
      })
    })
  )
}
