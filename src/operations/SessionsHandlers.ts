import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Sessions } from "../services/identity/Sessions.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asPrincipal } from "./Callers.ts"
import { Sessions as Declared } from "./Sessions.ts"

/** Serves the operations of `Sessions`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const sessions = yield* Sessions
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      "session.list": asPrincipal((principal, page) => sessions.list(principal, toPage(page, pageSize))),
      "session.end": asPrincipal((principal, { sessionId }) => sessions.end(principal, sessionId))
    })
  })
)
