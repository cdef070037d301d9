import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { Clock, Effect } from "effect"
import { type RawData, WebSocket, WebSocketServer } from "ws"
import { InvalidRequest } from "../domain/Problem.ts"
import { CloseCode, subprotocol } from "../domain/Protocol.ts"
import { every } from "../services/platform/Background.ts"
import { AddressLimit, costlyEnds } from "../services/platform/load/AddressLimit.ts"
import { monotonicMillis } from "../services/platform/Monotonic.ts"
import { Settings, type SettingsShape } from "../services/platform/Settings.ts"

/** How long a peer has to answer our close before the TCP connection is cut, in milliseconds. */
export const closeGraceMs = 2000

/** How many frames of a peer are read after our close frame: those that were on their way before its answer to that. */
const mostLateFrames = 64

/** How often sockets are checked within the shortest time-out, so that it is at most 20 % late. */
const ticksPerTimeout = 5
/** Bounds of the time between two checks, in milliseconds: shorter costs CPU, longer makes time-outs late. */
const tickMs = { min: 5, max: 1000 }

/** Our close codes for what the protocol itself finds wrong (RFC 6455 §7.4.1 has the others). */
const closeCodes = new Map<number, CloseCode>([
  [1002, CloseCode.badFrame],
  [1003, CloseCode.badFrame],
  [1007, CloseCode.badFrame],
  [1009, CloseCode.frameTooLarge]
])

class Peer extends WebSocket {
  /** What it was handed to, and its TCP socket. */
  served: ServedSocket | undefined
  tcp: Socket | undefined
  /** How many frames it has sent after our close frame. */
  late = 0

  override close(code?: number, data?: string | Buffer): void {
    super.close(code === undefined ? code : (closeCodes.get(code) ?? code), data)
  }
}

/** The WebSocket server without its HTTP server: it only upgrades requests that are handed to it. */
const makeSocketServer = ({ frameBytes, helloBytes }: SettingsShape["limits"]) =>
  new WebSocketServer<typeof Peer>({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // Pings are answered within the limits of their socket.
    autoPong: false,
    // Clients split a message into a few pieces, or none; each piece costs more than its bytes.
    maxFragments: 128,
    maxBufferedChunks: 1024,
    maxPayload: Math.max(helloBytes, frameBytes),
    WebSocket: Peer,
    // The handshake of a client that offers only other subprotocols must succeed, so that close code 4501 reaches it.
    handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : ([...offered][0] ?? false))
  })

/**
 * Stops the parser of a socket within what has been read already, which may be thousands of frames. It has no documented
 * way to do so.
 */
const leaveChunk = (ws: WebSocket): void => {
  const receiver: unknown = Reflect.get(ws, "_receiver")
  if (typeof receiver === "object" && receiver !== null) Object.assign(receiver, { _loop: false })
}

/** What an open connection is handed to: it counts what the peer sends, and may be closed by either side. */
export interface ServedSocket {
  readonly address: string
  readonly heard: (now: number) => void
  readonly overLimit: () => unknown
  readonly close: (code: CloseCode, reason: string) => void
  /** The code with which we closed it, if we did. */
  readonly closedWith: number | undefined
  readonly receive: (data: RawData, isBinary: boolean) => void
  /** Called once when the socket is gone, with the code with which it was closed first. */
  readonly gone: (code: number) => void
}

/** Takes over an open connection: its WebSocket and its TCP socket. */
export type Listen = (ws: WebSocket, tcp: Socket, now: number) => ServedSocket

const servedBy = (ws: WebSocket): ServedSocket | undefined => (ws instanceof Peer ? ws.served : undefined)

/**
 * Is called after each frame, and reads no more from a peer that was cut off for something costly or that sends on after our
 * close frame: what comes after the end would be read for nothing. Our end is closed behind the close frame, because the
 * answer to that is not read either; the socket is cut off when its time to close is over.
 */
const stopReading = (ws: WebSocket, isLate: boolean): void => {
  if (!(ws instanceof Peer)) return
  const code = ws.served?.closedWith
  if (code === undefined) return
  if (isLate) ws.late++
  if (ws.late < mostLateFrames && !costlyEnds.has(code)) return
  ws.pause()
  leaveChunk(ws)
  ws.tcp?.end()
}

/**
 * Makes the function that upgrades a request and listens to its socket, and then ends the `response`, of which nothing is
 * written. Nothing is kept of the request. It returns why the request is no valid handshake, and otherwise undefined, also
 * when the peer is gone already and there is no socket. `listen` gets the time of the monotonic clock, in milliseconds.
 */
export const makeUpgrade = Effect.gen(function* () {
  const server = makeSocketServer((yield* Settings).limits)
  const clock = yield* Clock.Clock
  const addresses = yield* AddressLimit
  const now = () => monotonicMillis(clock)

  // These are the listeners of all sockets, because one that is made for each would be kept as long as the socket.
  const onMessage = function (this: WebSocket, data: RawData, isBinary: boolean) {
    const socket = servedBy(this)
    const isLate = socket?.closedWith !== undefined
    if (!isLate) socket?.receive(data, isBinary)
    stopReading(this, isLate)
  }
  /** Counts a ping or a pong, and says whether the socket goes on. */
  const control = function (this: WebSocket) {
    const socket = servedBy(this)
    if (socket === undefined) return false
    const isLate = socket.closedWith !== undefined
    if (!isLate) socket.heard(now())
    const isOver = isLate || socket.overLimit() !== undefined
    stopReading(this, isLate)
    return !isOver && socket.closedWith === undefined
  }
  const onPing = function (this: WebSocket, data: Buffer) {
    if (control.call(this)) this.pong(data)
  }
  // The "close" that follows carries the code.
  const onError = function (this: WebSocket) {
    servedBy(this)?.close(CloseCode.badFrame, "broken protocol")
  }
  const onClose = function (this: WebSocket, code: number) {
    const socket = servedBy(this)
    if (socket === undefined) return
    addresses.closed(socket.address, socket.closedWith ?? code)
    socket.gone(socket.closedWith ?? code)
  }

  const serve = (ws: Peer, tcp: Socket, listen: Listen) => {
    ws.served = listen(ws, tcp, now())
    ws.tcp = tcp
    ws.on("message", onMessage).on("ping", onPing).on("pong", control).on("error", onError).on("close", onClose)
  }

  return (request: IncomingMessage, response: ServerResponse, listen: Listen): InvalidRequest | undefined => {
    const tcp = request.socket
    let refusal: InvalidRequest | undefined
    const malformed = ({ message }: Error) => {
      refusal = new InvalidRequest({ detail: message })
    }
    response.detachSocket(tcp)
    server.once("wsClientError", malformed)
    server.handleUpgrade(request, tcp, Buffer.alloc(0), (ws) => serve(ws, tcp, listen))
    server.off("wsClientError", malformed)
    if (refusal !== undefined) response.assignSocket(tcp)
    // An HTTP server would otherwise write an answer into the WebSocket.
    else response.end()
    return refusal
  }
})

/** Calls `tick` with the time of the monotonic clock as often as the time-outs of sockets need it, until the scope closes. */
export const watchClocks = Effect.fnUntraced(function* (tick: (now: number) => void) {
  const { timers } = yield* Settings
  const clock = yield* Clock.Clock
  const shortest = Math.min(timers.hello, timers.heartbeat, timers.heartbeatAnswer, timers.writeStuck)
  const interval = Math.min(tickMs.max, Math.max(tickMs.min, shortest / ticksPerTimeout))
  yield* every(
    interval,
    "the check of sockets",
    Effect.sync(() => tick(monotonicMillis(clock)))
  )
})
