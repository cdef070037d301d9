import type { AnswerOf, OperationName, PayloadOf } from "../Operations.ts"
import type { Message, Plain } from "../Plain.ts"
import type { Room, Rooms } from "./Rooms.ts"

/** Answers an operation that a user asks for. What it throws, such as `new NotFound({})`, is the problem of the answer. */
export type Handler<Name extends OperationName> = (data: PayloadOf<Name>, userId: string) => Plain<AnswerOf<Name>>

/** Answers of operations, by their names. */
export type Handlers = { readonly [Name in OperationName]?: Handler<Name> }

const pageSize = 50

/** A page of messages in ascending order: the newest, or the one before or after a `seq`. */
const pageOf = (
  messages: ReadonlyArray<Message>,
  { after, before, limit = pageSize }: { readonly after?: number; readonly before?: number; readonly limit?: number }
) => {
  const place = messages.filter(({ seq }) => seq > (after ?? 0) && seq < (before ?? Number.POSITIVE_INFINITY))
  const items = after === undefined ? place.slice(-limit) : place.slice(0, limit)
  const first = items[0]?.seq ?? 0
  const last = items.at(-1)?.seq ?? 0
  return {
    items,
    hasBefore: messages.some(({ seq }) => seq < first),
    hasAfter: messages.some(({ seq }) => seq > last)
  }
}

const deleted = { body: "", mentions: [], payload: null, votes: null, attachments: [], pinned: false }

/** The answers about users, and the conversations that they are in. */
const makeConversationAnswers = (rooms: Rooms): Handlers => ({
  "user.me": (_, userId) => rooms.people.get(userId) ?? rooms.notFound(),
  "user.get": ({ userId }) => rooms.profile(userId),
  "user.search": ({ query }) => ({
    items: [...rooms.people.values()]
      .filter(({ username }) => username.startsWith(query.toLowerCase()))
      .map(({ id }) => rooms.profile(id))
  }),
  "conversation.create": (data, userId) => {
    const room =
      data.kind === "dm"
        ? rooms.create(userId, "dm", [data.userId], null)
        : rooms.create(userId, "group", data.memberIds, data.title)
    return rooms.conversation(room, userId)
  },
  "conversation.get": ({ conversationId }, userId) => rooms.conversation(rooms.room(userId, conversationId), userId),
  "conversation.list": (_, userId) => ({
    items: [...rooms.rooms.values()]
      .filter(({ members }) => members.has(userId))
      .map((room) => rooms.conversation(room, userId))
  }),
  "member.list": ({ conversationId }, userId) => {
    const room = rooms.room(userId, conversationId)
    return {
      items: [...room.members].map(([id, { readSeq, role }]) => ({
        user: rooms.profile(id),
        role,
        joinedAt: room.createdAt,
        readSeq,
        deliveredSeq: readSeq
      }))
    }
  }
})

/** The answers about messages. */
const makeMessageAnswers = (rooms: Rooms): Handlers => {
  const messagesOf = (room: Room, userId: string) =>
    [...room.messages.values()].map(({ id }) => rooms.message(room, id, userId))
  return {
    "message.list": ({ conversationId, threads, ...place }, userId) =>
      pageOf(
        messagesOf(rooms.room(userId, conversationId), userId).filter(
          ({ threadRootId }) => threads === true || threadRootId === null
        ),
        place
      ),
    "message.get": ({ conversationId, messageId }, userId) =>
      rooms.message(rooms.room(userId, conversationId), messageId, userId),
    "message.edit": ({ body, conversationId, messageId }, userId) => {
      const room = rooms.room(userId, conversationId)
      const { revision } = rooms.message(room, messageId)
      const change = (editedAt: string) => ({
        body,
        mentions: rooms.mentionedIn(room, body),
        editedAt,
        revision: revision + 1
      })
      return rooms.change(room, userId, messageId, change, "message.edited", () => ({
        message: rooms.message(room, messageId)
      }))
    },
    "message.delete": ({ conversationId, messageId }, userId) => {
      const room = rooms.room(userId, conversationId)
      room.reactions.delete(messageId)
      const change = (deletedAt: string) => ({ ...deleted, deletedAt })
      rooms.change(room, userId, messageId, change, "message.deleted", (about) => about)
    },
    "reaction.add": ({ conversationId, emoji, messageId }, userId) =>
      rooms.react(rooms.room(userId, conversationId), userId, messageId, emoji, true),
    "reaction.remove": ({ conversationId, emoji, messageId }, userId) =>
      rooms.react(rooms.room(userId, conversationId), userId, messageId, emoji, false),
    "thread.list": ({ conversationId, messageId, ...place }, userId) => {
      const room = rooms.room(userId, conversationId)
      const root = rooms.message(room, messageId, userId)
      const replies = messagesOf(room, userId).filter(({ threadRootId }) => threadRootId === messageId)
      const participants = [...new Set(replies.map(({ senderId }) => senderId).reverse())]
      return { root, replyCount: replies.length, participants, readSeq: 0, unreadCount: 0, ...pageOf(replies, place) }
    }
  }
}

/** The answers about what users have for themselves: markers, drafts, and that they type. */
const makeOwnAnswers = (rooms: Rooms): Handlers => {
  const mark = (userId: string, conversationId: string, seq: number, force = false) => {
    const room = rooms.room(userId, conversationId)
    const member = room.members.get(userId)
    const upTo = Math.min(seq, room.log.length)
    if (member === undefined || (upTo <= member.readSeq && !force)) return
    member.readSeq = upTo
    rooms.tell(room, "read.marked", { userId, seq: upTo })
  }
  const draft = (userId: string, conversationId: string, body: string | null) => {
    const room = rooms.room(userId, conversationId)
    const updatedAt = rooms.now()
    const { userSeq } = rooms
    if (body === null) room.drafts.delete(userId)
    else room.drafts.set(userId, { body, updatedAt, userSeq })
    const data = { draft: body === null ? null : draftOf(room, userId), userSeq }
    rooms.tell(room, "draft.updated", data, new Set([userId]))
  }
  const draftOf = (room: Room, userId: string) => {
    const { body, updatedAt, userSeq } = room.drafts.get(userId) ?? rooms.notFound()
    return { conversationId: room.id, body, replyTo: null, updatedAt, userSeq }
  }
  const typing = (userId: string, conversationId: string, event: "typing.started" | "typing.stopped") => {
    const room = rooms.room(userId, conversationId)
    rooms.tell(room, event, { userId }, new Set([...room.members.keys()].filter((id) => id !== userId)))
  }

  return {
    "read.mark": ({ conversationId, force, seq }, userId) => mark(userId, conversationId, seq, force),
    "delivered.mark": () => undefined,
    "typing.start": ({ conversationId }, userId) => typing(userId, conversationId, "typing.started"),
    "typing.stop": ({ conversationId }, userId) => typing(userId, conversationId, "typing.stopped"),
    "draft.set": ({ body, conversationId }, userId) => draft(userId, conversationId, body),
    "draft.clear": ({ conversationId }, userId) => draft(userId, conversationId, null),
    "draft.list": (_, userId) => ({
      items: [...rooms.rooms.values()]
        .filter(({ drafts, members }) => members.has(userId) && drafts.has(userId))
        .map((room) => draftOf(room, userId))
    })
  }
}

/** The answers that a `TestServer` has by itself. */
export const makeAnswers = (rooms: Rooms): Handlers => ({
  ...makeConversationAnswers(rooms),
  ...makeMessageAnswers(rooms),
  ...makeOwnAnswers(rooms)
})
