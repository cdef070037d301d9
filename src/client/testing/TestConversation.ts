import type { Message } from "../Plain.ts"

/** An event as it is sent: what a message looks like is read when that happens. */
export interface Frame {
  readonly event: string
  readonly conversationId: string
  readonly data: unknown
}

/** A member of a conversation. */
interface Member {
  readonly joinedSeq: number
  readonly role: "owner" | "member"
  readSeq: number
}

/** A conversation, with what is needed to answer questions about it. */
export interface TestConversation {
  readonly id: string
  readonly kind: "dm" | "group"
  readonly title: string | null
  readonly createdBy: string
  readonly createdAt: string
  readonly members: Map<string, Member>
  readonly messages: Map<string, Message>
  /** Who reacted, by the message and the emoji. */
  readonly reactions: Map<string, Map<string, Set<string>>>
  /** The log: each entry makes the event that it is. */
  readonly log: Array<() => Frame>
  readonly drafts: Map<string, { readonly body: string; readonly updatedAt: string; readonly userSeq: number }>
  lastActivityAt: string
}
