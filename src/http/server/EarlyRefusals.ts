import { randomUUID } from "node:crypto"
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http"
import { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { InvalidRequest, TooLarge, Unavailable, UpgradeRequired } from "../../domain/Problem.ts"
import { isWebSocket } from "./RequestKinds.ts"

/** The size of the URL and the headers that a request may have, in bytes. */
export const maxHeaderSize = 16 * 1024

/** How long a peer has to close a connection on which it was refused, in milliseconds. */
const refusedMs = 2000

/** Why a request is refused before any route sees it. */
interface Refusal {
  readonly status: number
  readonly type: string
  readonly title: string
  readonly detail?: string
  readonly errors?: ReadonlyArray<{ readonly path: string; readonly message: string }>
}

const unreadable = (status: number, message: string): Refusal => ({
  status,
  type: new InvalidRequest({}).type,
  title: "Invalid request",
  detail: message,
  ...(status === 400 && { errors: [{ path: "", message }] })
})

const noHttp = unreadable(400, "the request is not valid HTTP")
const refusals: Record<string, Refusal> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    type: new TooLarge({}).type,
    title: "Request too large",
    detail: `the URL and the headers must have at most ${maxHeaderSize} bytes`
  },
  ERR_HTTP_REQUEST_TIMEOUT: unreadable(408, "the request did not arrive in time")
}
/** What Node reports of a request that does not arrive in time. */
export const requestTimeout = Object.assign(new Error("Request timeout"), { code: "ERR_HTTP_REQUEST_TIMEOUT" })

/** The refusal of a header `Expect` other than `100-continue`. */
export const unknownExpectation = unreadable(417, "the expectation is not known")
/** The refusal of a WebSocket handshake that is no GET or has a body. */
const upgradeWithBody = unreadable(400, "a request for an upgrade must be a GET without a body")
/** The refusal of an upgrade to another protocol than WebSocket. */
const unknownUpgrade: Refusal = {
  status: 426,
  type: new UpgradeRequired({}).type,
  title: "WebSocket upgrade required",
  detail: "the only protocol to upgrade to is websocket"
}

/** The refusal of a request while no routes are served: a server listens a moment before that, and a moment longer. */
export const notServing: Refusal = {
  status: 503,
  type: new Unavailable({}).type,
  title: "Service temporarily unavailable",
  detail: "the service is starting or stopping"
}

/** Why the upgrade that a request asks for is refused, if it is. */
export const refusalOf = (request: IncomingMessage): Refusal | undefined => {
  const { connection, upgrade } = request.headers
  if (upgrade === undefined || !/(^|,)\s*upgrade\s*(,|$)/i.test(connection ?? "")) return undefined
  if (isWebSocket(request)) return upgradeWithBody
  // Some clients offer HTTP/2 in each first request and do not mind an answer in HTTP/1.1 (RFC 9110, 7.8).
  if (!/^h2c$/i.test(upgrade)) return unknownUpgrade
  delete request.headers.upgrade
  return undefined
}

const toProblem = (refusal: Refusal) => {
  const requestId = randomUUID()
  const body = JSON.stringify({ ...refusal, requestId })
  const headers = {
    "content-type": "application/problem+json",
    "content-length": String(Buffer.byteLength(body)),
    "x-request-id": requestId,
    ...(refusal.status === 426 && { upgrade: "websocket" }),
    ...(refusal.status === 503 && { "retry-after": "1" }),
    connection: refusal.status === 426 ? "Upgrade, close" : "close"
  }
  return { body, headers }
}

/** Answers a request that no route can see in the same form as the routes do, and ends the connection. */
export const refuse = (response: ServerResponse, refusal: Refusal) => {
  const { body, headers } = toProblem(refusal)
  response.shouldKeepAlive = false
  response.writeHead(refusal.status, headers).end(body)
}

/** Input that never becomes a request cannot reach a route, so it is answered here, in the same form. */
export const refuseBytes = (error: Error, socket: Duplex) => {
  const code = "code" in error ? String(error.code) : ""
  if (code === "ECONNRESET" || !socket.writable) return socket.destroy()
  const refusal = refusals[code] ?? noHttp
  const { body, headers } = toProblem(refusal)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  socket.end(`HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${lines.join("\r\n")}\r\n\r\n${body}`)
  if (socket instanceof Socket) socket.setTimeout(refusedMs, () => socket.destroy())
}
