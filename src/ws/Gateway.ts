import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { Cause, Clock, Context, Effect, Layer, Predicate, Random, Result, Schedule, Schema, Scope } from "effect"
import { type RawData, WebSocket, WebSocketServer } from "ws"
import { deeperThan } from "../domain/Json.ts"
import {
  Internal,
  InvalidRequest,
  invalid,
  invalidData,
  type Problem,
  RateLimited,
  Unauthenticated
} from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import type { Me } from "../domain/User.ts"
import { every } from "../services/Background.ts"
import { Drain } from "../services/Drain.ts"
import { Presence } from "../services/Presence.ts"
import type { Published } from "../services/PubSub.ts"
import { Sessions } from "../services/Sessions.ts"
import { Settings } from "../services/Settings.ts"
import { markFault, Tracing } from "../services/Tracing.ts"
import { Users } from "../services/Users.ts"
import { CatchUp } from "./CatchUp.ts"
import { Commands, type Operation } from "./Commands.ts"
import { commandSpan } from "./CommandTrace.ts"
import { Connection } from "./Connection.ts"
import { Frame } from "./Frame.ts"
import { Hub } from "./Hub.ts"
import { ClientFrame, CloseCode, type Command, Hello, subprotocol } from "./Protocol.ts"
import { socketCommands, type Welcome } from "./SocketCommands.ts"
import { makeSocketMetrics } from "./SocketMetrics.ts"

/** What the protocol itself found wrong, under our close codes (RFC 6455 §7.4.1 has the others). */
const closeCodes = new Map<number, CloseCode>([
  [1002, CloseCode.badFrame],
  [1003, CloseCode.badFrame],
  [1007, CloseCode.badFrame],
  [1009, CloseCode.frameTooLarge]
])

class Peer extends WebSocket {
  override close(code?: number, data?: string | Buffer): void {
    super.close(code === undefined ? code : (closeCodes.get(code) ?? code), data)
  }
}

/** A refused hello closes the socket, and the code says whether it is worth coming back. */
const refusals = {
  "token-expired": CloseCode.tokenExpired,
  "session-ended": CloseCode.sessionRevoked,
  "token-invalid": CloseCode.unauthenticated
}

const noToken = new Unauthenticated({ code: "token-invalid" })
const unknownUser = new Unauthenticated({ code: "session-ended" })

const decodeClientFrame = Schema.decodeUnknownResult(ClientFrame)

/** Undefined when the text is no JSON, which no frame is. Three times quicker than `Schema.fromJsonString`. */
const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const decodeFrame = (text: string) => decodeClientFrame(parseJson(text))
const decodeHello = Schema.decodeUnknownEffect(Hello)
const decodeToken = Schema.decodeUnknownEffect(socketCommands["auth.token"].data)
/** Counts by key, and forgets a key at zero. */
const makeTally = () => {
  const counts = new Map<string, number>()
  const add = (key: string, n: number) => {
    const total = (counts.get(key) ?? 0) + n
    if (total === 0) counts.delete(key)
    else counts.set(key, total)
  }
  return { of: (key: string) => counts.get(key) ?? 0, add }
}

/** The sockets of this node. */
export class Gateway extends Context.Service<
  Gateway,
  {
    /** Why one more socket from that address cannot be taken, if so. */
    readonly refusal: (address: string) => "draining" | "too-many" | undefined
    /** Takes over an upgrade request; succeeds when its socket is gone. */
    readonly accept: (request: IncomingMessage, address: string) => Effect.Effect<void, InvalidRequest>
    /**
     * Sends everybody elsewhere (`reconnect`, spread over `timers.drain`), lets the commands in flight finish, and
     * closes with 4005. No socket is taken from its start on.
     */
    readonly drain: Effect.Effect<void>
    /** How many sockets there are. */
    readonly size: () => number
  }
>()("chat/ws/Gateway") {
  static readonly layer = Layer.effect(
    Gateway,
    Effect.gen(function* () {
      const settings = yield* Settings
      const { limits, timers } = settings
      const catchUp = yield* CatchUp
      const clock = yield* Clock.Clock
      const commands = yield* Commands
      const drain = yield* Drain
      const hub = yield* Hub
      const presence = yield* Presence
      const sessions = yield* Sessions
      const tracing = yield* Tracing
      const users = yield* Users
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const connections = new Set<Connection>()
      const counts = yield* makeSocketMetrics(connections)
      const frames = new WeakMap<Published, Frame>()
      const perAddress = makeTally()
      const unauthenticated = makeTally()
      const perUser = makeTally()
      const now = () => clock.currentTimeMillisUnsafe()

      const server = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        perMessageDeflate: false,
        // Clients split a message into a few pieces, or none; each piece costs more than its bytes.
        maxFragments: 128,
        maxBufferedChunks: 1024,
        maxPayload: Math.max(limits.helloBytes, limits.frameBytes),
        WebSocket: Peer,
        // A client that offers others only must see the handshake succeed to be told so by 4501.
        handleProtocols: (offered) => (offered.has(subprotocol) ? subprotocol : ([...offered][0] ?? false))
      })

      /** Hides a defect behind an id that finds it in the log. */
      const hideDefects = <A, E>(
        { id: connectionId, principal }: Connection,
        op: string,
        effect: Effect.Effect<A, E>
      ): Effect.Effect<A, E | Internal> =>
        Effect.catchDefect(effect, (defect) => {
          const id = randomUUID()
          const ids = { id, op, connectionId, ...(principal && { userId: principal.userId }) }
          return Effect.logError("command failed", Cause.die(defect), ids).pipe(
            Effect.andThen(Effect.fail(new Internal({ id })))
          )
        })

      /** One frame for all sockets that are told the same. */
      const frameOf = (published: Published) => {
        const known = frames.get(published)
        if (known !== undefined) return known
        const frame = new Frame(published)
        frames.set(published, frame)
        return frame
      }

      const greeting = (connection: Connection, principal: Principal, user: Me, userSeq: number): Welcome => ({
        connectionId: connection.id,
        sessionId: principal.sessionId,
        user,
        serverTime: new Date(now()).toISOString(),
        heartbeatMs: timers.heartbeat,
        tokenExpiresAt: new Date(principal.expiresAt).toISOString(),
        userSeq,
        limits: {
          frameBytes: limits.frameBytes,
          commandsPerSecond: limits.commandsPerSecond,
          commandsBurst: limits.commandsBurst,
          commandsInFlight: limits.commandsInFlight,
          messageLength: limits.messageLength
        }
      })

      const greet = Effect.fn("Gateway.hello")(function* (connection: Connection, id: Command["id"], data: unknown) {
        if (!Predicate.hasProperty(data, "token") || typeof data.token !== "string") return yield* noToken
        const hello = yield* Effect.mapError(decodeHello(data), invalidData)
        const principal = yield* sessions.authenticate(hello.token)
        const user = yield* Effect.catchTag(users.me(principal.userId), "NotFound", () => Effect.fail(unknownUser))
        if (connection.isClosing) return
        // Here, where nothing can come between the look and the count.
        if (perUser.of(principal.userId) >= limits.socketsPerUser) {
          counts.limited("sockets-per-user")
          return connection.close(CloseCode.tooManyConnections, "too many connections")
        }
        connection.principal = principal
        unauthenticated.add(connection.address, -1)
        perUser.add(principal.userId, 1)
        // Again, now that the end of the session would find the socket.
        yield* sessions.authenticate(hello.token)
        const onStart = (userSeq: number) => {
          connection.state = "open"
          fork(Effect.logInfo("socket opened", { connectionId: connection.id, userId: principal.userId }))
          connection.answer(id, greeting(connection, principal, user, userSeq))
          for (const frame of connection.early.splice(0)) command(connection, frame)
        }
        const { id: connectionId } = connection
        const tell = (changed: Published) => connection.offer(frameOf(changed))
        yield* Scope.provide(presence.connect({ userId: principal.userId, connectionId, tell }), connection.scope)
        yield* Scope.provide(catchUp.start(connection, hello, onStart), connection.scope)
      })

      const refuseHello = (connection: Connection, id: Command["id"], error: Problem) => {
        if (error._tag === "Unauthenticated") {
          return connection.close(refusals[error.code ?? "token-invalid"], "unauthenticated")
        }
        if (connection.state === "greeting") connection.refuse(id, error)
        if (error._tag === "InvalidRequest") return connection.close(CloseCode.badFrame, "bad hello")
        // Nothing was promised yet: the client may say hello again until the hello time-out.
        if (connection.principal === undefined) connection.state = "opening"
        else connection.close(CloseCode.internal, "the greeting failed")
      }

      const hello = (connection: Connection, { data, id, op, traceparent }: Command) => {
        if (op !== "hello") return connection.close(CloseCode.badFrame, "the first frame must be hello")
        connection.state = "greeting"
        const greeted = hideDefects(connection, op, counts.timed(op, greet(connection, id, data))).pipe(
          Effect.tapError(markFault),
          Effect.catch((error) => Effect.sync(() => refuseHello(connection, id, error)))
        )
        fork(tracing.incoming(greeted, traceparent, () => commandSpan(op, connection)))
      }

      const renew = Effect.fnUntraced(function* (connection: Connection, data: unknown) {
        const { token } = yield* Effect.mapError(decodeToken(data), invalidData)
        const principal = yield* sessions.authenticate(token)
        if (principal.userId !== connection.userId) return yield* invalid("token", "must be one of the same user")
        connection.renew(principal)
        // Again, now that the end of the session would find the socket.
        yield* Effect.tapError(sessions.authenticate(token), (error) =>
          Effect.sync(() => {
            if (error._tag === "Unauthenticated")
              connection.close(refusals[error.code ?? "token-invalid"], "unauthenticated")
          })
        )
        return { tokenExpiresAt: new Date(principal.expiresAt).toISOString() }
      })

      /** A large answer waits in its place among the commands in flight: who asks for it is no slow consumer. */
      const inRoom = (connection: Connection, principal: Principal, operation: Operation) => {
        const answer = operation.run({ ...principal, connectionId: connection.id })
        if (operation.kind === "send") return answer
        const room = Effect.suspend(() => (connection.hasRoom ? Effect.void : connection.room))
        return room.pipe(
          Effect.andThen(answer),
          Effect.tap(() => room)
        )
      }

      const run = (connection: Connection, principal: Principal, { data, op }: Command) => {
        if (op === "auth.token") return renew(connection, data)
        if (op === "hello") return Effect.fail(invalid("op", "must not be hello: this socket has said it"))
        return Effect.flatMap(commands.decode(op, data), (operation) =>
          Effect.callback<unknown, Problem>((resume) =>
            connection.inTurn(operation.conversationId, operation.kind, (done) =>
              resume(Effect.ensuring(inRoom(connection, principal, operation), Effect.sync(done)))
            )
          )
        )
      }

      const command = (connection: Connection, frame: Command) => {
        if (connection.isClosing) return
        const { principal } = connection
        if (principal === undefined || connection.state !== "open") {
          if (connection.state !== "greeting") return hello(connection, frame)
          // A client need not wait for the answer to its hello.
          if (connection.early.length < limits.commandsInFlight) return void connection.early.push(frame)
          return connection.refuse(frame.id, new RateLimited({ retryAfterMs: 100, detail: "Too many before hello" }))
        }
        const limited = connection.overLimit()
        if (limited !== undefined) {
          counts.limited("commands")
          return connection.refuse(frame.id, limited)
        }
        const { op, traceparent } = frame
        const name = op === "auth.token" || commands.knows(op) ? op : "unknown"
        // One step for what succeeds; what a failure needs besides is begun only there.
        const answered = Effect.matchCauseEffect(counts.timed(name, run(connection, principal, frame)), {
          onFailure: (cause) =>
            hideDefects(connection, name, Effect.failCause(cause)).pipe(
              Effect.tapError(markFault),
              Effect.catch((error) => Effect.sync(() => connection.refuse(frame.id, error)))
            ),
          onSuccess: (ok) => Effect.sync(() => connection.answer(frame.id, ok))
        })
        fork(tracing.incoming(answered, traceparent, () => commandSpan(name, connection)))
      }

      const receive = (connection: Connection, data: RawData, isBinary: boolean) => {
        if (connection.isClosing) return
        connection.heard(now())
        const opening = connection.principal === undefined
        const text = data.toString()
        if (isBinary) return connection.close(CloseCode.badFrame, "frames must be text")
        if (Buffer.byteLength(text) > (opening ? limits.helloBytes : limits.frameBytes))
          return connection.close(CloseCode.frameTooLarge, "frame too large")
        if (deeperThan(text, limits.jsonDepth)) return connection.close(CloseCode.badFrame, "nested too deep")
        const frame = decodeFrame(text)
        if (Result.isFailure(frame)) return connection.close(CloseCode.badFrame, "not a command")
        for (const each of Array.isArray(frame.success) ? frame.success : [frame.success]) command(connection, each)
      }

      const closed = (connection: Connection, code: number) => {
        connections.delete(connection)
        counts.closed(connection, code)
        perAddress.add(connection.address, -1)
        if (connection.principal === undefined) unauthenticated.add(connection.address, -1)
        else perUser.add(connection.principal.userId, -1)
        for (const cursor of connection.cursors.values()) hub.unfollow(cursor)
        fork(
          Effect.andThen(
            connection.dispose(),
            Effect.logInfo("socket closed", {
              connectionId: connection.id,
              ...(connection.principal && { userId: connection.principal.userId }),
              code,
              durationMs: now() - connection.openedAt,
              received: connection.received,
              sent: connection.sent,
              dropped: connection.dropped
            })
          )
        )
      }

      const accept = (request: IncomingMessage, address: string) =>
        Effect.callback<void, InvalidRequest>((resume) => {
          const malformed = ({ message }: Error) => resume(Effect.fail(new InvalidRequest({ detail: message })))
          // An ending HTTP server would else write its answer into the WebSocket.
          const cut = Effect.sync(() => request.socket.destroy())
          server.once("wsClientError", malformed)
          server.handleUpgrade(request, request.socket, Buffer.alloc(0), (ws) => {
            const connection = new Connection(ws, request.socket, address, now(), settings, (cursor) => {
              fork(
                Effect.catchCause(catchUp.replay(connection, cursor), (cause) => {
                  connection.close(CloseCode.internal, "the replay failed")
                  return Effect.logError("replay failed", cause)
                })
              )
            })
            request.socket.setNoDelay(true)
            connections.add(connection)
            perAddress.add(address, 1)
            unauthenticated.add(address, 1)
            ws.on("message", (data, isBinary) => receive(connection, data, isBinary))
            const onControl = () => {
              connection.heard(now())
              connection.overLimit()
            }
            ws.on("ping", onControl)
            ws.on("pong", onControl)
            // The close that follows says all there is to say.
            ws.on("error", () => connection.close(CloseCode.badFrame, "broken protocol"))
            ws.on("close", (code) => {
              closed(connection, connection.closedWith ?? code)
              resume(Effect.void)
            })
            if (ws.protocol !== "" && ws.protocol !== subprotocol)
              connection.close(CloseCode.unsupportedVersion, `only ${subprotocol} is spoken here`)
          })
          server.off("wsClientError", malformed)
          return cut
        })

      yield* sessions.onEnded((ended, deleted) => {
        const ids = new Set<string>(ended)
        for (const connection of connections) {
          if (connection.principal !== undefined && ids.has(connection.principal.sessionId))
            if (deleted) connection.close(CloseCode.accountDisabled, "account deleted")
            else connection.close(CloseCode.sessionRevoked, "session ended")
        }
      })

      const tick = Effect.sync(() => {
        const at = now()
        for (const connection of connections) connection.tick(at)
      })
      const shortest = Math.min(timers.hello, timers.heartbeat, timers.heartbeatAnswer, timers.writeStuck)
      yield* every(Math.min(1000, Math.max(5, shortest / 5)), "the clocks of the sockets", tick)

      const until = (done: () => boolean, timeout: number) =>
        Effect.void.pipe(
          Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: done }),
          Effect.timeoutOption(timeout)
        )

      const drainSockets = Effect.gen(function* () {
        yield* drain.begin
        yield* Effect.logInfo("draining", { sockets: connections.size })
        for (const connection of connections) {
          const afterMs = yield* Random.nextIntBetween(0, timers.drain + 1)
          connection.send({ event: "reconnect", data: { afterMs } })
        }
        const gone = () => connections.size === 0
        if (!gone()) yield* until(gone, timers.drain)
        const idle = () => [...connections].every(({ inFlight }) => inFlight === 0)
        yield* until(idle, 3000)
        for (const connection of connections) connection.close(CloseCode.draining, "draining")
        yield* until(gone, 3000)
      })

      return Gateway.of({
        refusal: (address) => {
          if (drain.isDraining()) return "draining"
          if (
            perAddress.of(address) < limits.socketsPerAddress &&
            unauthenticated.of(address) < limits.unauthenticatedSocketsPerAddress
          )
            return undefined
          counts.limited("sockets-per-address")
          return "too-many"
        },
        accept,
        drain: drainSockets,
        size: () => connections.size
      })
    })
  )
}
