import type { Message } from "../../domain/Message.ts"
import type { ConversationState, ThreadState } from "./State.ts"

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

/** Applies a change to the message of that `seq`; the same list when it is not there or stays as it is. */
const changeIn = <Held extends ReadonlyArray<Message> | null>(messages: Held, seq: number, change: Change) => {
  if (messages === null) return messages
  const index = indexOf(messages, seq)
  const known = messages[index]
  if (known?.seq !== seq) return messages
  const changed = change(known)
  return changed === known ? messages : messages.with(index, changed)
}

/** Applies a change to each message; the same list when all stay as they are. */
const changeAll = (messages: ReadonlyArray<Message> | null, change: Change) => {
  const changed = messages?.map(change) ?? null
  return changed?.every((message, index) => message === messages?.[index]) === true ? messages : changed
}

/** Applies a change to each thread that is open; the same threads when all stay as they are. */
const changeThreads = (threads: ConversationState["threads"], change: (thread: ThreadState) => ThreadState) => {
  const changed = [...threads].map(([id, thread]) => [id, change(thread)] as const)
  return changed.every(([id, thread]) => threads.get(id) === thread) ? threads : new Map(changed)
}

/** The thread with other messages; the same one when they are what it has. */
const withReplies = (thread: ThreadState, root: Message | null, messages: ReadonlyArray<Message> | null) =>
  root === thread.root && messages === thread.messages ? thread : { ...thread, root, messages }

/** Replaces messages; what stays as it is stays the same object. */
const withMessages = (
  state: ConversationState,
  lastMessage: Message | null,
  messages: ReadonlyArray<Message> | null,
  threads: ConversationState["threads"]
): ConversationState => {
  const { conversation } = state
  if (lastMessage === conversation.lastMessage && messages === state.messages && threads === state.threads) return state
  return {
    ...state,
    messages,
    threads,
    conversation: lastMessage === conversation.lastMessage ? conversation : { ...conversation, lastMessage }
  }
}

/** Applies a change to a message wherever it is held. */
export const changeMessage = (state: ConversationState, messageSeq: number, change: Change): ConversationState => {
  const { lastMessage } = state.conversation
  return withMessages(
    state,
    lastMessage?.seq === messageSeq ? change(lastMessage) : lastMessage,
    changeIn(state.messages, messageSeq, change),
    changeThreads(state.threads, (thread) =>
      withReplies(
        thread,
        thread.root?.seq === messageSeq ? change(thread.root) : thread.root,
        changeIn(thread.messages, messageSeq, change)
      )
    )
  )
}

/** Removes a message that I have hidden from the history and the threads. */
export const withoutMessage = (state: ConversationState, messageSeq: number): ConversationState => {
  const without = (messages: ReadonlyArray<Message> | null) =>
    messages?.some(({ seq }) => seq === messageSeq) === true
      ? messages.filter(({ seq }) => seq !== messageSeq)
      : messages
  return withMessages(
    state,
    state.conversation.lastMessage,
    without(state.messages),
    changeThreads(state.threads, (thread) => withReplies(thread, thread.root, without(thread.messages)))
  )
}

/** Adds a reply to its thread, if that is open. */
export const insertReply = (state: ConversationState, message: Message): ConversationState => {
  const thread = message.threadRootId === null ? undefined : state.threads.get(message.threadRootId)
  if (thread?.messages == null || message.threadRootId === null) return state
  const messages = mergePage(thread.messages, thread.hasBefore, [message])
  return { ...state, threads: new Map(state.threads).set(message.threadRootId, { ...thread, messages }) }
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
  return withMessages(
    state,
    lastMessage && renew(lastMessage),
    changeAll(state.messages, renew),
    changeThreads(state.threads, (thread) => withReplies(thread, thread.root, changeAll(thread.messages, renew)))
  )
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
