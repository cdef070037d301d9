import { Schema } from "effect"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

const TypingState = Schema.Struct({
  state: Schema.optionalKey(Schema.Literals(["started", "stopped"]))
}).annotate({ identifier: "TypingState" })

/** The operations that say whether the caller is typing. */
export const Typing = feature(
  { typing: "Who is typing" },
  operation("typing.start", {
    http: "POST /v1/conversations/:conversationId/typing",
    params: conversation,
    // HTTP has one resource for both, whose body says which.
    overHttp: { payload: TypingState },
    optionalBody: true,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Say that I am typing",
    description:
      'Notifies the other connected members. Repeat it every few seconds while the user types. Over HTTP the body may be left out, and `{"state":"stopped"}` says that I have stopped.'
  }),
  operation("typing.stop", {
    params: conversation,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Say that I have stopped typing",
    description: "Notifies the other connected members."
  })
)
