import { Schema, SchemaGetter } from "effect"
import { Conversation } from "./Conversation.ts"
import { Ephemeral, Event } from "./Event.ts"
import { ConversationId, Seq } from "./Ids.ts"

/**
 * The answer to a hello is complete: either with the list of conversations, in one or more frames of which the last has
 * `done`, or with `resumed`, when all missed events have been sent.
 */
const Ready = Schema.Struct({
  event: Schema.Literal("ready"),
  data: Schema.Struct({
    conversations: Schema.optionalKey(Schema.Array(Conversation)),
    resumed: Schema.optionalKey(Schema.Boolean),
    done: Schema.optionalKey(Schema.Boolean)
  })
}).annotate({
  identifier: "ready",
  description:
    "With `conversations`, a part of the list of conversations. With `done`, everything at the start has been sent."
})

/** Shows that the connection still works. */
const Ping = Schema.Struct({
  event: Schema.Literal("ping"),
  data: Schema.optionalKey(Schema.Struct({}))
}).annotate({
  identifier: "ping",
  description: "The server asks whether the client is still there: answer with any frame."
})

/** All events that this release sends over a socket or a stream. */
export const events = [...Event.members, ...Ephemeral.members, Ready, Ping] as const

const Unnamed = Schema.Struct({
  event: Schema.String,
  conversationId: Schema.optionalKey(Schema.String),
  seq: Schema.optionalKey(Schema.Int)
})

/** An event of a later release, which has the given `name`. Clients ignore it, but count its `seq`. */
const Other = Unnamed.pipe(
  Schema.decodeTo(
    Schema.Struct({
      event: Schema.Literal("unknown"),
      name: Schema.String,
      conversationId: Schema.optionalKey(ConversationId),
      seq: Schema.optionalKey(Seq)
    }),
    {
      decode: SchemaGetter.transform(({ event, ...rest }) => ({ event: "unknown" as const, name: event, ...rest })),
      encode: SchemaGetter.transform(({ event: _, name, ...rest }) => ({ event: name, ...rest }))
    }
  )
)

/** Every event that a client can receive, including unknown ones of later releases. */
export const ServerEvent = Schema.Union([...events, Other])
export type ServerEvent = typeof ServerEvent.Type
