import { Clock, Effect } from "effect"
import type { Event } from "../domain/Event.ts"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import { excerptLength } from "../domain/Message.ts"
import { seenFrom } from "../domain/Visibility.ts"
import { blocked } from "./ConversationRules.ts"
import type { Log } from "./Log.ts"
import { noConversation, noMessage, reused, split } from "./LogReader.ts"
import { noReplyTarget, noThreadRoot } from "./LogWriter.ts"
import {
  isBlocked,
  type LoggedEvent,
  type LoggedMessage,
  type MembershipRow,
  Memory,
  type StoredConversation,
  type ThreadMemberRow
} from "./Memory.ts"
import { mentionedBy } from "./MentionsMemory.ts"
import { type MessageRow, messageCreated, toMessage } from "./MessageRows.ts"
import { conversationSubject, encodeEvent, PubSub } from "./PubSub.ts"

/** A conversation and the user's place in it; `NotFound` when he is no member. */
export const membership = (
  conversations: ReadonlyMap<ConversationId, StoredConversation>,
  conversationId: ConversationId,
  userId: UserId
) => {
  const conversation = conversations.get(conversationId)
  const me = conversation?.members.get(userId)
  return conversation === undefined || me?.leftSeq !== null
    ? Effect.fail(noConversation)
    : Effect.succeed({ conversation, me })
}

export const messagesOf = ({ log }: StoredConversation, visibleFromSeq: number): Array<LoggedMessage> =>
  log.flatMap((logged) => (logged.event === "message.created" && logged.seq >= visibleFromSeq ? [logged] : []))

const votesOf = ({ ballots, payload }: LoggedMessage) =>
  payload !== null && "options" in payload
    ? payload.options.map(
        (_, option) => Array.from(ballots.values()).filter((chosen) => chosen.includes(option)).length
      )
    : null

/** The root of a thread that is named by the root or by any reply, when the member may see that or a reply to it. */
export const threadRootOf = (conversation: StoredConversation, visibleFromSeq: number, messageId: MessageId) => {
  const all = messagesOf(conversation, 1)
  const named = all.find(({ id }) => id === messageId)
  const seen =
    named !== undefined &&
    (named.seq >= visibleFromSeq ||
      all.some(({ seq, threadRootSeq }) => seq >= visibleFromSeq && threadRootSeq === named.seq))
  return seen ? all.find(({ seq }) => seq === (named.threadRootSeq ?? named.seq)) : undefined
}

/** The history as the member may see it, without what he has hidden. */
export const historyOf = (conversation: StoredConversation, { userId, visibleFromSeq }: MembershipRow) =>
  messagesOf(conversation, visibleFromSeq).filter(({ hiddenFor }) => !hiddenFor.includes(userId))

/** A message that the user may see, with his place in its conversation; `NotFound` when there is none. */
export const messageFor = Effect.fnUntraced(function* (
  conversations: ReadonlyMap<ConversationId, StoredConversation>,
  conversationId: ConversationId,
  userId: UserId,
  messageId: MessageId
) {
  const { conversation, me } = yield* Effect.mapError(
    membership(conversations, conversationId, userId),
    () => noMessage
  )
  const message = messagesOf(conversation, me.visibleFromSeq).find(({ id }) => id === messageId)
  return message === undefined ? yield* noMessage : { conversation, me, message }
})

/** `readerId`: whose own reactions are marked, in a view of a member. */
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

/** An entry of the log as the event that it is now. */
export const eventOf = (conversation: StoredConversation, logged: LoggedMessage | LoggedEvent): Event => {
  if (logged.event === "message.created") return messageCreated(rowOf(conversation, logged))
  if (logged.event !== "message.edited" || "message" in logged.data) return logged
  const message = conversation.log[logged.data.messageSeq - 1]
  return message?.event === "message.created"
    ? { ...logged, data: { message: toMessage(rowOf(conversation, message), 1) } }
    : logged
}

/** The log in `Memory`. */
export const makeMemoryLog = Effect.gen(function* () {
  const memory = yield* Memory
  const { atomically, conversations, users } = memory
  const pubsub = yield* PubSub

  const ackOf = ({ createdAt, id: messageId, seq }: LoggedMessage, duplicate: boolean) => ({
    messageId,
    seq,
    createdAt: createdAt.toISOString(),
    duplicate
  })

  const find = Effect.fnUntraced(function* (entry: Parameters<Log["Service"]["known"]>[0]) {
    const mine = yield* membership(conversations, entry.conversationId, entry.senderId)
    const known = messagesOf(mine.conversation, 1).find(
      ({ clientMessageId, senderId }) => senderId === entry.senderId && clientMessageId === entry.clientMessageId
    )
    if (known !== undefined && Buffer.compare(known.requestHash, entry.requestHash) !== 0) return yield* reused
    return { ...mine, known }
  })

  const append: Log["Service"]["append"] = Effect.fnUntraced(
    function* (entry) {
      const { conversation, known, me } = yield* find(entry)
      const publish = (logged: LoggedMessage) =>
        pubsub.publish(conversationSubject(conversation.id), [encodeEvent(eventOf(conversation, logged))])
      if (known !== undefined) return yield* Effect.as(publish(known), { ack: ackOf(known, true), message: null })
      if (isBlocked(memory, conversation, entry.senderId)) return yield* blocked
      const reply = messagesOf(conversation, me.visibleFromSeq).find(({ id }) => id === entry.replyTo)
      if (entry.replyTo !== null && reply === undefined) return yield* noReplyTarget
      const { names = [], payload = null, threadRoot } = entry.extra ?? {}
      const root = threadRoot && threadRootOf(conversation, me.visibleFromSeq, threadRoot)
      if (threadRoot !== undefined && root === undefined) return yield* noThreadRoot
      const mentions = mentionedBy(conversation, users, me, names)
      const seq = conversation.log.length + 1
      const createdAt = new Date(yield* Clock.currentTimeMillis)
      const logged: LoggedMessage = {
        ...entry,
        event: "message.created",
        seq,
        replySeq: reply?.seq ?? null,
        createdAt,
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
        ballots: new Map(),
        revisions: [],
        hiddenFor: []
      }
      conversation.log.push(logged)
      conversation.lastActivityAt = createdAt
      if (root === undefined) {
        conversation.members.set(entry.senderId, { ...me, readSeq: Math.max(me.readSeq, seq) })
      } else {
        conversation.log[root.seq - 1] = { ...root, threadReplyCount: root.threadReplyCount + 1, changedSeq: seq }
        const thread = conversation.threads.get(root.seq) ?? new Map<UserId, ThreadMemberRow>()
        thread.set(entry.senderId, { readSeq: seq, lastReplySeq: seq })
        conversation.threads.set(root.seq, thread)
      }
      yield* publish(logged)
      return { ack: ackOf(logged, false), message: toMessage(rowOf(conversation, logged), 1) }
    },
    (append) => atomically(append)
  )

  const log: Log["Service"] = {
    append,
    known: (entry) =>
      Effect.map(find(entry), ({ known }) => (known === undefined ? null : { ack: ackOf(known, true), message: null })),
    events: ({ after, conversationId, limit, userId }) =>
      Effect.map(membership(conversations, conversationId, userId), ({ conversation, me: { visibleFromSeq } }) => ({
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
      Effect.map(membership(conversations, conversationId, userId), ({ conversation, me }) => {
        const { from, newer, older } = split(place, limit)
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
    message: Effect.fnUntraced(function* (conversationId, userId, messageId) {
      const { conversation, me, message } = yield* messageFor(conversations, conversationId, userId, messageId)
      return toMessage(rowOf(conversation, message, userId), me.visibleFromSeq)
    })
  }
  return log
})
