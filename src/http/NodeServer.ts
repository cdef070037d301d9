import { randomUUID } from "node:crypto"
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import { TooLarge } from "../domain/Problem.ts"

const seconds = (count: number) => count * 1000

/**
 * How long a connection may take to say what it wants. Proxies keep idle connections for up to 60 s and must not find
 * one closed just when they use it again.
 */
const timeouts = {
  headersTimeout: seconds(10),
  requestTimeout: seconds(30),
  keepAliveTimeout: seconds(65),
  connectionsCheckingInterval: seconds(2)
}

const maxHeaderSize = 16 * 1024

const headersTooLarge = {
  type: new TooLarge({}).type,
  title: "The request is too large",
  detail: `the URL and the headers must have at most ${maxHeaderSize} bytes`
}
const unreadable = { type: "/problems/invalid-request", title: "The request is not valid" }

const refusals: Record<string, { readonly status: number; readonly type: string; readonly title: string }> = {
  HPE_HEADER_OVERFLOW: { status: 431, ...headersTooLarge },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, ...unreadable }
}

/** What never becomes a request cannot reach a route: it is answered here, in the same form. */
const refuse = (error: NodeJS.ErrnoException, socket: Socket) => {
  if (error.code === "ECONNRESET" || !socket.writable) return socket.destroy()
  const { status, ...problem } = refusals[error.code ?? ""] ?? { status: 400, ...unreadable }
  const requestId = randomUUID()
  const body = JSON.stringify({ ...problem, status, requestId })
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    "connection: close"
  ]
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`)
}

const refuseExpectation = (_request: IncomingMessage, response: ServerResponse) => {
  const requestId = randomUUID()
  response.writeHead(417, {
    "content-type": "application/problem+json",
    "x-request-id": requestId,
    connection: "close"
  })
  response.end(JSON.stringify({ ...unreadable, status: 417, detail: "the expectation is not known", requestId }))
}

/** A server of Node's with tight limits, and a way to end what still holds on to it. */
export const makeNodeServer = (): { readonly server: Server; readonly destroyConnections: () => void } => {
  // The header Host is checked where its absence can be answered with a problem.
  const server = createServer({ ...timeouts, maxHeaderSize, requireHostHeader: false })
  const connections = new Set<Socket>()
  server.on("connection", (socket) => {
    connections.add(socket)
    socket.once("close", () => connections.delete(socket))
  })
  server.on("clientError", refuse)
  server.on("checkExpectation", refuseExpectation)
  return {
    server,
    destroyConnections: () => {
      for (const socket of connections) socket.destroy()
    }
  }
}
