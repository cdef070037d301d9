import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { Forbidden, InvalidRequest, UpgradeRequired } from "../domain/Problem.ts"

const key = /^[+/0-9A-Za-z]{22}==$/
const protocols = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*$/

/** What RFC 6455 §4.1 asks of the client's half. */
const isHandshake = (headers: HttpServerRequest.HttpServerRequest["headers"]) =>
  key.test(headers["sec-websocket-key"] ?? "") &&
  (headers["sec-websocket-protocol"] === undefined || protocols.test(headers["sec-websocket-protocol"]))

/** Lets only WebSocket handshakes through, and those of browsers only from an allowed origin. */
export const checkUpgrade = (
  { headers }: HttpServerRequest.HttpServerRequest,
  allowedOrigins: ReadonlyArray<string>
): Effect.Effect<void, UpgradeRequired | InvalidRequest | Forbidden> => {
  const asksForUpgrade = /(^|,)\s*upgrade\s*(,|$)/i.test(headers.connection ?? "")
  if (!asksForUpgrade || headers.upgrade?.toLowerCase() !== "websocket")
    return Effect.fail(new UpgradeRequired({ detail: "Ask for an upgrade to websocket" }))
  if (headers["sec-websocket-version"] !== "13")
    return Effect.fail(new UpgradeRequired({ detail: "Version 13 of the WebSocket protocol is spoken here" }))
  if (!isHandshake(headers)) return Effect.fail(new InvalidRequest({ detail: "The WebSocket handshake is malformed" }))
  return headers.origin !== undefined && !allowedOrigins.includes(headers.origin)
    ? Effect.fail(new Forbidden({ detail: "Pages of that origin may not connect" }))
    : Effect.void
}
