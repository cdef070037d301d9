import { Effect } from "effect"
import { Sessions } from "../services/identity/Sessions.ts"
import { asPrincipal } from "./Callers.ts"
import { Sessions as Declared } from "./Sessions.ts"

/** Serves the operations of `Sessions`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const sessions = yield* Sessions
    return Declared.rpcs.of({
      "session.list": asPrincipal((principal) => Effect.map(sessions.list(principal), (items) => ({ items }))),
      "session.end": asPrincipal((principal, { sessionId }) => sessions.end(principal, sessionId))
    })
  })
)
