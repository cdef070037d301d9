import { Context, Effect, Layer, Schema } from "effect"
import type { Draft, DraftChange, NewDraft } from "../../domain/Draft.ts"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import { Conflict, type InvalidRequest, type NotFound, type Unavailable } from "../../domain/Problem.ts"
import { encodeEphemeral, PubSub } from "../bus/PubSub.ts"
import { userSubject } from "../bus/Subjects.ts"
import { checkLimit, cursorOf, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { tooLong } from "./MessageRules.ts"

/** A draft as it is stored. A draft that was cleared has no body. */
export interface DraftRow {
  readonly conversationId: ConversationId
  readonly body: string | null
  readonly replyTo: MessageId | null
  readonly updatedAt: Date
  /** The user seq of its last change. */
  readonly userSeq: number
}

type DraftContent = Pick<DraftRow, "body" | "replyTo">

/** The stored draft has changed after the user seq that the request names. */
export const draftChanged = new Conflict({
  code: "draft-changed",
  detail: "That draft was changed or cleared meanwhile"
})

/** Where drafts are kept. It gives only those of conversations that the user is a member of. */
export class DraftStorage extends Context.Service<
  DraftStorage,
  {
    /**
     * Answers with the time and the user seq of the change, or null when the draft was the same before. Fails with
     * `draftChanged` when the stored draft has changed after `ifUserSeq`.
     */
    readonly set: (
      userId: UserId,
      conversationId: ConversationId,
      content: DraftContent,
      ifUserSeq: number | null
    ) => Effect.Effect<Pick<DraftRow, "updatedAt" | "userSeq"> | null, NotFound | Conflict | Unavailable>
    /** The drafts that are not cleared and whose user seq is below `before`, the highest user seq first. */
    readonly list: (
      userId: UserId,
      before: number,
      limit: number
    ) => Effect.Effect<ReadonlyArray<DraftRow>, Unavailable>
    /** The drafts, cleared ones included, whose user seq is above `userSeq`, the lowest user seq first. */
    readonly changedAfter: (userId: UserId, userSeq: number) => Effect.Effect<ReadonlyArray<DraftRow>, Unavailable>
  }
>()("chat/services/DraftStorage") {}

const cursor = cursorOf(Schema.Struct({ userSeq: Schema.Int }))

const toDraft = ({ conversationId, replyTo, updatedAt, userSeq }: Omit<DraftRow, "body">, body: string): Draft => ({
  conversationId,
  body,
  replyTo,
  updatedAt: updatedAt.toISOString(),
  userSeq
})

/** Messages that users have begun to write: one draft in each conversation, the same on all devices of the user. */
export class Drafts extends Context.Service<
  Drafts,
  {
    /**
     * Replaces the draft and sends `draft.updated` to the user's devices. Setting the same draft again does nothing.
     * Sending a message does not clear the draft; the client that sends it does. Fails with `NotFound` when the user is
     * not a member, `InvalidRequest` for a body that is too long, and `Conflict` ("draft-changed") when `ifUserSeq` is
     * given and the stored draft has changed after it: a draft that comes late does not replace a newer one, nor bring
     * back one that was cleared.
     */
    readonly set: (
      userId: UserId,
      conversationId: ConversationId,
      draft: NewDraft
    ) => Effect.Effect<void, InvalidRequest | NotFound | Conflict | Unavailable>
    /**
     * Clears the draft and sends `draft.updated` to the user's devices. Clearing a draft that does not exist does
     * nothing. Fails with `NotFound` when the user is not a member.
     */
    readonly clear: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, NotFound | Unavailable>
    /** The drafts in conversations of the user, the latest change first. */
    readonly list: (userId: UserId, page: PageRequest) => Effect.Effect<Page<Draft>, InvalidRequest | Unavailable>
    /** The drafts that were set or cleared after a user seq, the earliest change first, for a device that reconnects. */
    readonly changedAfter: (userId: UserId, userSeq: number) => Effect.Effect<ReadonlyArray<DraftChange>, Unavailable>
  }
>()("chat/services/Drafts") {
  /** The rules, on any storage. */
  static readonly layerNoDeps = Layer.effect(
    Drafts,
    Effect.gen(function* () {
      const storage = yield* DraftStorage
      const pubsub = yield* PubSub
      const { limits } = yield* Settings

      const store = Effect.fnUntraced(function* (
        userId: UserId,
        conversationId: ConversationId,
        content: DraftContent,
        ifUserSeq: number | null
      ) {
        const stored = yield* storage.set(userId, conversationId, content, ifUserSeq)
        if (stored === null) return
        const { body, replyTo } = content
        const draft = body === null ? null : toDraft({ conversationId, replyTo, ...stored }, body)
        yield* pubsub.publish(userSubject(userId), [
          encodeEphemeral({ event: "draft.updated", conversationId, data: { draft, userSeq: stored.userSeq } })
        ])
      })

      return Drafts.of({
        set: Effect.fn("Drafts.set")(function* (userId, conversationId, { body, ifUserSeq = null, replyTo = null }) {
          const wrong = tooLong(body, limits)
          if (wrong !== undefined) return yield* wrong
          yield* store(userId, conversationId, { body, replyTo }, ifUserSeq)
        }),
        clear: Effect.fn("Drafts.clear")((userId, conversationId) =>
          // Without a precondition there is no conflict.
          Effect.catchTag(store(userId, conversationId, { body: null, replyTo: null }, null), "Conflict", Effect.die)
        ),
        list: Effect.fn("Drafts.list")(function* (userId, page) {
          yield* checkLimit(page, limits.pageSize)
          const before =
            page.cursor === undefined ? Number.MAX_SAFE_INTEGER : (yield* cursor.decode(page.cursor)).userSeq
          const rows = yield* storage.list(userId, before, page.limit + 1)
          const items = rows.slice(0, page.limit).map((row) => toDraft(row, row.body ?? ""))
          return pageOf(rows, page.limit, items, ({ userSeq }) => cursor.encode({ userSeq }))
        }),
        changedAfter: Effect.fn("Drafts.changedAfter")(function* (userId, userSeq) {
          const rows = yield* storage.changedAfter(userId, userSeq)
          return rows.map((row) => ({
            conversationId: row.conversationId,
            draft: row.body === null ? null : toDraft(row, row.body),
            userSeq: row.userSeq
          }))
        })
      })
    })
  )
}
