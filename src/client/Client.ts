/**
 * The exports of `chat-service/client`: `Chat`, which is all that an app without Effect needs. `chat-service/client/effect`
 * and `chat-service/client/rpc` are for apps with Effect, `chat-service/client/react` has the hooks for React.
 */
export type { Problem } from "../domain/Problem.ts"
export { Chat, type UploadOptions } from "./Chat.ts"
export type { ChatOptions } from "./ChatOptions.ts"
export type { OpenSocket, SocketLike } from "./Connection.ts"
export type {
  ConversationHandle,
  Page,
  PageOptions,
  PlaceOptions,
  SendOptions,
  ThreadHandle
} from "./ConversationHandle.ts"
export type { TokenSource } from "./credentials/External.ts"
export type { TokenStorage } from "./credentials/Holders.ts"
export { ConnectionLost, Refused } from "./Failures.ts"
export type { FileSource, NamedFile, PendingFile, StreamSource, UploadProgress } from "./files/LocalFile.ts"
export type { AnswerOf, CommandError, OperationName, PayloadOf } from "./Operations.ts"
export type { OutboxStorage, SendError } from "./Outbox.ts"
export type {
  Ack,
  Attachment,
  ChatEvent,
  ChatState,
  Conversation,
  ConversationState,
  EventName,
  EventOf,
  Me,
  Message,
  MessagePage,
  NewPayload,
  Plain,
  Presence,
  Sending,
  ThreadState,
  Tokens,
  User
} from "./Plain.ts"
export type { RealtimeOptions } from "./Realtime.ts"
export type { ConnectionState, PendingMessage } from "./state/State.ts"
export { type Database, type DatabaseChanges, memoryDatabase } from "./storage/Database.ts"
export { indexedDatabase } from "./storage/IndexedDatabase.ts"
