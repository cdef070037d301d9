import { Cause, Context, Effect, Layer, Queue, Schedule, type Scope } from "effect"
import type { Conversation } from "../domain/Conversation.ts"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import type { SyncRequest } from "../domain/Sync.ts"
import { Conversations, type Place } from "../services/Conversations.ts"
import { Drafts } from "../services/Drafts.ts"
import { Log } from "../services/Log.ts"
import * as Definitions from "../services/MetricDefinitions.ts"
import { Metrics } from "../services/Metrics.ts"
import { compare } from "../services/Sync.ts"
import { untraced } from "../services/Tracing.ts"
import { makeComparison } from "./Comparison.ts"
import type { Cursor, Follower } from "./Cursor.ts"
import { Frame } from "./Frame.ts"
import { Hub } from "./Hub.ts"
import { replayLimit } from "./Protocol.ts"

/** How many conversations one frame of the list, and one read, holds. */
const pageSize = 50

const pagesOf = <A>(items: ReadonlyArray<A>) =>
  Array.from({ length: Math.ceil(items.length / pageSize) }, (_, page) =>
    items.slice(page * pageSize, (page + 1) * pageSize)
  )

type Page = ReadonlyArray<{ readonly conversation: Conversation; readonly cursor: Cursor }>

/** One that is brought up to date: a socket, or a stream of another transport. */
export interface Receiver extends Follower {
  readonly cursors: Map<ConversationId, Cursor>
  readonly isClosing: boolean
  /** Sends what must not be dropped. `heads`: up to where, with it, its reader knows these conversations. */
  readonly send: (
    event: {
      readonly event: string
      readonly conversationId?: string
      readonly seq?: number
      readonly data: unknown
    },
    heads?: ReadonlyArray<readonly [ConversationId, number]>
  ) => void
  /** Resumes when there is room for a replay: it is read only as it drains, and never makes its reader a slow one. */
  readonly room: Effect.Effect<void>
}

/** Conversations whose memberships a receiver is to read again. */
interface Changes {
  readonly receiver: Receiver
  readonly queue: Queue.Queue<ConversationId>
}

/** Brings a receiver up to date: when it comes, when it joins a conversation, and after it was too slow. */
export class CatchUp extends Context.Service<
  CatchUp,
  {
    /**
     * Follows all conversations of the receiver's user, hands `onStart` the user seq, sends the list of them or what the
     * cursors missed, and goes live. From then on until the scope closes it acts on changes of memberships.
     */
    readonly start: (
      receiver: Receiver,
      from: { readonly cursors?: SyncRequest["cursors"]; readonly userSeq?: number },
      onStart: (userSeq: number) => void
    ) => Effect.Effect<void, Unavailable, Scope.Scope>
    /** Replays what the cursor missed, or resets it when that is too much, and lets it go live. */
    readonly replay: (receiver: Receiver, cursor: Cursor) => Effect.Effect<void>
  }
>()("chat/ws/CatchUp") {
  static readonly layer = Layer.effect(
    CatchUp,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const drafts = yield* Drafts
      const hub = yield* Hub
      const log = yield* Log
      const metrics = yield* Metrics
      const resumed = metrics.counter(Definitions.resumes)
      const replayed = metrics.counter(Definitions.replayedEvents)
      const wasReset = metrics.counter(Definitions.resets)

      const send = (receiver: Receiver, event: string, id: ConversationId, data: unknown, head?: number) =>
        Effect.map(receiver.room, () =>
          receiver.send({ event, conversationId: id, data }, head === undefined ? [] : [[id, head]])
        )

      /** It was not dropped or replaced while something else was waited for. */
      const isCurrent = ({ cursors }: Receiver, cursor: Cursor) => cursors.get(cursor.conversationId) === cursor

      const drop = (receiver: Receiver, cursor: Cursor) =>
        Effect.suspend(() => {
          if (!isCurrent(receiver, cursor)) return Effect.void
          hub.unfollow(cursor)
          receiver.cursors.delete(cursor.conversationId)
          return send(receiver, "conversation.removed", cursor.conversationId, {})
        })

      const reset = (receiver: Receiver, cursor: Cursor, head: number) =>
        Effect.suspend(() => {
          cursor.nextSeq = head + 1
          wasReset()
          return send(receiver, "conversation.reset", cursor.conversationId, { seq: head }, head)
        })

      /** One read of what is missing, at most `limit` events; true when the cursor was caught up to the head. */
      const replayOnce = Effect.fnUntraced(function* (receiver: Receiver, cursor: Cursor) {
        yield* receiver.room
        const after = cursor.nextSeq - 1
        const { conversationId } = cursor
        const page = yield* log
          .events({ conversationId, userId: receiver.userId, after, limit: replayLimit.conversation })
          .pipe(
            Effect.retry({
              while: (error) => error._tag === "Unavailable" && !receiver.isClosing,
              schedule: Schedule.spaced("1 second")
            }),
            Effect.catchTag("NotFound", () => Effect.succeed(undefined))
          )
        if (!isCurrent(receiver, cursor)) return true
        if (page?.visibleFromSeq !== cursor.visibleFromSeq) {
          yield* drop(receiver, cursor)
          // There may be another membership by now.
          cursor.detach()
          return true
        }
        if (page.head - after > replayLimit.conversation) {
          yield* reset(receiver, cursor, page.head)
        } else {
          replayed(page.items.length)
          for (const event of page.items) {
            yield* receiver.room
            if (!isCurrent(receiver, cursor)) return true
            receiver.send(event)
          }
          cursor.nextSeq = page.head + 1
        }
        return cursor.release()
      })

      const replay = (receiver: Receiver, cursor: Cursor) =>
        Effect.suspend(() => (receiver.isClosing ? Effect.succeed(true) : replayOnce(receiver, cursor))).pipe(
          Effect.repeat({ until: (done) => done }),
          Effect.catch(() => Effect.void),
          Effect.asVoid
        )

      const goLive = (receiver: Receiver, cursor: Cursor, nextSeq: number) =>
        Effect.suspend(() => {
          cursor.nextSeq = nextSeq
          return cursor.release() ? Effect.void : replay(receiver, cursor)
        })

      /** Follows them all; what the cursors hold from now on is what commits from now on. */
      const followAll = Effect.fnUntraced(function* ({ queue, receiver }: Changes, ids: ReadonlyArray<ConversationId>) {
        const followed = yield* hub.follow(receiver, ids, (id) => Queue.offerUnsafe(queue, id))
        if (receiver.isClosing) {
          for (const cursor of followed) hub.unfollow(cursor)
          return yield* Effect.interrupt
        }
        for (const cursor of followed) receiver.cursors.set(cursor.conversationId, cursor)
      })

      /** Reads the conversations after they were followed, and hands each with its cursor to `use`. */
      const withConversations = Effect.fnUntraced(function* (
        receiver: Receiver,
        ids: ReadonlyArray<ConversationId>,
        use: (page: Page) => Effect.Effect<void>
      ) {
        for (const slice of pagesOf(ids)) {
          const found = yield* conversations.getMany(receiver.userId, slice)
          const byId = new Map(found.map((conversation) => [conversation.id, conversation]))
          const page = slice.flatMap((id) => {
            const conversation = byId.get(id)
            const cursor = receiver.cursors.get(id)
            if (conversation === undefined || cursor === undefined) return []
            cursor.visibleFromSeq = conversation.me.visibleFromSeq
            return [{ conversation, cursor }]
          })
          yield* use(page)
          // The membership has ended since it was read.
          for (const id of slice) {
            const cursor = receiver.cursors.get(id)
            if (cursor !== undefined && !byId.has(id)) yield* drop(receiver, cursor)
          }
        }
      })

      /** From what was said of each conversation on. */
      const allLive = (receiver: Receiver, page: Page) =>
        Effect.forEach(page, ({ conversation, cursor }) => goLive(receiver, cursor, conversation.seq + 1), {
          discard: true
        })

      const sendList = Effect.fnUntraced(function* (receiver: Receiver, ids: ReadonlyArray<ConversationId>) {
        let left = ids.length
        if (left === 0) receiver.send({ event: "ready", data: { conversations: [], done: true } })
        yield* withConversations(receiver, ids, (page) =>
          Effect.map(receiver.room, () => {
            left -= Math.min(left, pageSize)
            const data = {
              conversations: page.map(({ conversation }) => conversation),
              ...(left === 0 && { done: true })
            }
            receiver.send(
              { event: "ready", data },
              page.map(({ conversation }) => [conversation.id, conversation.seq])
            )
          }).pipe(Effect.andThen(allLive(receiver, page)))
        )
      })

      const added = (receiver: Receiver, ids: ReadonlyArray<ConversationId>) =>
        withConversations(receiver, ids, (page) =>
          Effect.forEach(
            page,
            ({ conversation }) =>
              send(receiver, "conversation.added", conversation.id, { conversation }, conversation.seq),
            { discard: true }
          ).pipe(Effect.andThen(allLive(receiver, page)))
        )

      const resume = Effect.fnUntraced(function* (receiver: Receiver, from: SyncRequest, places: ReadonlyArray<Place>) {
        const { added: joined, changed, kept, removed } = compare(places, from)
        let budget = replayLimit.hello
        resumed()
        for (const { conversationId, seen, seq, visibleFromSeq } of kept) {
          const cursor = receiver.cursors.get(conversationId)
          if (cursor === undefined) continue
          // The client may be ahead of what the bus has brought to this node, but not of the log.
          const missed = Math.max(cursor.after, seq) - seen
          cursor.visibleFromSeq = visibleFromSeq
          if (missed >= 0 && missed <= Math.min(budget, replayLimit.conversation)) {
            budget -= missed
            cursor.nextSeq = seen + 1
            // Beyond `seq` the membership is not known: reading the log tells whether it goes on.
            if (missed > 0 || cursor.after > seq || !cursor.release()) yield* replay(receiver, cursor)
          } else {
            yield* reset(receiver, cursor, seq)
            yield* goLive(receiver, cursor, seq + 1)
          }
        }
        yield* added(
          receiver,
          joined.map((place) => place.conversationId)
        )
        for (const conversationId of removed) {
          yield* receiver.room
          receiver.send({ event: "conversation.removed", conversationId, data: {} })
        }
        const changedIds = changed.map((place) => place.conversationId)
        yield* withConversations(receiver, changedIds, (page) =>
          Effect.forEach(
            page,
            ({ conversation }) => send(receiver, "conversation.settings", conversation.id, { me: conversation.me }),
            { discard: true }
          )
        )
        if (from.userSeq !== undefined) {
          for (const { conversationId, draft } of yield* drafts.changedAfter(receiver.userId, from.userSeq)) {
            yield* send(receiver, "draft.updated", conversationId, { draft })
          }
        }
        receiver.send({ event: "ready", data: { resumed: true, done: true } })
      })

      const membershipChanged = Effect.fn("CatchUp.membershipChanged")(function* (
        changes: Changes,
        conversationId: ConversationId
      ) {
        const { receiver } = changes
        const [conversation] = yield* conversations.getMany(receiver.userId, [conversationId])
        const cursor = receiver.cursors.get(conversationId)
        const same = cursor?.attached === true && cursor.visibleFromSeq === conversation?.me.visibleFromSeq
        if (cursor !== undefined && !same) yield* drop(receiver, cursor)
        if (conversation === undefined || same) return
        yield* followAll(changes, [conversationId])
        yield* added(receiver, [conversationId])
      })

      /** All receivers by user, with the user seq up to which they know their memberships. */
      const started = new Map<UserId, { readonly known: number; readonly queues: Set<Changes> }>()

      const membershipsOf = Effect.fnUntraced(function* (userId: UserId) {
        const { places, userSeq } = yield* conversations.places(userId)
        const user = started.get(userId)
        if (user === undefined) return
        started.set(userId, { ...user, known: userSeq })
        const mine = new Map(places.map((place) => [place.conversationId, place]))
        for (const { queue, receiver } of user.queues) {
          for (const [id, { visibleFromSeq }] of mine)
            if (receiver.cursors.get(id)?.visibleFromSeq !== visibleFromSeq) Queue.offerUnsafe(queue, id)
          for (const id of receiver.cursors.keys()) if (!mine.has(id)) Queue.offerUnsafe(queue, id)
        }
      })

      const comparing = yield* makeComparison
      yield* comparing(
        () => [...started.keys()],
        (ids) =>
          Effect.flatMap(conversations.userHeads(ids), (heads) =>
            Effect.forEach(
              heads,
              ([id, head]) => ((started.get(id)?.known ?? head) < head ? membershipsOf(id) : Effect.void),
              {
                discard: true
              }
            )
          )
      )

      const register = (each: Changes, userSeq: number) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const { receiver } = each
            const user = started.get(receiver.userId)
            const known = Math.min(user?.known ?? userSeq, userSeq)
            started.set(receiver.userId, { known, queues: (user?.queues ?? new Set()).add(each) })
            return receiver.userId
          }),
          (userId) =>
            Effect.sync(() => {
              const queues = started.get(userId)?.queues
              queues?.delete(each)
              if (queues?.size === 0) started.delete(userId)
            })
        )

      const start: CatchUp["Service"]["start"] = Effect.fn("CatchUp.start")(function* (receiver, from, onStart) {
        const queue = yield* Queue.unbounded<ConversationId>()
        const changes: Changes = { queue, receiver }
        yield* hub.signals(receiver.userId, (signal) => {
          const { conversationId, event } = signal
          if (event === "membership.changed" && conversationId !== null) Queue.offerUnsafe(queue, conversationId)
          // The rest is for the user's own devices.
          else receiver.offer(new Frame(signal))
        })
        const { places, userSeq } = yield* conversations.places(receiver.userId)
        if (receiver.isClosing) return
        onStart(userSeq)
        const byActivity = [...places].sort((a, b) => b.lastActivityAt.getTime() - a.lastActivityAt.getTime())
        const ids = byActivity.map((place) => place.conversationId)
        yield* followAll(changes, ids)
        yield* from.cursors === undefined
          ? sendList(receiver, ids)
          : resume(receiver, { ...from, cursors: from.cursors }, byActivity)
        yield* register(changes, userSeq)
        // One change after the other, and none before the start is over.
        yield* Queue.take(queue).pipe(
          Effect.flatMap((id) => Effect.retry(membershipChanged(changes, id), Schedule.spaced("1 second"))),
          Effect.catchDefect((defect) => Effect.logError("membership change failed", Cause.die(defect))),
          Effect.forever,
          untraced,
          Effect.forkScoped
        )
      })

      return CatchUp.of({ replay, start })
    })
  )
}
