import type { AnswerOf, OperationName, PayloadOf } from "../Operations.ts"
import type { Message, Plain } from "../Plain.ts"
import type { TestConversation } from "./TestConversation.ts"
import type { TestConversations } from "./TestConversations.ts"

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
const makeConversationAnswers = (conversations: TestConversations): Handlers => ({
  "user.me": (_, userId) => conversations.people.get(userId) ?? conversations.notFound(),
  "user.get": ({ userId }) => conversations.profile(userId),
  "user.list": ({ userIds }) => ({
    items: userIds.filter((userId) => conversations.people.has(userId)).map((userId) => conversations.profile(userId))
  }),
  "user.search": ({ query }) => ({
    items: [...conversations.people.values()]
      .filter(({ username }) => username.startsWith(query.toLowerCase()))
      .map(({ id }) => conversations.profile(id))
  }),
  "conversation.create": (data, userId) => {
    const conversation =
      data.kind === "dm"
        ? conversations.create(userId, "dm", [data.userId], null)
        : conversations.create(userId, "group", data.memberIds, data.title)
    return conversations.seenBy(conversation, userId)
  },
  "conversation.get": ({ conversationId }, userId) =>
    conversations.seenBy(conversations.get(userId, conversationId), userId),
  "conversation.list": (_, userId) => ({
    items: [...conversations.all.values()]
      .filter(({ members }) => members.has(userId))
      .map((conversation) => conversations.seenBy(conversation, userId))
  }),
  "member.list": ({ conversationId }, userId) => {
    const conversation = conversations.get(userId, conversationId)
    return {
      items: [...conversation.members].map(([id, { readSeq, role }]) => ({
        user: conversations.profile(id),
        role,
        joinedAt: conversation.createdAt,
        readSeq,
        deliveredSeq: readSeq
      }))
    }
  }
})

/** The answers about messages. */
const makeMessageAnswers = (conversations: TestConversations): Handlers => {
  const messagesOf = (conversation: TestConversation, userId: string) =>
    [...conversation.messages.values()].map(({ id }) => conversations.message(conversation, id, userId))
  return {
    "message.list": ({ conversationId, threads, ...place }, userId) =>
      pageOf(
        messagesOf(conversations.get(userId, conversationId), userId).filter(
          ({ threadRootId }) => threads === true || threadRootId === null
        ),
        place
      ),
    "message.get": ({ conversationId, messageId }, userId) =>
      conversations.message(conversations.get(userId, conversationId), messageId, userId),
    "message.edit": ({ body, conversationId, messageId }, userId) => {
      const conversation = conversations.get(userId, conversationId)
      const { revision } = conversations.message(conversation, messageId)
      const change = (editedAt: string) => ({
        body,
        mentions: conversations.mentionedIn(conversation, body),
        editedAt,
        revision: revision + 1
      })
      return conversations.change(conversation, userId, messageId, change, "message.edited", () => ({
        message: conversations.message(conversation, messageId)
      }))
    },
    "message.delete": ({ conversationId, messageId }, userId) => {
      const conversation = conversations.get(userId, conversationId)
      conversation.reactions.delete(messageId)
      const change = (deletedAt: string) => ({ ...deleted, deletedAt })
      conversations.change(conversation, userId, messageId, change, "message.deleted", (about) => about)
    },
    "reaction.add": ({ conversationId, emoji, messageId }, userId) =>
      conversations.react(conversations.get(userId, conversationId), userId, messageId, emoji, true),
    "reaction.remove": ({ conversationId, emoji, messageId }, userId) =>
      conversations.react(conversations.get(userId, conversationId), userId, messageId, emoji, false),
    "thread.list": ({ conversationId, messageId, ...place }, userId) => {
      const conversation = conversations.get(userId, conversationId)
      const root = conversations.message(conversation, messageId, userId)
      const replies = messagesOf(conversation, userId).filter(({ threadRootId }) => threadRootId === messageId)
      const participants = [...new Set(replies.map(({ senderId }) => senderId).reverse())]
      return { root, replyCount: replies.length, participants, readSeq: 0, unreadCount: 0, ...pageOf(replies, place) }
    }
  }
}

/** The answers about what users have for themselves: markers, drafts, and that they type. */
const makeOwnAnswers = (conversations: TestConversations): Handlers => {
  const mark = (userId: string, conversationId: string, seq: number, force = false) => {
    const conversation = conversations.get(userId, conversationId)
    const member = conversation.members.get(userId)
    const upTo = Math.min(seq, conversation.log.length)
    if (member === undefined || (upTo <= member.readSeq && !force)) return
    member.readSeq = upTo
    conversations.tell(conversation, "read.marked", { userId, seq: upTo })
  }
  const draft = (userId: string, conversationId: string, body: string | null) => {
    const conversation = conversations.get(userId, conversationId)
    const updatedAt = conversations.now()
    const { userSeq } = conversations
    if (body === null) conversation.drafts.delete(userId)
    else conversation.drafts.set(userId, { body, updatedAt, userSeq })
    const data = { draft: body === null ? null : draftOf(conversation, userId), userSeq }
    conversations.tell(conversation, "draft.updated", data, new Set([userId]))
  }
  const draftOf = (conversation: TestConversation, userId: string) => {
    const { body, updatedAt, userSeq } = conversation.drafts.get(userId) ?? conversations.notFound()
    return { conversationId: conversation.id, body, replyTo: null, updatedAt, userSeq }
  }
  const typing = (userId: string, conversationId: string, event: "typing.started" | "typing.stopped") => {
    const conversation = conversations.get(userId, conversationId)
    conversations.tell(
      conversation,
      event,
      { userId },
      new Set([...conversation.members.keys()].filter((id) => id !== userId))
    )
  }

  return {
    "read.mark": ({ conversationId, force, seq }, userId) => mark(userId, conversationId, seq, force),
    "delivered.mark": () => undefined,
    "typing.start": ({ conversationId }, userId) => typing(userId, conversationId, "typing.started"),
    "typing.stop": ({ conversationId }, userId) => typing(userId, conversationId, "typing.stopped"),
    "draft.set": ({ body, conversationId }, userId) => draft(userId, conversationId, body),
    "draft.clear": ({ conversationId }, userId) => draft(userId, conversationId, null),
    "draft.list": (_, userId) => ({
      items: [...conversations.all.values()]
        .filter(({ drafts, members }) => members.has(userId) && drafts.has(userId))
        .map((conversation) => draftOf(conversation, userId))
    })
  }
}

/** The answers that a `TestServer` has by itself. */
export const makeAnswers = (conversations: TestConversations): Handlers => ({
  ...makeConversationAnswers(conversations),
  ...makeMessageAnswers(conversations),
  ...makeOwnAnswers(conversations)
})
