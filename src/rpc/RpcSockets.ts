import { IncomingMessage, ServerResponse } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Clock, Effect, Queue } from "effect"
import { Headers, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type RpcMessage, RpcSerialization, RpcServer } from "effect/rpc"
import type { RawData } from "ws"
import type { UserId } from "../domain/Ids.ts"
import { type InvalidRequest, Unavailable, UpgradeRequired } from "../domain/Problem.ts"
import { CloseCode } from "../domain/Protocol.ts"
import { CurrentRequest } from "../http/edge/CurrentRequest.ts"
import { makeUpgrade, watchClocks } from "../realtime/SocketServer.ts"
import { Sessions } from "../services/identity/Sessions.ts"
import { clientFieldOf } from "../services/platform/Address.ts"
import { tooManyOpen } from "../services/platform/Limits.ts"
import { AddressLimit } from "../services/platform/load/AddressLimit.ts"
import { Shedding } from "../services/platform/load/Shedding.ts"
import { limitHits, rpcConnections } from "../services/platform/MetricDefinitions.ts"
import { Metrics } from "../services/platform/Metrics.ts"
import { monotonicMillis, monotonicNow } from "../services/platform/Monotonic.ts"
import { Drain } from "../services/platform/readiness/Drain.ts"
import { Settings } from "../services/platform/Settings.ts"
import { type ClientMessage, failed, makeReadFrame } from "./RpcMessages.ts"
import { CurrentRpcSocket, RpcSocket } from "./RpcSocket.ts"

/** How long calls in flight may take when the session has ended, and when the node shuts down. */
const graceMs = { ended: 500, draining: 3000 }

/** Takes a message of a socket. */
type Take = (message: ClientMessage) => void

type Serve = (clientId: number, message: RpcMessage.FromClientEncoded) => Effect.Effect<void>

/** Why a socket is closed. */
interface Reason {
  readonly code: CloseCode
  readonly reason: string
}
const ended: Reason = { code: CloseCode.sessionRevoked, reason: "session ended" }
const closed: Reason = { code: CloseCode.accountDisabled, reason: "account deleted or disabled" }
const draining: Reason = { code: CloseCode.draining, reason: "draining" }

/** Waits until the answers are written, including the answer to the logout itself, and closes the socket. */
const closeAnswered = (socket: RpcSocket | undefined, patienceMs: number, { code, reason }: Reason) =>
  Effect.sleep("20 millis").pipe(
    Effect.repeat({ until: () => (socket?.inFlight ?? 0) === 0 }),
    Effect.timeoutOption(patienceMs),
    Effect.andThen(Effect.sync(() => socket?.close(code, reason)))
  )

/** Closes the sockets of sessions that end, and looks at the clocks of all sockets, until the scope closes. */
const watchSockets = Effect.fnUntraced(function* (sockets: ReadonlyMap<number, RpcSocket>) {
  const sessions = yield* Sessions
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  yield* sessions.onEnded((ids, areClosed) => {
    for (const socket of sockets.values())
      if (socket.endsWith(ids, areClosed)) fork(closeAnswered(socket, graceMs.ended, areClosed ? closed : ended))
  })

  yield* watchClocks((now) => {
    for (const socket of sockets.values()) socket.tick(now)
  })
})

/** Makes the function that refuses an upgrade while its address has too many sockets, or the node shuts down or is too busy. */
const makeAdmit = Effect.fnUntraced(function* (sockets: ReadonlyMap<number, RpcSocket>) {
  const drain = yield* Drain
  const { limits } = yield* Settings
  const shedding = yield* Shedding
  const tooMany = (yield* Metrics).counter(limitHits, { limit: "sockets-per-address" })

  return (address: string) => {
    if (drain.isDraining()) return Effect.fail(new Unavailable({ detail: "This node is shutting down" }))
    let others = 0
    let strangers = 0
    for (const socket of sockets.values()) {
      if (socket.address !== address) continue
      others++
      if (!socket.isKnown) strangers++
    }
    const full = others >= limits.socketsPerAddress
    if (!full && strangers < limits.unauthenticatedSocketsPerAddress) return shedding.check("connections")
    tooMany()
    return tooManyOpen("sockets", full ? limits.socketsPerAddress : limits.unauthenticatedSocketsPerAddress)
  }
})

/**
 * Makes the function that takes each frame of a client. A message beyond the limits is refused, and a frame that is not
 * of the protocol closes the socket, as does a large one while its address has not paid for earlier ones.
 */
const makeReceive = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const { noteWork } = yield* Shedding
  const tooMany = (yield* Metrics).counter(limitHits, { limit: "commands" })
  const readFrame = yield* makeReadFrame
  const addresses = yield* AddressLimit

  return (socket: RpcSocket, data: RawData, isBinary: boolean, take: Take) => {
    if (socket.isClosing) return
    noteWork()
    socket.heard(monotonicMillis(clock))
    const text = data.toString()
    if (!socket.weigh(text.length) || addresses.read(socket.address, text.length) > 0) {
      tooMany()
      return socket.close(CloseCode.rateLimited, "rate limited")
    }
    const messages = isBinary ? "frames must be text" : readFrame(text)
    if (typeof messages === "string") return socket.close(CloseCode.badFrame, messages)
    for (const message of messages) {
      const refusal = socket.refusalOf(message)
      if (refusal === undefined) {
        take(message)
        continue
      }
      tooMany()
      if (message._tag === "Request" && message.isNotification !== true) socket.send(failed(message.id, refusal))
      if (socket.isClosing) return
    }
  }
})

/** A request and its response, whose connection can be upgraded. */
interface Exchange {
  readonly incoming: IncomingMessage
  readonly response: ServerResponse
}

/** The exchange of a request over HTTP/1.1: other versions have no upgrade. */
const exchangeOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Exchange, UpgradeRequired> => {
  const incoming = NodeHttpServerRequest.toIncomingMessage(request)
  const response = NodeHttpServerRequest.toServerResponse(request)
  return incoming instanceof IncomingMessage && response instanceof ServerResponse
    ? Effect.succeed({ incoming, response })
    : Effect.fail(new UpgradeRequired({ detail: "Upgrades need HTTP/1.1" }))
}

/** Makes the protocol between Effect's RPC server and the sockets, and the function that hands it a message of a socket. */
const makeProtocol = Effect.fnUntraced(function* (sockets: ReadonlyMap<number, RpcSocket>) {
  const disconnects = yield* Queue.make<number>()
  let serve: Serve = () => Effect.void
  const protocol = yield* RpcServer.Protocol.make((write) => {
    serve = write
    return Effect.succeed({
      disconnects,
      send: (id: number, message: RpcMessage.FromServerEncoded) => Effect.sync(() => sockets.get(id)?.send(message)),
      end: () => Effect.void,
      clientIds: Effect.sync(() => new Set(sockets.keys())),
      initialMessage: Effect.succeedNone,
      supportsAck: true,
      supportsTransferables: false,
      supportsSpanPropagation: true,
      supportsNotifications: true,
      codecFor: RpcSerialization.json.codecFor
    })
  })
  return { protocol, serve, disconnected: (id: number) => Effect.asVoid(Queue.offer(disconnects, id)) }
})

/** Makes the function that says whether a user may have one more socket. */
const makeAdmitsUser = Effect.fnUntraced(function* (sockets: ReadonlyMap<number, RpcSocket>) {
  const { limits } = yield* Settings
  const tooMany = (yield* Metrics).counter(limitHits, { limit: "sockets-per-user" })

  return (userId: UserId) => {
    let others = 0
    for (const { users } of sockets.values()) if (users.has(userId)) others++
    if (others < limits.socketsPerUser) return true
    tooMany()
    return false
  }
})

/** Makes the function that upgrades a connection. It succeeds when the socket is gone; until then `sockets` has it. */
const makeOpen = Effect.fnUntraced(function* (sockets: Map<number, RpcSocket>) {
  const settings = yield* Settings
  const upgrade = yield* makeUpgrade
  const receive = yield* makeReceive
  const admitsUser = yield* makeAdmitsUser(sockets)

  return (id: number, { incoming, response }: Exchange, address: string, take: (socket: RpcSocket) => Take) =>
    Effect.callback<void, InvalidRequest>((resume) => {
      const refusal = upgrade(incoming, response, (ws, tcp, now) => {
        const socket = new RpcSocket(ws, tcp, address, now, settings, admitsUser)
        sockets.set(id, socket)
        const taken = take(socket)
        socket.receive = (data, isBinary) => receive(socket, data, isBinary, taken)
        socket.gone = (code) => {
          socket.closedWith = code
          resume(Effect.void)
        }
        return socket
      })
      if (refusal !== undefined) resume(Effect.fail(refusal))
      else if (!sockets.has(id)) resume(Effect.void)
      return Effect.sync(() => incoming.socket.destroy())
    })
})

/** Makes the function that frees what a socket held, once it is gone. */
const makeGone = Effect.fnUntraced(function* (
  sockets: Map<number, RpcSocket>,
  disconnected: (id: number) => Effect.Effect<void>
) {
  const clientField = clientFieldOf((yield* Settings).logging)

  return Effect.fnUntraced(function* (id: number) {
    const socket = sockets.get(id)
    if (socket === undefined) return
    sockets.delete(id)
    socket.dispose()
    yield* disconnected(id)
    const { address, calls, closedWith: code = 1006, openedAt } = socket
    const durationMs = Math.round((yield* monotonicNow) - openedAt)
    yield* Effect.logInfo("rpc socket closed", { ...clientField(address), code, durationMs, calls })
  })
})

/**
 * Keeps the sockets of RPC. `accept` upgrades the current request, and passes its calls to `protocol` until the socket is
 * gone. A socket ends when a session that has called over it ends, and when the node shuts down.
 */
export const makeRpcSockets = Effect.gen(function* () {
  const drain = yield* Drain
  const metrics = yield* Metrics
  const sockets = new Map<number, RpcSocket>()
  metrics.read(rpcConnections, () => sockets.size)
  yield* watchSockets(sockets)
  const admit = yield* makeAdmit(sockets)
  const open = yield* makeOpen(sockets)
  const { disconnected, protocol, serve } = yield* makeProtocol(sockets)
  const gone = yield* makeGone(sockets, disconnected)
  let lastId = 0

  const accept = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { address } = yield* CurrentRequest
    yield* admit(address)
    const exchange = yield* exchangeOf(request)
    // All calls over the socket would belong to the one trace of its request.
    const own = Object.entries(Headers.remove(request.headers, "traceparent"))
    const fork = Effect.runForkWith(yield* Effect.context<HttpServerRequest.HttpServerRequest>())
    const id = ++lastId
    const take = (socket: RpcSocket) => (message: ClientMessage) => {
      const { headers = [], payload = undefined } = message._tag === "Request" ? message : {}
      const all = [...own, ...headers.map(([name, value]): [string, string] => [name, value])]
      const whole = message._tag === "Request" ? { ...message, payload, headers: all } : message
      fork(Effect.provideService(serve(id, whole), CurrentRpcSocket, socket))
    }
    const drained = drain.started.pipe(
      Effect.andThen(Effect.suspend(() => closeAnswered(sockets.get(id), graceMs.draining, draining))),
      Effect.andThen(Effect.never)
    )
    yield* Effect.ensuring(Effect.raceFirst(open(id, exchange, address, take), drained), gone(id))
    return HttpServerResponse.empty()
  })
  return { protocol, accept }
})
