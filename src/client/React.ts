"use client"
import {
  createContext,
  createElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore
} from "react"
import type { Chat } from "./Chat.ts"
import type { ChatState, ConversationState, Message, Presence, Sending } from "./Plain.ts"
import { makeByActivity } from "./state/Activity.ts"
import type { ConnectionState } from "./state/State.ts"

const ChatContext = createContext<Chat | null>(null)

/** Gives the client to the hooks below it. The app makes the `Chat` once, outside of rendering, and closes it. */
export const ChatProvider = ({ chat, children }: { readonly chat: Chat; readonly children?: ReactNode }) =>
  createElement(ChatContext.Provider, { value: chat }, children)

/** The client of the `ChatProvider` above. It never changes with the state, so that it renders nothing again. */
export const useChat = (): Chat => {
  const chat = useContext(ChatContext)
  if (chat === null) throw new Error("useChat and the other hooks of the chat need a ChatProvider above")
  return chat
}

/**
 * A part of the state. The component renders again only when the part is no longer equal to the one before; the default
 * compares by identity, so select what the state already holds, or pass `isEqual`.
 */
export const useChatState = <A>(
  select: (state: ChatState) => A,
  isEqual: (one: A, other: A) => boolean = Object.is
): A => {
  const chat = useChat()
  const held = useRef<{ readonly part: A } | null>(null)
  const subscribe = useCallback((onChange: () => void) => chat.subscribe(onChange), [chat])
  const snapshot = () => {
    const part = select(chat.state)
    if (held.current === null || !isEqual(held.current.part, part)) held.current = { part }
    return held.current.part
  }
  return useSyncExternalStore(subscribe, snapshot, snapshot)
}

const sameItems = <A>(one: ReadonlyArray<A>, other: ReadonlyArray<A>) =>
  one.length === other.length && one.every((item, index) => item === other[index])

const sameEntries = <A>(one: ReadonlyMap<string, A>, other: ReadonlyMap<string, A>) =>
  one.size === other.size && [...one].every(([key, value]) => other.get(key) === value)

/** The state of the connection. */
export const useConnection = (): ConnectionState => useChatState(({ connection }) => connection)

const orders = new WeakMap<Chat, ReturnType<typeof makeByActivity>>()

/** All components of a client share one order. */
const orderOf = (chat: Chat) => {
  const order = orders.get(chat) ?? makeByActivity()
  orders.set(chat, order)
  return order
}

/** All conversations, those with the latest activity first. */
export const useConversations = (): ReadonlyArray<ConversationState> => {
  const chat = useChat()
  return useChatState(({ conversations }) => orderOf(chat)(conversations))
}

/** A conversation; undefined when the user is not a member, or it has not arrived yet. */
export const useConversation = (id: string): ConversationState | undefined =>
  useChatState(({ conversations }) => conversations.get(id))

/** The history of a conversation, with what is being sent into it. */
export interface Messages {
  /** The newest part of the history, ascending; null until it has arrived. */
  readonly messages: ReadonlyArray<Message> | null
  /** My messages that are not in the history yet, in the order in which they were written. */
  readonly sending: ReadonlyArray<Sending>
  /** Whether `loadOlder` can add older messages. */
  readonly hasBefore: boolean
  /** Adds the page of the history before the oldest message. */
  readonly loadOlder: () => Promise<void>
  /** Why the history cannot be had: a problem, or `Refused`. */
  readonly error: unknown
}

/**
 * Opens something when its id is new, and again when its conversation comes into the state: who is removed and added again
 * gets it without its history. Returns why that failed.
 */
const useOpening = (key: string, conversationId: string, open: () => Promise<void>): unknown => {
  const chat = useChat()
  const isThere = useChatState(({ conversations }) => conversations.has(conversationId))
  const [failure, setFailure] = useState<{ readonly key: string; readonly error: unknown } | null>(null)
  // `open` is another function in each render; the key names what it opens.
  useEffect(() => {
    let isShown = true
    setFailure(null)
    open().catch((error: unknown) => {
      if (isShown) setFailure({ key, error })
    })
    return () => {
      isShown = false
    }
  }, [chat, key, isThere])
  return failure?.key === key ? failure.error : undefined
}

/** My messages into a conversation that are not in the history yet. */
const useSending = (isOf: (message: Sending["message"]) => boolean) =>
  useChatState((state) => state.sending.filter(({ message }) => isOf(message)), sameItems)

/** Opens a conversation, and returns its history as it changes. */
export const useMessages = (id: string): Messages => {
  const chat = useChat()
  const error = useOpening(id, id, () => chat.open(id))
  const conversation = useConversation(id)
  const messages = conversation?.messages ?? null
  const hasBefore = conversation?.hasBefore ?? false
  const sending = useSending((message) => message.conversationId === id)
  return useMemo(
    () => ({ messages, sending, hasBefore, loadOlder: () => chat.loadOlder(id), error }),
    [chat, id, messages, sending, hasBefore, error]
  )
}

/** The replies to a message, with the message itself. */
export interface ThreadMessages extends Messages {
  /** The message that the replies belong to; null until it has arrived, and when it lies before what I may see. */
  readonly root: Message | null
}

/** Opens the thread of a message, and returns it as it changes. */
export const useThread = (id: string, messageId: string): ThreadMessages => {
  const chat = useChat()
  const error = useOpening(`${id} ${messageId}`, id, () => chat.openThread(id, messageId))
  const thread = useChatState(({ conversations }) => conversations.get(id)?.threads.get(messageId))
  const sending = useSending((message) => message.conversationId === id && message.threadRoot === messageId)
  return useMemo(
    () => ({
      root: thread?.root ?? null,
      messages: thread?.messages ?? null,
      sending,
      hasBefore: thread?.hasBefore ?? false,
      loadOlder: () => chat.loadOlderReplies(id, messageId),
      error
    }),
    [chat, id, messageId, thread, sending, error]
  )
}

/** The presence of these users, by their ids, as far as it is known. */
export const usePresence = (userIds: ReadonlyArray<string>): ReadonlyMap<string, Presence> => {
  const chat = useChat()
  const key = [...userIds].sort().join(" ")
  useEffect(() => {
    // Without a connection, the next render with other users tries again; the state then simply has no presence.
    chat.watch(key === "" ? [] : key.split(" ")).catch(() => {})
  }, [chat, key])
  return useChatState(
    ({ presence }) =>
      new Map(
        userIds.flatMap((userId) => {
          const known = presence.get(userId)
          return known === undefined ? [] : [[userId, known] as const]
        })
      ),
    sameEntries
  )
}
