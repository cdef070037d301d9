import { Context, Effect, Layer, Schema } from "effect"
import type { Draft, DraftChange, NewDraft } from "../domain/Draft.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Page, PageRequest } from "../domain/Page.ts"
import { type InvalidRequest, invalid, type NotFound, type Unavailable } from "../domain/Problem.ts"
import { longerThan } from "../domain/Text.ts"
import { pageOf } from "./ConversationRows.ts"
import { type DraftRow, type DraftStorage, makeMemoryDrafts, makeSqlDrafts } from "./DraftStorage.ts"
import { checkLimit, cursorOf } from "./Paging.ts"
import { encodeEphemeral, PubSub, userSubject } from "./PubSub.ts"
import { Settings } from "./Settings.ts"

const cursor = cursorOf(Schema.Struct({ userSeq: Schema.Int }))

const toDraft = ({ conversationId, replyTo, updatedAt }: DraftRow, body: string): Draft => ({
  conversationId,
  body,
  replyTo,
  updatedAt: updatedAt.toISOString()
})

/** What users have begun to write, one draft in each conversation, the same on all of a user's devices. */
export class Drafts extends Context.Service<
  Drafts,
  {
    /**
     * Replaces the draft and tells the user's devices with `draft.updated`, unless it is the same already. Sending does
     * not clear it: the client that sends does.
     */
    readonly set: (
      userId: UserId,
      conversationId: ConversationId,
      draft: NewDraft
    ) => Effect.Effect<void, InvalidRequest | NotFound | Unavailable>
    /** Clears the draft, and tells likewise when there was one. */
    readonly clear: (userId: UserId, conversationId: ConversationId) => Effect.Effect<void, NotFound | Unavailable>
    /** Those of conversations that the user is in, the latest change first. */
    readonly list: (userId: UserId, page: PageRequest) => Effect.Effect<Page<Draft>, InvalidRequest | Unavailable>
    /** Drafts that were set or cleared after a user seq, for a device that comes back; the earliest change first. */
    readonly changedAfter: (userId: UserId, userSeq: number) => Effect.Effect<ReadonlyArray<DraftChange>, Unavailable>
  }
>()("chat/services/Drafts") {
  static readonly make = Effect.fnUntraced(function* (storage: DraftStorage) {
    const pubsub = yield* PubSub
    const { limits } = yield* Settings

    const store = Effect.fnUntraced(function* (
      userId: UserId,
      conversationId: ConversationId,
      content: Pick<DraftRow, "body" | "replyTo">
    ) {
      const updatedAt = yield* storage.set(userId, conversationId, content)
      if (updatedAt === null) return
      const draft = content.body === null ? null : toDraft({ ...content, conversationId, updatedAt }, content.body)
      yield* pubsub.publish(userSubject(userId), [
        encodeEphemeral({ event: "draft.updated", conversationId, data: { draft } })
      ])
    })

    return Drafts.of({
      set: Effect.fn("Drafts.set")(function* (userId, conversationId, { body, replyTo = null }) {
        if (longerThan(body, limits.messageLength))
          return yield* invalid("body", `must have at most ${limits.messageLength} characters`)
        yield* store(userId, conversationId, { body, replyTo })
      }),
      clear: Effect.fn("Drafts.clear")((userId, conversationId) =>
        store(userId, conversationId, { body: null, replyTo: null })
      ),
      list: Effect.fn("Drafts.list")(function* (userId, page) {
        yield* checkLimit(page, limits.pageSize)
        const before = page.cursor === undefined ? Number.MAX_SAFE_INTEGER : (yield* cursor.decode(page.cursor)).userSeq
        const rows = yield* storage.list(userId, before, page.limit + 1)
        const items = rows.slice(0, page.limit).map((row) => toDraft(row, row.body ?? ""))
        return pageOf(rows, page.limit, items, ({ userSeq }) => cursor.encode({ userSeq }))
      }),
      changedAfter: Effect.fn("Drafts.changedAfter")(function* (userId, userSeq) {
        const rows = yield* storage.changedAfter(userId, userSeq)
        return rows.map((row) => ({
          conversationId: row.conversationId,
          draft: row.body === null ? null : toDraft(row, row.body)
        }))
      })
    })
  })

  static readonly layer = Layer.effect(Drafts, Effect.flatMap(makeSqlDrafts, Drafts.make))

  static readonly layerTest = Layer.effect(Drafts, Effect.flatMap(makeMemoryDrafts, Drafts.make))
}
