import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Forbidden, UpgradeRequired } from "../domain/Problem.ts"

/** Lets only WebSocket handshakes through, and those of browsers only from an allowed origin. */
export const checkUpgrade = (
  { headers }: HttpServerRequest.HttpServerRequest,
  allowedOrigins: ReadonlyArray<string>
): Effect.Effect<void, UpgradeRequired | Forbidden> => {
  const asksForUpgrade = /(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? "")
  if (!asksForUpgrade || headers.upgrade?.toLowerCase() !== "websocket")
    return Effect.fail(new UpgradeRequired({ detail: "Ask for an upgrade to websocket" }))
  return headers.origin !== undefined && !allowedOrigins.includes(headers.origin)
    ? Effect.fail(new Forbidden({ detail: "Pages of that origin may not connect" }))
    : Effect.void
}
