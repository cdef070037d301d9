import { Clock, Effect, Layer } from "effect"
import type { Event } from "../../domain/Event.ts"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import { excerptLength } from "../../domain/Message.ts"
import { messageIdReused, noConversation, noMessage, noReplyTarget, noThreadRoot } from "../../domain/Refusals.ts"
import { seenFrom } from "../../domain/Visibility.ts"
import { makeMembershipSignals } from "../../services/bus/MembershipSignals.ts"
import { encodeEvent, PubSub } from "../../services/bus/PubSub.ts"
import { conversationSubject } from "../../services/bus/Subjects.ts"
import type { MembershipRow } from "../../services/conversations/ConversationRows.ts"
import { type NewEntry, pageBounds } from "../../services/log/Entry.ts"
import { Log } from "../../services/log/Log.ts"
import { type MessageRow, messageCreated, toMessage } from "../../services/log/MessageRows.ts"
import { bindAttachments } from "./Attachments.ts"
import { mentionedBy } from "./Mentions.ts"
import {
  checkNotBlocked,
  type LoggedEvent,
  type LoggedMessage,
  Memory,
  type StoredConversation,
  showDirect,
  type ThreadMemberRow
} from "./State.ts"

/** A conversation and the user's membership in it; `NotFound` for non-members. */
export const membership = (
  conversations: ReadonlyMap<ConversationId, StoredConversation>,
  userId: UserId,
  conversationId: ConversationId
) => {
  const conversation = conversations.get(conversationId)
  const me = conversation?.members.get(userId)
  return conversation === undefined || me?.leftSeq !== null
    ? Effect.fail(noConversation)
    : Effect.succeed({ conversation, me })
}

/** The messages from `visibleFromSeq` on, in the order of the log. */
export const messagesOf = ({ log }: StoredConversation, visibleFromSeq: number): Array<LoggedMessage> =>
  log.flatMap((logged) => (logged.event === "message.created" && logged.seq >= visibleFromSeq ? [logged] : []))

const votesOf = ({ ballots, payload }: LoggedMessage) =>
  payload !== null && "options" in payload
    ? payload.options.map(
        (_, option) => Array.from(ballots.values()).filter((chosen) => chosen.includes(option)).length
      )
    : null

/** The root of the thread that a root or a reply names, when the member may see that message or a reply to it. */
export const threadRootOf = (conversation: StoredConversation, visibleFromSeq: number, messageId: MessageId) => {
  const all = messagesOf(conversation, 1)
  const named = all.find(({ id }) => id === messageId)
  const seen =
    named !== undefined &&
    (named.seq >= visibleFromSeq ||
      all.some(({ seq, threadRootSeq }) => seq >= visibleFromSeq && threadRootSeq === named.seq))
  return seen ? all.find(({ seq }) => seq === (named.threadRootSeq ?? named.seq)) : undefined
}

/** The history that the member may see, without the messages that the member has hidden. */
export const historyOf = (conversation: StoredConversation, { userId, visibleFromSeq }: MembershipRow) =>
  messagesOf(conversation, visibleFromSeq).filter(({ hiddenFor }) => !hiddenFor.includes(userId))

/** A message that the user may see, with its conversation and the membership; `NotFound` when there is none. */
export const messageFor = Effect.fnUntraced(function* (
  conversations: ReadonlyMap<ConversationId, StoredConversation>,
  userId: UserId,
  conversationId: ConversationId,
  messageId: MessageId
) {
  const { conversation, me } = yield* Effect.mapError(
    membership(conversations, userId, conversationId),
    () => noMessage
  )
  const message = messagesOf(conversation, me.visibleFromSeq).find(({ id }) => id === messageId)
  return message === undefined ? yield* noMessage : { conversation, me, message }
})

/** The row of a message. With `readerId` it has that member's own reactions and vote. */
export const rowOf = (conversation: StoredConversation, message: LoggedMessage, readerId?: UserId): MessageRow => {
  const original = message.replySeq === null ? undefined : conversation.log[message.replySeq - 1]
  const reply = original?.event === "message.created" ? original : undefined
  return {
    ...message,
    conversationId: conversation.id,
    replyId: reply?.id ?? null,
    replySeq: reply?.seq ?? 0,
    replySenderId: reply?.senderId ?? message.senderId,
    replyExcerpt: Array.from(reply?.body ?? "")
      .slice(0, excerptLength)
      .join(""),
    replyDeleted: reply?.deletedAt !== null && reply !== undefined,
    reactions: message.reactions.map(({ emoji, userIds }) => ({ emoji, count: userIds.length })),
    pinned: message.pinnedAt !== null,
    votes: votesOf(message),
    ...(readerId !== undefined && {
      myVote: votesOf(message) && (message.ballots.get(readerId) ?? []),
      mine: message.reactions.flatMap(({ emoji, userIds }) => (userIds.includes(readerId) ? [emoji] : []))
    })
  }
}

/** An entry of the log as an event, with the messages that it refers to as they are now. */
export const eventOf = (conversation: StoredConversation, logged: LoggedMessage | LoggedEvent): Event => {
  if (logged.event === "message.created") return messageCreated(rowOf(conversation, logged))
  if (logged.event !== "message.edited" || "message" in logged.data) return logged
  const message = conversation.log[logged.data.messageSeq - 1]
  return message?.event === "message.created"
    ? { ...logged, data: { message: toMessage(rowOf(conversation, message), 1) } }
    : logged
}

const ackOf = ({ createdAt, id: messageId, seq }: LoggedMessage, duplicate: boolean) => ({
  messageId,
  seq,
  createdAt: createdAt.toISOString(),
  duplicate
})

/** Finds the membership of the sender, and the message that was stored under the entry's `clientMessageId`. */
const findKnown = Effect.fnUntraced(function* (
  { conversations }: Memory["Service"],
  entry: Parameters<Log["Service"]["known"]>[0]
) {
  const mine = yield* membership(conversations, entry.senderId, entry.conversationId)
  const known = messagesOf(mine.conversation, 1).find(
    ({ clientMessageId, senderId }) => senderId === entry.senderId && clientMessageId === entry.clientMessageId
  )
  if (known !== undefined && known.requestHash !== entry.requestHash) return yield* messageIdReused
  return { ...mine, known }
})

/** The message that an entry becomes. `NotFound` when it replies to a message that the sender may not see. */
const toLogged = Effect.fnUntraced(function* (
  memory: Memory["Service"],
  conversation: StoredConversation,
  me: MembershipRow,
  entry: NewEntry
) {
  const reply = messagesOf(conversation, me.visibleFromSeq).find(({ id }) => id === entry.replyTo)
  if (entry.replyTo !== null && reply === undefined) return yield* noReplyTarget
  const { attachments = null, names = [], payload = null, sources, threadRoot } = entry.extra ?? {}
  const root = threadRoot && threadRootOf(conversation, me.visibleFromSeq, threadRoot)
  if (threadRoot !== undefined && root === undefined) return yield* noThreadRoot
  const mentions = mentionedBy(conversation, memory.users, me, names)
  const seq = conversation.log.length + 1
  if (attachments !== null)
    yield* bindAttachments(memory, { conversationId: conversation.id, seq }, me.userId, attachments, sources)
  const logged: LoggedMessage = {
    ...entry,
    event: "message.created",
    seq,
    replySeq: reply?.seq ?? null,
    createdAt: new Date(yield* Clock.currentTimeMillis),
    editedAt: null,
    deletedAt: null,
    revision: 1,
    changedSeq: seq,
    pinnedAt: null,
    reactions: [],
    threadRootId: root?.id ?? null,
    threadRootSeq: root?.seq ?? null,
    threadPlace: root === undefined ? null : root.threadReplyCount + 1,
    threadReplyCount: 0,
    mentions: mentions.length === 0 ? null : mentions,
    payload,
    attachments,
    ballots: new Map(),
    revisions: [],
    hiddenFor: []
  }
  return { logged, root }
})

/** Moves the sender's read marker to the new message, in its thread if it is a reply there. */
const advance = (
  conversation: StoredConversation,
  me: MembershipRow,
  { seq }: LoggedMessage,
  root: LoggedMessage | undefined
) => {
  if (root === undefined) {
    conversation.members.set(me.userId, { ...me, readSeq: Math.max(me.readSeq, seq) })
    return
  }
  conversation.log[root.seq - 1] = { ...root, threadReplyCount: root.threadReplyCount + 1, changedSeq: seq }
  const thread = conversation.threads.get(root.seq) ?? new Map<UserId, ThreadMemberRow>()
  thread.set(me.userId, { readSeq: seq, lastReplySeq: seq })
  conversation.threads.set(root.seq, thread)
}

const makeAppend = Effect.gen(function* () {
  const memory = yield* Memory
  const pubsub = yield* PubSub
  const signal = yield* makeMembershipSignals
  const append: Log["Service"]["append"] = Effect.fnUntraced(
    function* (entry) {
      const { conversation, known, me } = yield* findKnown(memory, entry)
      const publish = (logged: LoggedMessage) =>
        pubsub.publish(conversationSubject(conversation.id), [encodeEvent(eventOf(conversation, logged))])
      if (known !== undefined) return yield* Effect.as(publish(known), { ack: ackOf(known, true), message: null })
      yield* checkNotBlocked(memory, conversation, entry.senderId)
      const { logged, root } = yield* toLogged(memory, conversation, me, entry)
      conversation.log.push(logged)
      conversation.lastActivityAt = logged.createdAt
      advance(conversation, me, logged, root)
      const peer = conversation.empty ? showDirect(memory, conversation) : undefined
      conversation.empty = false
      if (peer !== undefined) yield* signal(conversation.id, [peer])
      yield* publish(logged)
      return { ack: ackOf(logged, false), message: toMessage(rowOf(conversation, logged), 1) }
    },
    (append) => memory.atomically(append)
  )
  return append
})

const makeReader = (memory: Memory["Service"]): Omit<Log["Service"], "append"> => {
  const { conversations } = memory
  return {
    known: (entry) =>
      Effect.map(findKnown(memory, entry), ({ known }) =>
        known === undefined ? null : { ack: ackOf(known, true), message: null }
      ),
    events: ({ after, conversationId, limit, userId }) =>
      Effect.map(membership(conversations, userId, conversationId), ({ conversation, me: { visibleFromSeq } }) => ({
        items: conversation.log
          .filter(({ seq }) => seq > after && seq >= visibleFromSeq)
          .slice(0, limit)
          .map((logged) => seenFrom(eventOf(conversation, logged), visibleFromSeq)),
        head: conversation.log.length,
        visibleFromSeq
      })),
    range: (conversationId, after, through) =>
      Effect.sync(() => {
        const conversation = conversations.get(conversationId)
        return conversation?.log.slice(after, through).map((logged) => eventOf(conversation, logged)) ?? []
      }),
    heads: (ids) =>
      Effect.sync(
        () =>
          new Map(
            ids.flatMap((id) => {
              const conversation = conversations.get(id)
              return conversation === undefined ? [] : [[id, conversation.log.length]]
            })
          )
      ),
    messages: ({ conversationId, limit, place, replies, userId }) =>
      Effect.map(membership(conversations, userId, conversationId), ({ conversation, me }) => {
        const { from, newer, older } = pageBounds(place, limit)
        const all = historyOf(conversation, me).filter(
          ({ threadRootSeq }) => replies === "all" || threadRootSeq === (replies?.to ?? null)
        )
        const before = all.filter(({ seq }) => seq < from)
        const after = all.slice(before.length)
        const page = all.slice(Math.max(0, before.length - older), before.length + newer)
        return {
          items: page.map((message) => toMessage(rowOf(conversation, message, userId), me.visibleFromSeq)),
          hasBefore: before.length > older,
          hasAfter: after.length > newer
        }
      }),
    message: Effect.fnUntraced(function* (userId, conversationId, messageId) {
      const { conversation, me, message } = yield* messageFor(conversations, userId, conversationId, messageId)
      return toMessage(rowOf(conversation, message, userId), me.visibleFromSeq)
    })
  }
}

/** The log in `Memory`. */
export const layerMemory = Layer.effect(
  Log,
  Effect.gen(function* () {
    const memory = yield* Memory
    return Log.of({ ...makeReader(memory), append: yield* makeAppend })
  })
)
