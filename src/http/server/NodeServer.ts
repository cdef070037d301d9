import { IncomingMessage, Server, ServerResponse } from "node:http"
import { Socket } from "node:net"
import { Option } from "effect"
import { addressKey, clientAddressOf, isProxyOf } from "../../services/platform/Address.ts"
import { FairQueue } from "../../services/platform/load/FairQueue.ts"
import type { SettingsShape } from "../../services/platform/Settings.ts"
import { makeBuckets } from "../../services/platform/TokenBucket.ts"
import { leavesLargeBody } from "../edge/LargeBody.ts"
import { limitBody } from "./BodyTimeout.ts"
import {
  maxHeaderSize,
  notServing,
  refusalOf,
  refuse,
  refuseBytes,
  requestTimeout,
  unknownExpectation
} from "./EarlyRefusals.ts"
import { isUpgrade } from "./RequestKinds.ts"

/** Proxies keep idle connections for up to 60 s and must not find one closed just when they use it again. */
const keepAliveMs = 65_000

/** How often the time-outs of requests are checked, in milliseconds. */
const checkEveryMs = { min: 100, max: 2000 }

/** How many requests a client may send ahead of the answer that it waits for. */
const maxAhead = 32

/**
 * How many requests of an address may be dropped because they came after `maxAhead`: so many at once, and so many a second.
 * Node parses all that it has read, so each costs a few microseconds that nothing else can use.
 */
const droppedRequests = { burst: 10_000, perSecond: 1000 }

/**
 * How many of these a connection counts as that sends no valid request, sends a large body that is not read to its end, or is
 * gone before its answer.
 */
const requestsPerError = 20

/** How long an address that goes beyond that cannot connect, in milliseconds. */
const shutOutMs = 10_000

/**
 * How many requests of an address begin in a turn of the event loop. Each takes a fraction of a millisecond before it waits
 * for anything, so that of many at once everybody else would wait for all.
 */
const beginningPerTurn = 4

function destroy(this: Socket): void {
  this.destroy()
}

/** A connection: at most one request of it is served at a time, and the others wait in the order in which they came. */
interface Connection {
  busy: boolean
  readonly upgraded: boolean
  /** How many requests may still come. */
  left: number
  readonly waiting: Array<() => void>
}

/** Every connection that was upgraded, on which nothing more is served. They stay for long, so all are the same object. */
const upgradedConnection: Connection = { busy: true, upgraded: true, left: 0, waiting: [] }

/**
 * A server of Node that serves one request of a connection at a time. Node emits every request that it has parsed, and so
 * thousands for the few bytes of a client that does not wait for answers. The event of a request that came too early is
 * kept back, and no more is read from its connection, until the answer before it is written.
 */
class OneByOneServer extends Server {
  /** The open connections. */
  readonly open = new Map<Socket, Connection>()
  /** Whether an address is that of a proxy, which speaks for many clients. */
  isProxy: (address: string) => boolean = () => false
  /** How long a request may take to arrive that is no upload, in milliseconds. */
  bodyTimeout = 0
  /** Names the client of a request by its address, as trusted proxies report it. */
  clientOf: (request: IncomingMessage) => string = () => ""
  /** Called with each address that is shut out. */
  onShutOut: (address: string) => void = () => {}
  private readonly turns = new FairQueue({ atATimePerKey: beginningPerTurn, detail: "" })
  private readonly droppedBy = makeBuckets(droppedRequests.perSecond, droppedRequests.burst)
  /** The addresses that cannot connect, and until when. */
  private readonly shutOut = new Map<string, number>()

  /** Whether a new connection may stay. */
  admits({ remoteAddress = "" }: Socket): boolean {
    return this.shutOut.size === 0 || (this.shutOut.get(addressKey(remoteAddress)) ?? 0) <= performance.now()
  }

  /**
   * Counts a request that is dropped, or something else that costs as much as `times` of these. Ends all connections of an
   * address that goes on sending such requests.
   */
  drop(socket: Socket, times = 1): void {
    const { remoteAddress = "" } = socket
    if (this.isProxy(remoteAddress) || !this.admits(socket)) return
    const address = addressKey(remoteAddress)
    const now = performance.now()
    const bucket = this.droppedBy(address, now)
    const hasLeft = bucket.wait(now) === 0
    bucket.spend(times, now)
    if (hasLeft) return
    for (const [other, until] of this.shutOut) if (until <= now) this.shutOut.delete(other)
    this.shutOut.set(address, now + shutOutMs)
    this.onShutOut(address)
    for (const [other, { upgraded }] of this.open)
      if (!upgraded && addressKey(other.remoteAddress ?? "") === address) other.destroy()
  }

  /**
   * Drops what is still to be parsed of a connection. Node would make a request and a response of each, and keep thousands
   * of them until the connection ends. Its parser has no documented way to stop within what it was given.
   */
  private stopParsing(socket: Socket): void {
    const parser: unknown = Reflect.get(socket, "parser")
    if (typeof parser !== "object" || parser === null) return
    const onIncoming = () => {
      this.drop(socket)
      return 0
    }
    Object.assign(parser, { onIncoming })
  }

  override emit(event: string, ...args: Array<unknown>): boolean {
    const [first, second, third] = args
    switch (event) {
      case "request":
      case "checkContinue":
      case "checkExpectation":
        return first instanceof IncomingMessage && second instanceof ServerResponse
          ? this.inTurn(event, first, second)
          : false
      case "upgrade":
        return first instanceof IncomingMessage && second instanceof Socket && third instanceof Buffer
          ? this.upgrade(first, second, third)
          : false
    }
    return super.emit(event, ...args)
  }

  /**
   * Serves a request for an upgrade like any other. The handler of upgrades that listens to this server would keep the
   * request and its fiber for the life of the socket. `head` is what has been read behind the request.
   */
  private upgrade(request: IncomingMessage, socket: Socket, head: Buffer): boolean {
    // Nothing can be upgraded while an answer is to come.
    const connection = this.open.get(socket)
    if (connection?.busy !== false) {
      socket.destroy()
      return true
    }
    this.open.set(socket, upgradedConnection)
    // Put back, so that the WebSocket reads it first.
    if (head.length > 0) socket.unshift(head)
    // Node has ended its own time-outs. A WebSocket ends this one too; a refusal that nobody reads does not.
    socket.setTimeout(this.timeout)
    socket.on("timeout", destroy)
    socket.on("error", destroy)
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    response.once("finish", () => socket.end())
    this.begin(request, response, () => super.emit("request", request, response))
    return true
  }

  /**
   * Begins a request in the turn of its client, unless the connection ends before. Whatever of it follows an answer of the
   * database, and so another turn of the event loop, waits no more, so that users who share an address hardly slow each
   * other down.
   */
  private begin(request: IncomingMessage, response: ServerResponse, begin: () => void): void {
    const leave = this.turns.begin(this.clientOf(request), begin)
    if (leave !== undefined) response.once("close", leave)
  }

  private inTurn(event: string, request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request
    const connection = this.open.get(socket)
    if (connection === undefined) return false
    if (connection.left === 0) {
      this.drop(socket)
      return false
    }
    connection.left--
    limitBody(request, response, this.bodyTimeout, () => this.emit("clientError", requestTimeout, socket))
    // Whoever reads the body goes on with it. One that is refused before stays where it is.
    if (leavesLargeBody(request)) socket.pause()
    const serve = () => {
      connection.busy = true
      response.once("close", () => {
        connection.busy = false
        if (leavesLargeBody(request) || !response.headersSent) this.drop(socket, requestsPerError)
        // The answer has ended the connection, whatever the client has sent after that.
        if (!socket.writable) {
          connection.left = 0
          connection.waiting.length = 0
        }
        const next = connection.waiting.shift()
        // What still comes on a connection that is being ended would only be kept until it has ended.
        if (connection.waiting.length === 0 && socket.writable) socket.resume()
        if (!socket.destroyed) next?.()
      })
      this.begin(request, response, () => {
        const refusal = refusalOf(request)
        if (refusal !== undefined) refuse(response, refusal)
        // While no routes are served there is no listener, and nobody would ever answer.
        else if (!super.emit(event, request, response)) refuse(response, notServing)
      })
    }
    if (connection.busy) {
      socket.pause()
      connection.waiting.push(serve)
      if (connection.waiting.length === maxAhead) {
        connection.left = 0
        this.stopParsing(socket)
      }
    }
    // The last answer ends the connection, whatever the client has sent after that.
    if (connection.left === 0) response.shouldKeepAlive = false
    if (!connection.busy) serve()
    return true
  }
}

/** Ends a connection that has been idle for too long between two requests, or whose peer does not read. */
const onTimeout = (socket: Socket, writeStuck: number) => {
  // Node sets another time-out while a connection is kept alive.
  if (socket.writableLength > 0 || socket.timeout !== writeStuck) socket.destroy()
}

type Limits = Pick<SettingsShape, "server" | "timers">

/**
 * Makes a server of Node with tight limits (`server.max_*` and the timers of requests), and a function that ends all of its
 * connections. `onShutOut` is called with each address that cannot connect for a while.
 */
export const makeNodeServer = (
  {
    server: { maxConnections, maxRequestsPerSocket, trustedProxies },
    timers: { requestHeaders, request, upload, writeStuck }
  }: Limits,
  onShutOut: (address: string) => void = () => {}
): { readonly server: Server; readonly destroyConnections: () => void } => {
  const server = new OneByOneServer({
    headersTimeout: Math.min(requestHeaders, request),
    requestTimeout: Math.max(request, upload),
    keepAliveTimeout: keepAliveMs,
    connectionsCheckingInterval: Math.min(checkEveryMs.max, Math.max(checkEveryMs.min, requestHeaders / 5)),
    maxHeaderSize,
    // The header Host is checked where its absence can be answered with a problem.
    requireHostHeader: false,
    shouldUpgradeCallback: isUpgrade
  })
  server.maxConnections = maxConnections
  server.setTimeout(writeStuck, (socket: Socket) => onTimeout(socket, writeStuck))
  server.bodyTimeout = request
  server.isProxy = isProxyOf(trustedProxies)
  server.onShutOut = onShutOut
  const addressOf = clientAddressOf(trustedProxies)
  server.clientOf = ({ headers, socket }) =>
    addressKey(
      addressOf({
        remoteAddress: Option.fromUndefinedOr(socket.remoteAddress),
        headers: { "x-forwarded-for": String(headers["x-forwarded-for"] ?? "") }
      })
    )
  // One function for all connections, which keep it as long as they are open.
  const forget = function (this: Socket) {
    server.open.delete(this)
  }
  server.on("connection", (socket) => {
    if (!server.admits(socket)) {
      socket.destroy()
      return
    }
    server.open.set(socket, { busy: false, upgraded: false, left: maxRequestsPerSocket, waiting: [] })
    socket.on("close", forget)
  })
  server.on("clientError", (error, socket) => {
    refuseBytes(error, socket)
    if (socket instanceof Socket) server.drop(socket, requestsPerError)
  })
  server.on("checkExpectation", (_request, response) => refuse(response, unknownExpectation))
  return {
    server,
    destroyConnections: () => {
      for (const socket of server.open.keys()) socket.destroy()
    }
  }
}
