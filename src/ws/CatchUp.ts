import { Context, Effect, Layer, Schedule } from "effect"
import type { Conversation } from "../domain/Conversation.ts"
import type { ConversationId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { Conversations, type Place } from "../services/Conversations.ts"
import { Log } from "../services/Log.ts"
import type { Connection } from "./Connection.ts"
import { type Cursor, Hub } from "./Hub.ts"
import { encodeJson, type Hello, replayLimit } from "./Protocol.ts"

/** How many conversations one frame of the list, and one read, holds. */
const pageSize = 50

/** A replay is pushed only while the outbox is below this load, so that it never triggers the slow-consumer steps. */
const replayLoad = 0.5

const pagesOf = <A>(items: ReadonlyArray<A>) =>
  Array.from({ length: Math.ceil(items.length / pageSize) }, (_, page) =>
    items.slice(page * pageSize, (page + 1) * pageSize)
  )

const roomIn = (connection: Connection) =>
  Effect.callback<void>((resume) => connection.outbox.onceBelow(replayLoad, () => resume(Effect.void)))

/** Brings a socket up to date: at hello, when it joins a conversation, and after it was too slow. */
export class CatchUp extends Context.Service<
  CatchUp,
  {
    /** Follows the given conversations, sends the list of them or what the cursors missed, and goes live. */
    readonly greet: (
      connection: Connection,
      hello: Hello,
      places: ReadonlyArray<Place>
    ) => Effect.Effect<void, Unavailable>
    /** Replays what the cursor missed, or resets it when that is too much, and lets it go live. */
    readonly replay: (connection: Connection, cursor: Cursor) => Effect.Effect<void>
    /** Acts on a change of the user's membership in a conversation. */
    readonly membershipChanged: (
      connection: Connection,
      conversationId: ConversationId
    ) => Effect.Effect<void, Unavailable>
  }
>()("chat/ws/CatchUp") {
  static readonly layer = Layer.effect(
    CatchUp,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const hub = yield* Hub
      const log = yield* Log

      const send = (connection: Connection, event: string, conversationId: ConversationId, data: unknown) =>
        Effect.andThen(
          roomIn(connection),
          Effect.sync(() => connection.send(encodeJson({ event, conversationId, data })))
        )

      const drop = (connection: Connection, cursor: Cursor) =>
        Effect.suspend(() => {
          hub.unfollow(cursor)
          connection.cursors.delete(cursor.conversationId)
          return send(connection, "conversation.removed", cursor.conversationId, {})
        })

      const reset = (connection: Connection, cursor: Cursor, head: number) =>
        Effect.suspend(() => {
          cursor.nextSeq = head + 1
          return send(connection, "conversation.reset", cursor.conversationId, { seq: head })
        })

      /** One read of what is missing, at most `limit` events; true when the cursor was caught up to the head. */
      const replayOnce = Effect.fnUntraced(function* (connection: Connection, cursor: Cursor) {
        yield* roomIn(connection)
        const after = cursor.nextSeq - 1
        const { conversationId } = cursor
        const page = yield* log
          .events({ conversationId, userId: connection.userId, after, limit: replayLimit.conversation })
          .pipe(
            Effect.retry({
              while: (error) => error._tag === "Unavailable" && !connection.isClosing,
              schedule: Schedule.spaced("1 second")
            }),
            Effect.catchTag("NotFound", () => Effect.succeed(undefined))
          )
        if (page === undefined) {
          yield* drop(connection, cursor)
          return true
        }
        if (page.head - after > replayLimit.conversation) {
          yield* reset(connection, cursor, page.head)
        } else {
          for (const event of page.items) {
            if (connection.outbox.load >= replayLoad) yield* roomIn(connection)
            connection.send(encodeJson(event))
          }
          cursor.nextSeq = page.head + 1
        }
        return cursor.release()
      })

      const replay = (connection: Connection, cursor: Cursor) =>
        Effect.suspend(() => (connection.isClosing ? Effect.succeed(true) : replayOnce(connection, cursor))).pipe(
          Effect.repeat({ until: (done) => done }),
          Effect.catch(() => Effect.void),
          Effect.asVoid
        )

      const goLive = (connection: Connection, cursor: Cursor, nextSeq: number) =>
        Effect.suspend(() => {
          cursor.nextSeq = nextSeq
          return cursor.release() ? Effect.void : replay(connection, cursor)
        })

      /** Follows them all; what the cursors hold from now on is what commits from now on. */
      const followAll = Effect.fnUntraced(function* (connection: Connection, ids: ReadonlyArray<ConversationId>) {
        const followed = yield* hub.follow(connection, ids)
        if (connection.isClosing) {
          for (const { cursor } of followed) hub.unfollow(cursor)
          return yield* Effect.interrupt
        }
        for (const { cursor } of followed) connection.cursors.set(cursor.conversationId, cursor)
        return new Map(followed.map((each) => [each.cursor.conversationId, each]))
      })

      /** Reads the conversations after they were followed, and hands each with its cursor to `use`. */
      const withConversations = Effect.fnUntraced(function* (
        connection: Connection,
        ids: ReadonlyArray<ConversationId>,
        use: (
          page: ReadonlyArray<{ readonly conversation: Conversation; readonly cursor: Cursor }>
        ) => Effect.Effect<void>
      ) {
        for (const slice of pagesOf(ids)) {
          const found = yield* conversations.getMany(connection.userId, slice)
          const byId = new Map(found.map((conversation) => [conversation.id, conversation]))
          const page = slice.flatMap((id) => {
            const conversation = byId.get(id)
            const cursor = connection.cursors.get(id)
            return conversation === undefined || cursor === undefined ? [] : [{ conversation, cursor }]
          })
          yield* use(page)
          for (const { conversation, cursor } of page) {
            if (!cursor.live) yield* goLive(connection, cursor, conversation.seq + 1)
          }
        }
      })

      const sendList = Effect.fnUntraced(function* (connection: Connection, ids: ReadonlyArray<ConversationId>) {
        let left = ids.length
        if (left === 0) connection.send(encodeJson({ event: "ready", data: { conversations: [], done: true } }))
        yield* withConversations(connection, ids, (page) =>
          Effect.map(roomIn(connection), () => {
            left -= Math.min(left, pageSize)
            const data = {
              conversations: page.map(({ conversation }) => conversation),
              ...(left === 0 && { done: true })
            }
            connection.send(encodeJson({ event: "ready", data }))
          })
        )
      })

      const added = (connection: Connection, ids: ReadonlyArray<ConversationId>) =>
        withConversations(connection, ids, (page) =>
          Effect.forEach(
            page,
            ({ conversation }) => send(connection, "conversation.added", conversation.id, { conversation }),
            { discard: true }
          )
        )

      const resume = Effect.fnUntraced(function* (
        connection: Connection,
        hello: Hello,
        places: ReadonlyArray<Place>,
        followed: ReadonlyMap<ConversationId, { readonly cursor: Cursor; readonly head: number }>
      ) {
        const cursors = new Map(Object.entries(hello.cursors ?? {}))
        const joined = places.filter((place) => (cursors.get(place.conversationId) ?? -1) < place.visibleFromSeq - 1)
        const kept = places.filter((place) => !joined.includes(place))
        let budget = replayLimit.hello
        for (const { conversationId } of kept) {
          const seen = cursors.get(conversationId) ?? 0
          const { cursor, head } = followed.get(conversationId) ?? {}
          if (cursor === undefined || head === undefined) continue
          const missed = head - seen
          if (missed >= 0 && missed <= Math.min(budget, replayLimit.conversation)) {
            budget -= missed
            cursor.nextSeq = seen + 1
            if (missed > 0 || !cursor.release()) yield* replay(connection, cursor)
          } else {
            yield* reset(connection, cursor, head)
            yield* goLive(connection, cursor, head + 1)
          }
        }
        yield* added(
          connection,
          joined.map((place) => place.conversationId)
        )
        const mine = new Set<string>(places.map((place) => place.conversationId))
        for (const id of Object.keys(hello.cursors ?? {})) {
          if (!mine.has(id))
            connection.send(encodeJson({ event: "conversation.removed", conversationId: id, data: {} }))
        }
        const since = hello.userSeq ?? Number.MAX_SAFE_INTEGER
        const changed = kept.filter((place) => place.userSeq > since).map((place) => place.conversationId)
        yield* withConversations(connection, changed, (page) =>
          Effect.forEach(
            page,
            ({ conversation }) => send(connection, "conversation.settings", conversation.id, { me: conversation.me }),
            { discard: true }
          )
        )
        connection.send(encodeJson({ event: "ready", data: { resumed: true, done: true } }))
      })

      const greet = Effect.fn("CatchUp.greet")(function* (
        connection: Connection,
        hello: Hello,
        places: ReadonlyArray<Place>
      ) {
        const byActivity = [...places].sort((a, b) => b.lastActivityAt.getTime() - a.lastActivityAt.getTime())
        const ids = byActivity.map((place) => place.conversationId)
        const followed = yield* followAll(connection, ids)
        yield* hello.cursors === undefined ? sendList(connection, ids) : resume(connection, hello, byActivity, followed)
      })

      const membershipChanged = Effect.fn("CatchUp.membershipChanged")(function* (
        connection: Connection,
        conversationId: ConversationId
      ) {
        const cursor = connection.cursors.get(conversationId)
        const [conversation] = yield* conversations.getMany(connection.userId, [conversationId])
        if (conversation === undefined) {
          if (cursor !== undefined) yield* drop(connection, cursor)
        } else if (cursor === undefined) {
          yield* followAll(connection, [conversationId])
          yield* added(connection, [conversationId])
        }
      })

      return CatchUp.of({ greet, membershipChanged, replay })
    })
  )
}
