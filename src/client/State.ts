import type { Conversation } from "../domain/Conversation.ts"
import type { ClientMessageId, ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { Message } from "../domain/Message.ts"
import type { Presence } from "../domain/Presence.ts"
import type { Problem } from "../domain/Problem.ts"
import type { Me } from "../domain/User.ts"
import type { Refused } from "./Failures.ts"

/** `waiting` is the pause before the next try; `closed` is the end: nothing comes any more. */
export type ConnectionState =
  | { readonly status: "connecting" }
  | { readonly status: "catching-up" }
  | { readonly status: "online" }
  | { readonly status: "waiting"; readonly pauseMs: number }
  | { readonly status: "closed"; readonly why: Refused | null }

/** A conversation as this client knows it. */
export interface ConversationState {
  /** `seq` is the last event that the client has: its cursor. */
  readonly conversation: Conversation
  /** The newest part of the history, ascending and without holes, or null while nobody has opened it. No thread replies. */
  readonly messages: ReadonlyArray<Message> | null
  /** Whether there are older ones. */
  readonly hasBefore: boolean
  readonly typing: ReadonlySet<UserId>
  /** How far others have read and received, as heard since connecting; `member.list` has the rest. */
  readonly read: ReadonlyMap<UserId, number>
  readonly delivered: ReadonlyMap<UserId, number>
}

/** A message on its way. `sent` is acknowledged, and its event has yet to come; `failed` waits for `retry` or `discard`. */
export interface PendingMessage {
  readonly conversationId: ConversationId
  readonly clientMessageId: ClientMessageId
  readonly senderId: UserId
  readonly body: string
  readonly replyTo?: MessageId | null
  readonly threadRoot?: MessageId | null
  readonly attachments?: ReadonlyArray<string>
}

export interface Sending {
  readonly message: PendingMessage
  readonly status: "waiting" | "sent" | "failed"
  readonly problem: Problem | null
}

/** Everything that a user interface shows. A new object after each change; what has not changed is the same object. */
export interface ChatState {
  readonly connection: ConnectionState
  readonly me: Me | null
  readonly conversations: ReadonlyMap<ConversationId, ConversationState>
  /** In the order in which they were sent. */
  readonly sending: ReadonlyArray<Sending>
  /** Of the users subscribed to. */
  readonly presence: ReadonlyMap<UserId, Presence>
}

export const emptyState: ChatState = {
  connection: { status: "connecting" },
  me: null,
  conversations: new Map(),
  sending: [],
  presence: new Map()
}

export const newConversation = (conversation: Conversation): ConversationState => ({
  conversation,
  messages: null,
  hasBefore: true,
  typing: new Set(),
  read: new Map(),
  delivered: new Map()
})
