import { Array as Arr, Effect } from "effect"
import type { Conversation } from "../domain/Conversation.ts"
import type { ConversationId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { Conversations } from "../services/conversations/Conversations.ts"
import { bytesPer, HeavyReads } from "../services/platform/load/HeavyReads.ts"
import type { Cursor } from "./Cursor.ts"
import type { Replay } from "./Replay.ts"
import { type ResumableSubscriber, sendWhenRoom } from "./Subscriber.ts"

/** How many conversations one `ready` event, and one read, holds. */
const pageSize = 50

type Page = ReadonlyArray<{ readonly conversation: Conversation; readonly cursor: Cursor }>

/** The conversation as it was when it was created. The read marker stays, because it tells what is unread. */
const asCreated = ({ me, ...conversation }: Conversation): Conversation => ({
  ...conversation,
  seq: 1,
  lastMessage: null,
  lastActivityAt: conversation.createdAt,
  me: { ...me, unreadCount: 0, mentionCount: 0 }
})

/** Reads conversations that a subscriber already follows, and sends them. */
export interface Listing {
  /** Sends the conversations as `ready` events, the last one with `done`, and lets their cursors go live. */
  readonly list: (
    subscriber: ResumableSubscriber,
    ids: ReadonlyArray<ConversationId>
  ) => Effect.Effect<void, Unavailable>
  /** Sends a `conversation.added` for each of the conversations, and lets their cursors go live. */
  readonly add: (
    subscriber: ResumableSubscriber,
    ids: ReadonlyArray<ConversationId>
  ) => Effect.Effect<void, Unavailable>
  /**
   * Sends a `conversation.added` of a DM as it was when it was created, and then its whole log. A DM shows to a user with
   * its first message, which therefore follows as an event like any other.
   */
  readonly open: (subscriber: ResumableSubscriber, id: ConversationId) => Effect.Effect<void, Unavailable>
  /** Sends a `conversation.settings` for each of the conversations; their cursors stay as they are. */
  readonly settings: (
    subscriber: ResumableSubscriber,
    ids: ReadonlyArray<ConversationId>
  ) => Effect.Effect<void, Unavailable>
}

const bytesOf = (found: ReadonlyArray<Conversation>) => found.length * bytesPer.conversation

/** Makes the `Listing`, which sends lists of conversations to subscribers. */
export const makeListing = Effect.fnUntraced(function* ({ drop, goLive }: Replay) {
  const conversations = yield* Conversations
  const reads = yield* HeavyReads

  /** Hands the conversations to `use` page by page, and drops those that the user has left. */
  const forEachPage = Effect.fnUntraced(function* (
    subscriber: ResumableSubscriber,
    ids: ReadonlyArray<ConversationId>,
    use: (page: Page) => Effect.Effect<void>
  ) {
    const { userId } = subscriber
    for (const chunk of Arr.chunksOf(ids, pageSize)) {
      const found = yield* reads.inTime(userId, conversations.getMany(userId, chunk), bytesOf)
      const byId = new Map(found.map((conversation) => [conversation.id, conversation]))
      const page = chunk.flatMap((id) => {
        const conversation = byId.get(id)
        const cursor = subscriber.cursors.get(id)
        if (conversation === undefined || cursor === undefined) return []
        cursor.visibleFromSeq = conversation.me.visibleFromSeq
        return [{ conversation, cursor }]
      })
      yield* use(page)
      for (const id of chunk) {
        const cursor = subscriber.cursors.get(id)
        if (cursor !== undefined && !byId.has(id)) yield* drop(subscriber, cursor)
      }
    }
  })

  /** The cursors continue after the state of the conversation that was sent. */
  const allLive = (subscriber: ResumableSubscriber, page: Page) =>
    Effect.forEach(page, ({ conversation, cursor }) => goLive(subscriber, cursor, conversation.seq + 1), {
      discard: true
    })

  const list: Listing["list"] = (subscriber, ids) =>
    Effect.suspend(() => {
      let left = ids.length
      if (left === 0) subscriber.send({ event: "ready", data: { conversations: [], done: true } })
      return forEachPage(subscriber, ids, (page) =>
        Effect.map(subscriber.room, () => {
          left -= Math.min(left, pageSize)
          const shown = page.map(({ conversation }) => conversation)
          const data = { conversations: shown, ...(left === 0 && { done: true }) }
          const heads = page.map(({ conversation }) => [conversation.id, conversation.seq] as const)
          subscriber.send({ event: "ready", data }, heads)
        }).pipe(Effect.andThen(allLive(subscriber, page)))
      )
    })

  const addPage = (subscriber: ResumableSubscriber, page: Page) =>
    Effect.forEach(
      page,
      ({ conversation }) =>
        sendWhenRoom(subscriber, "conversation.added", conversation.id, { conversation }, conversation.seq),
      { discard: true }
    ).pipe(Effect.andThen(allLive(subscriber, page)))

  const add: Listing["add"] = (subscriber, ids) => forEachPage(subscriber, ids, (page) => addPage(subscriber, page))

  const open: Listing["open"] = (subscriber, id) =>
    forEachPage(subscriber, [id], (page) =>
      addPage(
        subscriber,
        page.map(({ conversation, cursor }) => ({ conversation: asCreated(conversation), cursor }))
      )
    )

  const settings: Listing["settings"] = (subscriber, ids) =>
    forEachPage(subscriber, ids, (page) =>
      Effect.forEach(
        page,
        ({ conversation: { id, me } }) => sendWhenRoom(subscriber, "conversation.settings", id, { me }),
        { discard: true }
      )
    )

  return { add, list, open, settings } satisfies Listing
})
