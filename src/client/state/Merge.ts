import { type Conversation, type Membership, unreadCap } from "../../domain/Conversation.ts"
import type { Event } from "../../domain/Event.ts"
import type { MessageId, UserId } from "../../domain/Ids.ts"
import { excerptLength, type Message } from "../../domain/Message.ts"
import { isSilent } from "../../domain/Payload.ts"
import type { Thread } from "../../domain/Thread.ts"
import { changeAt, changeMessage, insert, insertReply, later, mergePage, quote } from "./MergeMessages.ts"
import type { ConversationState, ThreadState } from "./State.ts"

/** The conversation after an event; `recount` means that the unread counts must be fetched from the service. */
interface Merged {
  readonly state: ConversationState
  readonly recount: boolean
}

/** Replaces a part of my side of the conversation. */
export const withMe = (state: ConversationState, me: Partial<Membership>): ConversationState => ({
  ...state,
  conversation: { ...state.conversation, me: { ...state.conversation.me, ...me } }
})

const withConversation = (state: ConversationState, change: Partial<Conversation>): ConversationState => ({
  ...state,
  conversation: { ...state.conversation, ...change }
})

const mentions = (message: Message, me: UserId) => message.mentionsAll || message.mentions.includes(me)

const created = (state: ConversationState, event: Extract<Event, { event: "message.created" }>, me: UserId): Merged => {
  const { message, threadRoot } = event.data
  const { seq } = event
  const typing = state.typing.has(message.senderId)
    ? new Set([...state.typing].filter((userId) => userId !== message.senderId))
    : state.typing
  const active = withConversation({ ...state, typing }, { lastActivityAt: event.at })
  const { mentionCount, readSeq, unreadCount } = state.conversation.me
  const mine = message.senderId === me
  if (message.threadRootId !== null) {
    const counted =
      threadRoot !== undefined && "threadReplyCount" in threadRoot
        ? changeAt(active, threadRoot.seq, seq, (root) => ({ ...root, threadReplyCount: threadRoot.threadReplyCount }))
        : active
    return { state: insertReply(counted, message), recount: mine || mentions(message, me) }
  }
  const inserted = insert(active, message)
  if (mine) {
    const read = { readSeq: Math.max(readSeq, seq), unreadCount: 0 }
    return { state: readTo(withMe(inserted, read)), recount: mentionCount > 0 }
  }
  if (seq <= readSeq || message.deletedAt !== null || isSilent(message.payload))
    return { state: inserted, recount: false }
  const mentioned = mentions(message, me) ? 1 : 0
  return {
    state: withMe(inserted, {
      unreadCount: Math.min(unreadCap, unreadCount + 1),
      mentionCount: Math.min(unreadCap, mentionCount + mentioned)
    }),
    recount: false
  }
}

/** Moves my delivered marker up to my read marker: a message that was read was delivered. */
const readTo = (state: ConversationState) => {
  const { deliveredSeq, readSeq } = state.conversation.me
  return deliveredSeq < readSeq ? withMe(state, { deliveredSeq: readSeq }) : state
}

const react = (
  state: ConversationState,
  event: Extract<Event, { event: "reaction.added" | "reaction.removed" }>,
  me: UserId
): ConversationState => {
  const { data, seq } = event
  if (!("emoji" in data)) return state
  const { count, emoji, messageSeq, userId } = data
  const counted = changeAt(state, messageSeq, seq, (message) => {
    const known = message.reactions.find((reaction) => reaction.emoji === emoji)
    const others = message.reactions.filter((reaction) => reaction !== known)
    if (count === 0) return { ...message, reactions: others }
    return known === undefined
      ? { ...message, reactions: [...others, { emoji, count, me: false }] }
      : {
          ...message,
          reactions: message.reactions.map((reaction) => (reaction === known ? { ...known, count } : reaction))
        }
  })
  if (userId !== me) return counted
  // This holds for a later state of the message too, since events do not say whose their reactions are.
  return changeMessage(counted, messageSeq, (message) => ({
    ...message,
    reactions: message.reactions.map((reaction) =>
      reaction.emoji === emoji ? { ...reaction, me: event.event === "reaction.added" } : reaction
    )
  }))
}

/** The fields that deletion empties. */
const tombstone = {
  body: "",
  payload: null,
  votes: null,
  mentions: [],
  mentionsAll: false,
  attachments: [],
  reactions: [],
  pinned: false
}

const apply = (state: ConversationState, event: Event, me: UserId): Merged => {
  const { conversation } = state
  const sure = (next: ConversationState): Merged => ({ state: next, recount: false })
  const isUnread = (messageSeq: number) => messageSeq > conversation.me.readSeq && conversation.me.unreadCount > 0
  switch (event.event) {
    case "message.created":
      return created(state, event, me)
    case "message.edited": {
      if (!("message" in event.data)) return sure(state)
      const { message } = event.data
      const edited = changeMessage(state, message.seq, (known) => later(known, message))
      const shown = {
        excerpt: [...message.body].slice(0, excerptLength).join(""),
        deleted: message.deletedAt !== null
      }
      return { state: quote(edited, message.seq, shown), recount: isUnread(message.seq) }
    }
    case "message.deleted": {
      const { messageSeq } = event.data
      const { at, seq } = event
      const gone = { ...tombstone, deletedAt: at }
      const unstarred = starUpdated(state, { messageId: event.data.messageId, starred: false })
      const deleted = changeAt(unstarred, messageSeq, seq, (message) => ({ ...message, ...gone }))
      return { state: quote(deleted, messageSeq, { excerpt: "", deleted: true }), recount: isUnread(messageSeq) }
    }
    case "reaction.added":
    case "reaction.removed":
      return sure(react(state, event, me))
    case "message.pinned":
    case "message.unpinned": {
      const pinned = event.event === "message.pinned"
      return sure(changeAt(state, event.data.messageSeq, event.seq, (message) => ({ ...message, pinned })))
    }
    case "poll.voted": {
      if (!("votes" in event.data)) return sure(state)
      const { messageSeq, votes } = event.data
      return sure(changeAt(state, messageSeq, event.seq, (message) => ({ ...message, votes })))
    }
    case "member.joined":
      return sure(withConversation(state, { memberCount: conversation.memberCount + 1 }))
    case "member.left":
      return sure(withConversation(state, { memberCount: conversation.memberCount - 1 }))
    case "member.role-changed":
      return sure(event.data.userId === me ? withMe(state, { role: event.data.role }) : state)
    case "conversation.updated":
      return sure(withConversation(state, event.data))
    case "conversation.created":
      return sure(state)
  }
}

/** Applies the next event of the log. An event that this client does not know is null and only moves the cursor. */
export const merge = (state: ConversationState, seq: number, event: Event | null, me: UserId): Merged => {
  const { recount, state: next } = event === null ? { state, recount: false } : apply(state, event, me)
  return { state: withConversation(next, { seq }), recount }
}

/** Merges a fetched page of the history and the events since it was asked for; the later state of a message wins. */
export const withPage = (
  state: ConversationState,
  page: { readonly items: ReadonlyArray<Message>; readonly hasBefore: boolean },
  meanwhile: ReadonlyArray<Event>,
  me: UserId
): ConversationState => {
  const filled: ConversationState = {
    ...state,
    messages: mergePage(state.messages ?? [], false, page.items),
    hasBefore: page.hasBefore
  }
  const { messages } = meanwhile.reduce((next, event) => apply(next, event, me).state, filled)
  const { conversation } = state
  // The page may be ahead of the cursor; `lastMessage` must show the same state as the history.
  const lastMessage = messages?.find(({ seq }) => seq === conversation.lastMessage?.seq) ?? conversation.lastMessage
  return { ...filled, messages, conversation: { ...conversation, lastMessage } }
}

/** Merges a fetched page of a thread and the events since it was asked for. */
export const withThread = (
  state: ConversationState,
  rootId: MessageId,
  page: Pick<Thread, "hasBefore" | "items" | "root">,
  meanwhile: ReadonlyArray<Event>,
  me: UserId
): ConversationState => {
  const known = state.threads.get(rootId)
  const thread: ThreadState = {
    root: "body" in page.root ? page.root : null,
    messages: mergePage(known?.messages ?? [], false, page.items),
    hasBefore: page.hasBefore
  }
  const filled: ConversationState = { ...state, threads: new Map(state.threads).set(rootId, thread) }
  return { ...state, threads: meanwhile.reduce((next, event) => apply(next, event, me).state, filled).threads }
}

/** Takes a fetched message for what events do not say, which is my vote; the later state of the rest wins. */
export const withVote = (state: ConversationState, message: Message): ConversationState =>
  changeMessage(state, message.seq, (known) => ({
    ...later(known, message),
    ...(message.myVote !== undefined && { myVote: message.myVote })
  }))

/** Applies a user's read marker. */
export const readMarked = (state: ConversationState, userId: UserId, seq: number, me: UserId): Merged => {
  if (userId !== me) {
    const delivered = Math.max(state.delivered.get(userId) ?? 0, seq)
    return {
      state: {
        ...state,
        read: new Map(state.read).set(userId, seq),
        delivered: new Map(state.delivered).set(userId, delivered)
      },
      recount: false
    }
  }
  const { conversation } = state
  const all = seq >= conversation.seq
  return {
    state: readTo(withMe(state, { readSeq: seq, ...(all && { unreadCount: 0 }) })),
    recount: !all || conversation.me.mentionCount > 0
  }
}

/** Applies a user's delivered marker. */
export const deliveredMarked = (
  state: ConversationState,
  userId: UserId,
  seq: number,
  me: UserId
): ConversationState =>
  userId === me
    ? withMe(state, { deliveredSeq: Math.max(state.conversation.me.deliveredSeq, seq) })
    : { ...state, delivered: new Map(state.delivered).set(userId, seq) }

/** Applies a change of my saved messages. */
export const starUpdated = (
  state: ConversationState,
  { messageId, starred }: { readonly messageId: MessageId; readonly starred: boolean }
): ConversationState => {
  if (state.starred.has(messageId) === starred) return state
  const others = [...state.starred].filter((id) => id !== messageId)
  return { ...state, starred: new Set(starred ? [...others, messageId] : others) }
}
