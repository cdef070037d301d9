import { Option, Schema } from "effect"
import type { Event } from "../domain/Event.ts"
import type { ConversationId } from "../domain/Ids.ts"
import { Internal, Problem } from "../domain/Problem.ts"
import { Welcome } from "../domain/Protocol.ts"
import { ServerEvent } from "../domain/ServerEvent.ts"

/** The part of the answer to hello that this client uses: it does not insist on the rest. */
export const Greeting = Schema.Struct({
  user: Welcome.fields.user,
  userSeq: Welcome.fields.userSeq,
  epoch: Welcome.fields.epoch,
  heartbeatMs: Welcome.fields.heartbeatMs
})
export type Greeting = typeof Greeting.Type

/** The answer to a command. */
const Answer = Schema.Struct({
  id: Schema.Finite,
  ok: Schema.optionalKey(Schema.Unknown),
  error: Schema.optionalKey(Schema.Unknown)
})
/** The answer to a command, of which `ok` or `error` is present. */
export type Answer = typeof Answer.Type

/** An event without a position in a log. */
type Aside = Exclude<ServerEvent, Event | { readonly event: "unknown" }>

/** An event with a position in a log; `event` is null when this client does not know its kind. */
export interface LoggedFrame {
  readonly conversationId: ConversationId
  readonly seq: number
  readonly event: Event | null
}

/**
 * One item of a frame of the service: an answer to a command, an event with or without a position in a log, or
 * unknown.
 */
export type FrameItem =
  | { readonly _tag: "Answer"; readonly answer: Answer }
  | ({ readonly _tag: "Logged" } & LoggedFrame)
  | { readonly _tag: "Aside"; readonly aside: Aside }
  | { readonly _tag: "Unknown" }

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const asAnswer = Schema.decodeUnknownOption(Answer)
const asEvent = Schema.decodeUnknownOption(ServerEvent)

const read = (json: unknown): FrameItem => {
  const answer = asAnswer(json)
  if (Option.isSome(answer)) return { _tag: "Answer", answer: answer.value }
  const event = Option.getOrUndefined(asEvent(json))
  if (event === undefined) return { _tag: "Unknown" }
  if (event.event === "unknown") {
    const { conversationId, seq } = event
    return conversationId === undefined || seq === undefined
      ? { _tag: "Unknown" }
      : { _tag: "Logged", conversationId, seq, event: null }
  }
  return "seq" in event
    ? { _tag: "Logged", conversationId: event.conversationId, seq: event.seq, event }
    : { _tag: "Aside", aside: event }
}

/**
 * Reads a frame of the service: one answer or event, or an array of them as the capability `batch` allows. Unknown
 * ones, as a later release of the service may send, are not an error.
 */
export const readFrames = (text: unknown): ReadonlyArray<FrameItem> => {
  const json = Option.getOrUndefined(parse(text))
  return Array.isArray(json) ? json.map(read) : [read(json)]
}

const asProblem = Schema.decodeUnknownOption(Problem)

/** Reads the `error` of an answer. A problem whose type this client does not know becomes an `Internal`. */
export const readProblem = (error: unknown): Problem =>
  Option.getOrElse(asProblem(error), () => new Internal({ id: "unknown", detail: "A problem of an unknown type" }))
