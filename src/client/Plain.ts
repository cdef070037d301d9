import type { Brand } from "effect"
import type * as Attachments from "../domain/Attachment.ts"
import type * as Conversations from "../domain/Conversation.ts"
import type { Ephemeral, Event } from "../domain/Event.ts"
import type * as Messages from "../domain/Message.ts"
import type * as Payloads from "../domain/Payload.ts"
import type * as Presences from "../domain/Presence.ts"
import type * as Sessions from "../domain/Session.ts"
import type * as Users from "../domain/User.ts"
import type * as State from "./state/State.ts"

/** The same type with plain strings in place of branded ids, at any depth. */
export type Plain<T> =
  T extends Brand.Brand<string>
    ? string
    : T extends Error | Blob
      ? T
      : T extends ReadonlyMap<infer Key, infer Value>
        ? ReadonlyMap<Plain<Key>, Plain<Value>>
        : T extends ReadonlySet<infer Value>
          ? ReadonlySet<Plain<Value>>
          : T extends object
            ? { [Key in keyof T]: Plain<T[Key]> }
            : T

/** An uploaded file. */
export interface Attachment extends Plain<Attachments.Attachment> {}
/** A message. */
export interface Message extends Plain<Messages.Message> {}
/** The structured content of a message to send. */
export type NewPayload = typeof Payloads.NewPayload.Encoded
/** A page of messages, in ascending order of `seq`. */
export interface MessagePage extends Plain<Messages.MessagePage> {}
/** The answer to a send. */
export interface Ack extends Plain<Messages.Ack> {}
/** A conversation as its member sees it. */
export interface Conversation extends Plain<Conversations.Conversation> {}
/** The public profile of a user. */
export interface User extends Plain<Users.User> {}
/** My own profile. */
export interface Me extends Plain<Users.Me> {}
/** The presence of a user. */
export interface Presence extends Plain<Presences.Presence> {}
/** The tokens of a session. */
export interface Tokens extends Plain<Sessions.Tokens> {}
/** Everything that a user interface shows. Each change makes a new object that shares the unchanged parts. */
export interface ChatState extends Plain<State.ChatState> {}
/** A conversation as this client knows it. */
export interface ConversationState extends Plain<State.ConversationState> {}
/** A thread that was opened. */
export interface ThreadState extends Plain<State.ThreadState> {}
/** A message that is being sent. */
export interface Sending extends Plain<State.Sending> {}
/** An event that the state already includes. */
export type ChatEvent = Plain<Event | Ephemeral>
/** The name of an event, such as `message.created`. */
export type EventName = ChatEvent["event"]
/** The event of that name. */
export type EventOf<Name extends EventName> = Extract<ChatEvent, { readonly event: Name }>
