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

/** The index of the first message whose `seq` is at least this one. */
const indexOf = (messages: ReadonlyArray<Message>, seq: number) => {
  let [low, high] = [0, messages.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((messages[middle]?.seq ?? 0) < seq) low = middle + 1
    else high = middle
  }
  return low
}

/** Replaces messages; what stays as it is stays the same object. */
const withMessages = (
  state: ConversationState,
  lastMessage: Message | null,
  messages: ReadonlyArray<Message> | null
): ConversationState => {
  const { conversation } = state
  if (lastMessage === conversation.lastMessage && messages === state.messages) return state
  return {
    ...state,
    messages,
    conversation: lastMessage === conversation.lastMessage ? conversation : { ...conversation, lastMessage }
  }
}

/** Applies a change to a message wherever it is held. */
export const changeMessage = (state: ConversationState, messageSeq: number, change: Change): ConversationState => {
  const { messages } = state
  const { lastMessage } = state.conversation
  const index = messages === null ? 0 : indexOf(messages, messageSeq)
  const known = messages?.[index]
  const changed = known?.seq === messageSeq ? change(known) : known
  return withMessages(
    state,
    lastMessage?.seq === messageSeq ? change(lastMessage) : lastMessage,
    messages === null || changed === undefined || changed === known ? messages : messages.with(index, changed)
  )
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
  const { messages } = state
  const renewed = messages?.map(renew) ?? null
  const isSame = renewed?.every((message, index) => message === messages?.[index]) ?? true
  return withMessages(state, lastMessage && renew(lastMessage), isSame ? messages : renewed)
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
  const [only] = items
  // Most messages are new ones.
  if (only !== undefined && items.length === 1 && only.seq > (messages.at(-1)?.seq ?? 0))
    return [...messages, keepMine(only, undefined)]
  const bySeq = new Map(messages.map((message) => [message.seq, message]))
  for (const item of items) {
    // A message older than the held history would leave a gap.
    if (hasBefore && item.seq < first) continue
    const known = bySeq.get(item.seq)
    bySeq.set(item.seq, known === undefined ? keepMine(item, undefined) : later(known, item))
  }
  return [...bySeq.values()].sort((a, b) => a.seq - b.seq)
}
