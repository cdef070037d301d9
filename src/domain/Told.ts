import { Schema, SchemaGetter } from "effect"
import { Conversation } from "./Conversation.ts"
import { Ephemeral, Event } from "./Event.ts"
import { ConversationId, Seq } from "./Ids.ts"

/** The list of conversations, in one or more frames; or, `resumed`, that all that was missed has been sent. */
export const Ready = Schema.Struct({
  event: Schema.Literal("ready"),
  data: Schema.Struct({
    conversations: Schema.optionalKey(Schema.Array(Conversation)),
    resumed: Schema.optionalKey(Schema.Boolean),
    done: Schema.optionalKey(Schema.Boolean)
  })
}).annotate({ identifier: "ready" })

/** That the connection still lives. */
export const Ping = Schema.Struct({
  event: Schema.Literal("ping"),
  data: Schema.optionalKey(Schema.Struct({}))
}).annotate({ identifier: "ping" })

/** All that this release says over a socket or a stream. */
export const events = [...Event.members, ...Ephemeral.members, Ready, Ping] as const

const Unnamed = Schema.Struct({
  event: Schema.String,
  conversationId: Schema.optionalKey(Schema.String),
  seq: Schema.optionalKey(Schema.Int)
})

/** One of a later release, by `name`: to be ignored, but for its place in the log. */
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

/** Everything that a stream of events may tell. */
export const Told = Schema.Union([...events, Other])
export type Told = typeof Told.Type
