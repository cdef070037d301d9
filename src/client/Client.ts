/**
 * What `chat-service/client` exports. `Chat` is all that an app without Effect needs; the services below it are for apps
 * with Effect: `Realtime` over `Credentials`, `makeHttp` and `makeRpc`.
 */
export { Chat, type ChatOptions, type SendOptions } from "./Chat.ts"
export type { OpenSocket, SocketLike } from "./Connection.ts"
export { Credentials, type CredentialsOptions, login, register } from "./Credentials.ts"
export { ConnectionLost, Refused } from "./Failures.ts"
export { type ChatHttp, makeHttp } from "./Http.ts"
export type { AnswerOf, CommandError, OperationName, PayloadOf } from "./Operations.ts"
export type { OutboxStorage, SendError } from "./Outbox.ts"
export { Realtime, type RealtimeOptions } from "./Realtime.ts"
export { makeRpc, withToken } from "./Rpc.ts"
export type { ChatEvent } from "./Session.ts"
export type { ChatState, ConnectionState, ConversationState, PendingMessage, Sending } from "./State.ts"
