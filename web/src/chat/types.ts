import type { AnswerOf, Conversation, Message, Plain } from "chat-service/client"

export type {
  Attachment,
  ChatState,
  Conversation,
  ConversationState,
  Me,
  Message,
  Sending,
  Tokens,
  User
} from "chat-service/client"

export type Member = Plain<AnswerOf<"member.list">>["items"][number]
export type Role = Conversation["me"]["role"]
export type Session = Plain<AnswerOf<"session.list">>["items"][number]
export type Invite = Plain<AnswerOf<"invite.create">>
export type Scheduled = Plain<AnswerOf<"scheduled.list">>["items"][number]
export type Poll = Extract<NonNullable<Message["payload"]>, { readonly question: string }>
