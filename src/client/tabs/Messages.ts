import { Effect, Schema } from "effect"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import type { Presence } from "../../domain/Presence.ts"
import { Problem } from "../../domain/Problem.ts"
import { ConnectionLost, Refused } from "../Failures.ts"
import { readProblem } from "../Frames.ts"
import type { CommandError } from "../Operations.ts"
import type { Realtime } from "../Realtime.ts"
import type { ChatEvent } from "../Session.ts"
import type { MapChange } from "../state/SharedMap.ts"
import type { ChatState, ConnectionState, ConversationState, PendingMessage, Sending } from "../state/State.ts"

/** A method of `Realtime` that the leader calls for another tab. */
export type Call =
  | { readonly method: "command"; readonly op: string; readonly data: unknown }
  | { readonly method: "send"; readonly message: Omit<PendingMessage, "senderId"> }
  | { readonly method: "retry" | "discard"; readonly conversationId: ConversationId; readonly clientMessageId: string }
  | { readonly method: "open" | "loadOlder"; readonly conversationId: ConversationId }
  | {
      readonly method: "openThread" | "loadOlderReplies"
      readonly conversationId: ConversationId
      readonly messageId: MessageId
    }
  | { readonly method: "watch"; readonly userIds: ReadonlyArray<UserId> }
  | { readonly method: "wake" }

/** Calls the method. */
export const perform = (realtime: Realtime["Service"], call: Call): Effect.Effect<unknown, CommandError> => {
  switch (call.method) {
    case "command":
      return realtime.command(call.op, call.data)
    case "send":
      return realtime.send(call.message)
    case "retry":
    case "discard":
      return realtime[call.method](call.conversationId, call.clientMessageId)
    case "open":
    case "loadOlder":
      return realtime[call.method](call.conversationId)
    case "openThread":
    case "loadOlderReplies":
      return realtime[call.method](call.conversationId, call.messageId)
    case "watch":
      return realtime.watch(call.userIds)
    case "wake":
      return realtime.wake
  }
}

/** Errors are classes, which do not survive the way to another tab. */
type SentError = { readonly lost: true } | { readonly code: number } | { readonly problem: unknown }

const encodeProblem = Schema.encodeSync(Problem)

/** The error as it is sent to another tab. */
export const sentError = (error: CommandError): SentError => {
  if (error._tag === "ConnectionLost") return { lost: true }
  return error._tag === "Refused" ? { code: error.code } : { problem: encodeProblem(error) }
}

/** The error that another tab has sent. */
const receivedError = (sent: SentError): CommandError => {
  if ("lost" in sent) return new ConnectionLost({})
  return "code" in sent ? new Refused({ code: sent.code }) : readProblem(sent.problem)
}

/** What has changed between two states. */
export interface Change {
  readonly connection?: Exclude<ConnectionState, { readonly status: "closed" }>
  readonly me?: ChatState["me"]
  readonly conversations?: MapChange<ConversationId, ConversationState>
  readonly sending?: ReadonlyArray<Omit<Sending, "problem"> & { readonly problem: unknown }>
  readonly presence?: MapChange<UserId, Presence>
}

/** The difference between two states: only the conversations and users that are not the same, as most changes touch one. */
export const changeOf = (before: ChatState, after: ChatState): Change => ({
  ...(after.connection !== before.connection &&
    after.connection.status !== "closed" && { connection: after.connection }),
  ...(after.me !== before.me && { me: after.me }),
  ...(after.conversations !== before.conversations && {
    conversations: after.conversations.since(before.conversations)
  }),
  ...(after.sending !== before.sending && {
    sending: after.sending.map((one) => ({ ...one, problem: one.problem && encodeProblem(one.problem) }))
  }),
  ...(after.presence !== before.presence && { presence: after.presence.since(before.presence) })
})

/** The state after a change of another tab. */
export const changed = (state: ChatState, { conversations, presence, sending, ...others }: Change): ChatState => ({
  ...state,
  ...others,
  ...(conversations !== undefined && { conversations: state.conversations.change(conversations) }),
  ...(presence !== undefined && { presence: state.presence.change(presence) }),
  ...(sending !== undefined && {
    sending: sending.map((one) => ({ ...one, problem: one.problem === null ? null : readProblem(one.problem) }))
  })
})

/** What the tabs of one user tell each other. Tabs are named by random ids. */
export type TabMessage =
  /** Asks for the leader; `known` is the one whose state this tab has. */
  | { readonly _tag: "Hello"; readonly from: string; readonly known: string | undefined }
  /** I am the leader, and you have my state. */
  | { readonly _tag: "Here"; readonly leader: string; readonly to: string }
  /** I am the leader, and this is my whole state, for `to` or for all. */
  | { readonly _tag: "Lead"; readonly leader: string; readonly to: string | undefined; readonly change: Change }
  | { readonly _tag: "Changed"; readonly leader: string; readonly change: Change }
  | { readonly _tag: "Happened"; readonly leader: string; readonly event: ChatEvent }
  | { readonly _tag: "Call"; readonly leader: string; readonly from: string; readonly id: number; readonly call: Call }
  | { readonly _tag: "Answer"; readonly to: string; readonly id: number; readonly answer: Answer }

/** The answer to a call. */
export type Answer = { readonly ok: unknown } | { readonly error: SentError }

/** The answer to a call, as an effect that ends like the call. */
export const answered = (answer: Answer): Effect.Effect<unknown, CommandError> =>
  "ok" in answer ? Effect.succeed(answer.ok) : Effect.fail(receivedError(answer.error))
