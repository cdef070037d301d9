import type { IncomingMessage, ServerResponse } from "node:http"
import { Clock, Context, Effect, Layer } from "effect"
import type { InvalidRequest } from "../domain/Problem.ts"
import { CloseCode, subprotocol } from "../domain/Protocol.ts"
import { CatchUp } from "../realtime/CatchUp.ts"
import type { Cursor } from "../realtime/Cursor.ts"
import { Hub } from "../realtime/Hub.ts"
import { type Listen, makeUpgrade, watchClocks } from "../realtime/SocketServer.ts"
import { Sessions } from "../services/identity/Sessions.ts"
import { clientFieldOf } from "../services/platform/Address.ts"
import { monotonicMillis } from "../services/platform/Monotonic.ts"
import { Drain } from "../services/platform/readiness/Drain.ts"
import { Settings } from "../services/platform/Settings.ts"
import { Connection, type Host } from "./Connection.ts"
import { makeReceive } from "./Dispatch.ts"
import { makeHandshake } from "./Handshake.ts"
import { makeSocketCounts, type SocketCounts } from "./SocketCounts.ts"
import { makeSocketDrain } from "./SocketDrain.ts"
import { makeSocketMetrics, type SocketMetrics } from "./SocketMetrics.ts"

interface Dependencies {
  /** All sockets of this node. */
  readonly connections: Set<Connection>
  readonly counts: SocketCounts
  readonly metrics: SocketMetrics
}

/** Closes the sockets of sessions that end, and looks at the clocks of all sockets, until the scope closes. */
const watchSockets = Effect.fnUntraced(function* (connections: ReadonlySet<Connection>) {
  const clock = yield* Clock.Clock
  const sessions = yield* Sessions

  yield* sessions.onEnded((ended, closed) => {
    const ids = new Set<string>(ended)
    for (const connection of connections) {
      if (connection.principal === undefined || !ids.has(connection.principal.sessionId)) continue
      if (closed) connection.endSession(CloseCode.accountDisabled, "account deleted or disabled")
      else connection.endSession(CloseCode.sessionRevoked, "session ended")
    }
  })

  yield* watchClocks((now) => {
    const wallNow = clock.currentTimeMillisUnsafe()
    for (const connection of connections) connection.tick(now, wallNow)
  })
})

/** Makes the function that frees all that a socket held, once it is gone. */
const makeClosed = Effect.fnUntraced(function* ({ connections, counts, metrics }: Dependencies) {
  const clock = yield* Clock.Clock
  const hub = yield* Hub
  const clientField = clientFieldOf((yield* Settings).logging)
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  return (connection: Connection, code: number): void => {
    connections.delete(connection)
    metrics.closed(connection, code)
    counts.closed(connection)
    for (const cursor of connection.cursors.values()) hub.unfollow(cursor)
    const { address, dropped, id: connectionId, openedAt, principal, received, sent } = connection
    fork(
      Effect.andThen(
        connection.dispose(),
        Effect.logInfo("socket closed", {
          connectionId,
          ...(principal && { userId: principal.userId }),
          ...clientField(address),
          code,
          durationMs: Math.round(monotonicMillis(clock) - openedAt),
          received,
          sent,
          dropped
        })
      )
    )
  }
})

/** Makes the function that upgrades a request and serves its socket. */
const makeAccept = Effect.fnUntraced(function* (dependencies: Dependencies) {
  const { connections, counts, metrics } = dependencies
  const settings = yield* Settings
  const catchUp = yield* CatchUp
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const receive = yield* makeReceive(yield* makeHandshake(counts, metrics), metrics)
  const closed = yield* makeClosed(dependencies)
  const upgrade = yield* makeUpgrade

  const replay = (connection: Connection, cursor: Cursor) =>
    Effect.catchCause(catchUp.replay(connection, cursor), (cause) => {
      connection.close(CloseCode.internal, "the replay failed")
      return Effect.logError("replay failed", cause)
    })

  const host: Host = {
    receive,
    catchUp: (connection, cursor) => {
      fork(replay(connection, cursor))
    },
    gone: closed
  }

  const listenFrom =
    (address: string): Listen =>
    (ws, tcp, now) => {
      const connection = new Connection(ws, tcp, address, now, settings, host)
      connections.add(connection)
      counts.opened(connection)
      if (ws.protocol !== "" && ws.protocol !== subprotocol)
        connection.close(CloseCode.unsupportedVersion, `only ${subprotocol} is spoken here`)
      return connection
    }

  return (request: IncomingMessage, response: ServerResponse, address: string) =>
    Effect.suspend(() => {
      const refusal = upgrade(request, response, listenFrom(address))
      return refusal === undefined ? Effect.void : Effect.fail(refusal)
    })
})

/** The sockets of this node. */
export class Gateway extends Context.Service<
  Gateway,
  {
    /**
     * Why another socket from that address cannot be accepted: the number of sockets that it may have; undefined when
     * it can.
     */
    readonly refusal: (address: string) => "draining" | number | undefined
    /** Takes over the connection of an upgrade request and ends its response. Fails when the request is malformed. */
    readonly accept: (
      request: IncomingMessage,
      response: ServerResponse,
      address: string
    ) => Effect.Effect<void, InvalidRequest>
    /**
     * Sends all clients to other nodes (`reconnect`, spread over `timers.drain`), lets the commands in flight finish,
     * and closes with 4005. No socket is accepted once it has started.
     */
    readonly drain: Effect.Effect<void>
    /** How many sockets are open. */
    readonly size: () => number
  }
>()("chat/ws/Gateway") {
  static readonly layer = Layer.effect(
    Gateway,
    Effect.gen(function* () {
      const { limits } = yield* Settings
      const drain = yield* Drain
      const connections = new Set<Connection>()
      const counts = makeSocketCounts(limits)
      const metrics = yield* makeSocketMetrics(connections)
      const accept = yield* makeAccept({ connections, counts, metrics })
      yield* watchSockets(connections)

      return Gateway.of({
        refusal: (address) => {
          if (drain.isDraining()) return "draining"
          const limit = counts.limitReached(address)
          if (limit !== undefined) metrics.limited("sockets-per-address")
          return limit
        },
        accept,
        drain: yield* makeSocketDrain(connections),
        size: () => connections.size
      })
    })
  )
}
