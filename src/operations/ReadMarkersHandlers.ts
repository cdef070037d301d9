import { Effect } from "effect"
import { ReadMarkers } from "../services/conversations/ReadMarkers.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { ReadMarkers as Declared } from "./ReadMarkers.ts"

/** Serves the operations of `ReadMarkers`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const markers = yield* ReadMarkers
    return Declared.rpcs.of({
      "read.mark": asUser((userId, { conversationId, ...mark }) => markers.markRead(userId, conversationId, mark)),
      "delivered.mark": asUser((userId, { conversationId, seq }) => markers.markDelivered(userId, conversationId, seq))
    })
  })
)
