import { Option, Schema } from "effect"
import type { Event } from "../domain/Event.ts"
import { type ConversationId, Seq } from "../domain/Ids.ts"
import { Internal, Problem } from "../domain/Problem.ts"
import { Told } from "../domain/Told.ts"
import { Me } from "../domain/User.ts"

/** The answer to hello, as far as this client uses it. */
export const Greeting = Schema.Struct({
  user: Me,
  userSeq: Seq,
  heartbeatMs: Schema.Int,
  limits: Schema.Struct({ commandsInFlight: Schema.Int })
})
export type Greeting = typeof Greeting.Type

const Answer = Schema.Struct({
  id: Schema.Finite,
  ok: Schema.optionalKey(Schema.Unknown),
  error: Schema.optionalKey(Schema.Unknown)
})

/** What the service says without being asked and without a place in a log. */
export type Aside = Exclude<Told, Event | { readonly event: "unknown" }>

/** An event with a place in a log; `event` is null when it is of a kind that this client does not know. */
export interface LoggedFrame {
  readonly conversationId: ConversationId
  readonly seq: number
  readonly event: Event | null
}

export type Frame =
  | { readonly _tag: "Answer"; readonly answer: typeof Answer.Type }
  | ({ readonly _tag: "Logged" } & LoggedFrame)
  | { readonly _tag: "Aside"; readonly aside: Aside }
  | { readonly _tag: "Unknown" }

const parse = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const asAnswer = Schema.decodeUnknownOption(Answer)
const asTold = Schema.decodeUnknownOption(Told)

/** Reads a frame of the service. Unknown ones, as a later service may send, are no error. */
export const readFrame = (text: unknown): Frame => {
  const json = Option.getOrUndefined(parse(text))
  const answer = asAnswer(json)
  if (Option.isSome(answer)) return { _tag: "Answer", answer: answer.value }
  const told = Option.getOrUndefined(asTold(json))
  if (told === undefined) return { _tag: "Unknown" }
  if (told.event === "unknown") {
    const { conversationId, seq } = told
    return conversationId === undefined || seq === undefined
      ? { _tag: "Unknown" }
      : { _tag: "Logged", conversationId, seq, event: null }
  }
  return "seq" in told
    ? { _tag: "Logged", conversationId: told.conversationId, seq: told.seq, event: told }
    : { _tag: "Aside", aside: told }
}

const asProblem = Schema.decodeUnknownOption(Problem)

/** The `error` of an answer; one of a type that this client does not know counts as a fault of the service. */
export const readProblem = (error: unknown): Problem =>
  Option.getOrElse(asProblem(error), () => new Internal({ id: "unknown", detail: "A problem of an unknown type" }))
