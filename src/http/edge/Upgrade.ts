import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Forbidden, InvalidRequest, UpgradeRequired } from "../../domain/Problem.ts"

const key = /^[+/0-9A-Za-z]{22}==$/
const protocols = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/

/** Whether the client's headers are a handshake as RFC 6455 §4.1 requires. */
const isHandshake = (headers: HttpServerRequest.HttpServerRequest["headers"]) =>
  key.test(headers["sec-websocket-key"] ?? "") &&
  (headers["sec-websocket-protocol"] === undefined || protocols.test(headers["sec-websocket-protocol"]))

/** Fails unless the request is a WebSocket handshake. Browsers must ask from a page that `allows` lets use it. */
export const checkUpgrade = (
  { headers }: HttpServerRequest.HttpServerRequest,
  allows: (headers: HttpServerRequest.HttpServerRequest["headers"]) => boolean
): Effect.Effect<void, UpgradeRequired | InvalidRequest | Forbidden> => {
  const asksForUpgrade = /(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? "")
  if (!asksForUpgrade || headers.upgrade?.toLowerCase() !== "websocket")
    return Effect.fail(new UpgradeRequired({ detail: "Ask for an upgrade to websocket" }))
  if (headers["sec-websocket-version"] !== "13")
    return Effect.fail(new UpgradeRequired({ detail: "Version 13 of the WebSocket protocol is spoken here" }))
  if (!isHandshake(headers)) return Effect.fail(new InvalidRequest({ detail: "The WebSocket handshake is malformed" }))
  return headers.origin !== undefined && !allows(headers)
    ? Effect.fail(new Forbidden({ detail: "Pages of that origin may not connect" }))
    : Effect.void
}
