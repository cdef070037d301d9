import type { Message } from "../../domain/Message.ts"
import type { ConversationState } from "./State.ts"

type Change = (message: Message) => Message

/** Keeps which reactions are mine, and my vote: events do not carry them, since all members get the same event. */
const keepMine = (message: Message, known: Message | undefined): Message => ({
  ...(known?.myVote !== undefined && { myVote: known.myVote }),
  ...message,
  reactions: message.reactions.map((reaction) => ({
    ...reaction,
    me: reaction.me ?? known?.reactions.some(({ emoji, me }) => emoji === reaction.emoji && me === true) ?? false
  }))
})

/** The later of two states of a message. */
export const later = (known: Message, message: Message) =>
  message.changedSeq > known.changedSeq ? keepMine(message, known) : known

/** Applies a change to a message wherever it is held. */
export const changeMessage = (state: ConversationState, messageSeq: number, change: Change): ConversationState => {
  const { conversation, messages } = state
  const { lastMessage } = conversation
  return {
    ...state,
    conversation: {
      ...conversation,
      lastMessage: lastMessage?.seq === messageSeq ? change(lastMessage) : lastMessage
    },
    messages: messages?.map((message) => (message.seq === messageSeq ? change(message) : message)) ?? null
  }
}

/** Applies a change only where it is later than the held state of the message. */
export const changeAt = (state: ConversationState, messageSeq: number, seq: number, change: Change) =>
  changeMessage(state, messageSeq, (message) =>
    message.changedSeq < seq ? { ...change(message), changedSeq: seq } : message
  )

/** Updates the excerpt in replies to a message. */
export const quote = (
  state: ConversationState,
  seq: number,
  shown: { readonly excerpt: string; readonly deleted: boolean }
): ConversationState => {
  const renew: Change = (message) =>
    message.replyTo?.seq === seq && message.replyTo.hidden !== true
      ? { ...message, replyTo: { ...message.replyTo, ...shown } }
      : message
  const { lastMessage } = state.conversation
  return {
    ...state,
    conversation: { ...state.conversation, lastMessage: lastMessage && renew(lastMessage) },
    messages: state.messages?.map(renew) ?? null
  }
}

/** Adds a message to the history and, if it is the newest, as the last one of the conversation. */
export const insert = (state: ConversationState, message: Message): ConversationState => {
  const { conversation, hasBefore, messages } = state
  const { lastMessage } = conversation
  const last =
    lastMessage === null || lastMessage.seq < message.seq
      ? keepMine(message, undefined)
      : lastMessage.seq === message.seq
        ? later(lastMessage, message)
        : lastMessage
  return {
    ...state,
    conversation: { ...conversation, lastMessage: last },
    messages: messages === null ? null : mergePage(messages, hasBefore, [message])
  }
}

/** Merges messages into the history in order of `seq`; the later state of a message wins. */
export const mergePage = (messages: ReadonlyArray<Message>, hasBefore: boolean, items: ReadonlyArray<Message>) => {
  const first = messages[0]?.seq ?? 0
  const bySeq = new Map(messages.map((message) => [message.seq, message]))
  for (const item of items) {
    // A message older than the held history would leave a gap.
    if (hasBefore && item.seq < first) continue
    const known = bySeq.get(item.seq)
    bySeq.set(item.seq, known === undefined ? keepMine(item, undefined) : later(known, item))
  }
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq)
}
