import { IncomingMessage } from "node:http"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Clock, Context, Deferred, Effect, Schedule, Semaphore } from "effect"
import { Headers, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Socket } from "effect/socket"
import type { SessionId } from "../domain/Ids.ts"
import { InvalidRequest, RateLimited, Unavailable } from "../domain/Problem.ts"
import { Drain } from "../services/Drain.ts"
import { limitHits, rpcConnections } from "../services/MetricDefinitions.ts"
import { Metrics } from "../services/Metrics.ts"
import { Sessions } from "../services/Sessions.ts"
import { Settings } from "../services/Settings.ts"
import { CloseCode } from "../ws/Protocol.ts"
import { CurrentRequest } from "./CurrentRequest.ts"

/** What is known of a socket that carries calls. */
export interface RpcSocket {
  /** Those who have called over it. */
  readonly sessions: Set<SessionId>
  /** How many calls there were. */
  calls: number
  /** How many calls are being served, or wait for it. */
  inFlight: number
  /** How many of them wait for their turn. */
  waiting: number
  /** Serves a call when it is its turn: so many at a time, and none while the peer does not read. */
  readonly inTurn: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** The socket over which the call came, if it came over one. */
export const CurrentRpcSocket = Context.Reference<RpcSocket | undefined>("chat/http/CurrentRpcSocket", {
  defaultValue: () => undefined
})

/** While so many calls wait no more frames are read; the last one may have brought many more. */
const maxWaiting = 100

/** How long calls in flight may take when the session has ended, and when the node goes away. */
const graceMs = { ended: 500, draining: 3000 }

/** How long a peer has to answer our close. */
const closeMs = 2000

/** How often the kernel asks whether the peer of a silent connection is still there. */
const keepAliveMs = 30_000

/**
 * Keeps the sockets of RPC: each ends when a session that has called over it ends, and when the node goes away. The
 * returned function serves one, given what speaks RPC over the socket of the request.
 */
export const makeRpcSockets = Effect.gen(function* () {
  const drain = yield* Drain
  const sessions = yield* Sessions
  const { limits } = yield* Settings
  const open = new Map<RpcSocket, { readonly address: string; readonly ended: Deferred.Deferred<Socket.CloseEvent> }>()

  const metrics = yield* Metrics
  metrics.read(rpcConnections, () => open.size)
  const tooMany = metrics.counter(limitHits, { limit: "sockets-per-address" })

  yield* sessions.onEnded((ids, deleted) => {
    const why = deleted
      ? new Socket.CloseEvent(CloseCode.accountDisabled, "account deleted")
      : new Socket.CloseEvent(CloseCode.sessionRevoked, "session ended")
    for (const [socket, { ended }] of open)
      if (ids.some((id) => socket.sessions.has(id))) Deferred.doneUnsafe(ended, Effect.succeed(why))
  })

  const admit = (address: string) => {
    if (drain.isDraining()) return Effect.fail(new Unavailable({ detail: "This node is going away" }))
    let others = 0
    let strangers = 0
    for (const [socket, each] of open) {
      if (each.address !== address) continue
      others++
      if (socket.sessions.size === 0) strangers++
    }
    // A client may connect long before its first call: only the number of those who have not called is bounded.
    if (others < limits.socketsPerAddress && strangers < limits.unauthenticatedSocketsPerAddress) return Effect.void
    tooMany()
    return Effect.fail(new RateLimited({ retryAfterMs: 1000, detail: "Too many sockets" }))
  }

  /** Waits until the answers have been given, a logout's own too. */
  const answered = (socket: RpcSocket, patienceMs: number) =>
    Effect.void.pipe(
      Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: () => socket.inFlight === 0 }),
      Effect.timeoutOption(patienceMs)
    )

  /** How to close the socket, once there is a reason. */
  const reasonToClose = (socket: RpcSocket, ended: Deferred.Deferred<Socket.CloseEvent>) =>
    Effect.raceFirst(
      Deferred.await(ended).pipe(Effect.tap(() => answered(socket, graceMs.ended))),
      drain.started.pipe(
        Effect.andThen(answered(socket, graceMs.draining)),
        Effect.as(new Socket.CloseEvent(CloseCode.draining, "draining"))
      )
    )

  return Effect.fnUntraced(function* <R>(serve: Effect.Effect<unknown, never, R>) {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { address } = yield* CurrentRequest
    yield* admit(address)
    const { reader, writer } = yield* Effect.mapError(
      request.upgrade,
      () => new InvalidRequest({ detail: "The WebSocket handshake is malformed" })
    )
    const incoming = NodeHttpServerRequest.toIncomingMessage(request)
    if (!(incoming instanceof IncomingMessage)) return yield* Effect.die(new Error("an upgrade without a connection"))
    incoming.socket.setKeepAlive(true, keepAliveMs)
    const once = (holds: () => boolean) =>
      Effect.suspend(() =>
        holds() ? Effect.void : Effect.repeat(Effect.void, { schedule: Schedule.spaced("20 millis"), until: holds })
      )
    // Who does not read answers is served no more calls: a write never waits, however much is queued.
    const room = once(() => incoming.socket.destroyed || incoming.socket.writableLength <= limits.outboxBytes)
    const turns = Semaphore.makeUnsafe(limits.commandsInFlight)
    const state: RpcSocket = {
      sessions: new Set(),
      calls: 0,
      inFlight: 0,
      waiting: 0,
      inTurn: (call) =>
        Effect.suspend(() => {
          let waits = true
          state.waiting++
          const begin = () => {
            if (waits) state.waiting--
            waits = false
          }
          const served = Effect.andThen(Effect.sync(begin), call)
          return Effect.ensuring(turns.withPermits(1)(Effect.andThen(room, served)), Effect.sync(begin))
        })
    }
    const fewWait = once(() => incoming.socket.destroyed || state.waiting < maxWaiting)
    const socket = Socket.make({
      writer,
      reader: Effect.map(reader, (from) => ({
        ...from,
        pull: Effect.andThen(Effect.andThen(room, fewWait), from.pull)
      }))
    })
    const ended = Deferred.makeUnsafe<Socket.CloseEvent>()
    const since = yield* Clock.currentTimeMillis
    yield* Effect.acquireRelease(
      Effect.sync(() => open.set(state, { address, ended })),
      () =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          open.delete(state)
          return Effect.logInfo("rpc socket closed", { durationMs: now - since, calls: state.calls })
        })
    )
    const { write } = yield* writer
    const close = reasonToClose(state, ended).pipe(
      Effect.flatMap((event) => Effect.ignore(write(event))),
      Effect.andThen(Effect.sleep(closeMs))
    )
    const upgraded: HttpServerRequest.HttpServerRequest = Object.create(request, {
      upgrade: { value: Effect.succeed(socket) },
      // It would be the one trace of all calls over the socket.
      headers: { value: Headers.remove(request.headers, "traceparent") }
    })
    // A frame that is too large or broken: the WebSocket has been closed for it already.
    const served = Effect.catchDefect(serve, (defect) =>
      Socket.isSocketError(defect)
        ? Effect.logDebug("rpc socket broke off", { reason: defect.message })
        : Effect.die(defect)
    )
    yield* Effect.raceFirst(served, close).pipe(
      Effect.provideService(HttpServerRequest.HttpServerRequest, upgraded),
      Effect.provideService(CurrentRpcSocket, state)
    )
    return HttpServerResponse.empty()
  })
})
