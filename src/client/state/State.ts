import type { Conversation } from "../../domain/Conversation.ts"
import type { Draft } from "../../domain/Draft.ts"
import type { ClientMessageId, ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { Message, MessageType } from "../../domain/Message.ts"
import type { NewPayload } from "../../domain/Payload.ts"
import type { Presence } from "../../domain/Presence.ts"
import type { Problem } from "../../domain/Problem.ts"
import type { Me } from "../../domain/User.ts"
import type { Refused } from "../Failures.ts"
import type { PendingFile, UploadProgress } from "../files/LocalFile.ts"
import { SharedMap } from "./SharedMap.ts"

/** The state of the connection. `waiting` is the pause before the next attempt; `closed` is final. */
export type ConnectionState =
  | { readonly status: "connecting" }
  | { readonly status: "catching-up" }
  | { readonly status: "online" }
  | { readonly status: "waiting"; readonly pauseMs: number }
  | { readonly status: "closed"; readonly why: Refused | null }

/** A thread that was opened. */
export interface ThreadState {
  /** The message that the replies belong to; null when it lies before what I may see, or its thread is being fetched. */
  readonly root: Message | null
  /** The newest part of the replies, ascending and without gaps; null until it has arrived. */
  readonly messages: ReadonlyArray<Message> | null
  /** Whether there are older replies. */
  readonly hasBefore: boolean
}

/** A conversation as this client knows it. */
export interface ConversationState {
  /** `seq` is the last event that the client has: its cursor. */
  readonly conversation: Conversation
  /** The newest part of the history, ascending, without gaps and without thread replies; null until it is opened. */
  readonly messages: ReadonlyArray<Message> | null
  /** Whether there are older messages. */
  readonly hasBefore: boolean
  readonly typing: ReadonlySet<UserId>
  /** How far others have read and received, as far as events said so since connecting; `member.list` has it all. */
  readonly read: ReadonlyMap<UserId, number>
  readonly delivered: ReadonlyMap<UserId, number>
  /** My saved messages, as far as events said so since connecting; `star.list` has all of them. */
  readonly starred: ReadonlySet<MessageId>
  /** What I have begun to write, on any of my devices; null when there is nothing. */
  readonly draft: Draft | null
  /** The threads that were opened, by the id of their root. */
  readonly threads: ReadonlyMap<MessageId, ThreadState>
}

/** A message that the user wrote, as it is kept until it is acknowledged. */
export interface PendingMessage {
  readonly conversationId: ConversationId
  readonly clientMessageId: ClientMessageId
  readonly senderId: UserId
  readonly body: string
  readonly replyTo?: MessageId | null
  readonly threadRoot?: MessageId | null
  /** The ids of uploaded files, and files that are uploaded before the message is sent. */
  readonly attachments?: ReadonlyArray<string | PendingFile>
  readonly type?: MessageType
  readonly payload?: typeof NewPayload.Encoded
}

/**
 * A message that is being sent. `waiting` is not acknowledged yet; `sent` is acknowledged, but its event has not
 * arrived; `failed` was refused with `problem` and stays until `retry` or `discard`.
 */
export interface Sending {
  readonly message: PendingMessage
  readonly status: "waiting" | "sent" | "failed"
  readonly problem: Problem | null
  /** How much of the files of the message was sent; null unless they are being uploaded. */
  readonly uploaded: UploadProgress | null
}

/** Everything that a user interface shows. Each change makes a new object that shares the unchanged parts. */
export interface ChatState {
  readonly connection: ConnectionState
  readonly me: Me | null
  readonly conversations: SharedMap<ConversationId, ConversationState>
  /** The messages that are being sent, in the order in which they were written. */
  readonly sending: ReadonlyArray<Sending>
  /** The presence of the watched users. */
  readonly presence: SharedMap<UserId, Presence>
}

/** The state with other fields; the same one when they are what it has. */
export const updated = (state: ChatState, change: Partial<ChatState>): ChatState => {
  const next = { ...state, ...change }
  const isSame =
    next.connection === state.connection &&
    next.me === state.me &&
    next.conversations === state.conversations &&
    next.sending === state.sending &&
    next.presence === state.presence
  return isSame ? state : next
}

/** The state before the first connection. */
export const emptyState: ChatState = {
  connection: { status: "connecting" },
  me: null,
  conversations: SharedMap.empty(),
  sending: [],
  presence: SharedMap.empty()
}

/** The state of a conversation that the client has just received. */
export const newConversation = (conversation: Conversation): ConversationState => ({
  conversation,
  messages: null,
  hasBefore: true,
  typing: new Set(),
  read: new Map(),
  delivered: new Map(),
  starred: new Set(),
  draft: null,
  threads: new Map()
})
