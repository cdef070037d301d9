import { Clock, Effect, Option, Predicate, Schema, Scope } from "effect"
import { invalidData } from "../domain/InvalidData.ts"
import { invalid, type Problem, Unauthenticated } from "../domain/Problem.ts"
import { CloseCode, type Command, Hello, socketCommands, type Welcome } from "../domain/Protocol.ts"
import { type Principal, programOf } from "../domain/Session.ts"
import type { Me } from "../domain/User.ts"
import { CatchUp } from "../realtime/CatchUp.ts"
import { Frame } from "../realtime/Frame.ts"
import { Principals } from "../services/admin/Principals.ts"
import type { Published } from "../services/bus/Subjects.ts"
import { Users } from "../services/identity/Users.ts"
import { clientFieldOf } from "../services/platform/Address.ts"
import { LogEpoch } from "../services/platform/LogEpoch.ts"
import { AddressLimit } from "../services/platform/load/AddressLimit.ts"
import { bytesPer, HeavyReads } from "../services/platform/load/HeavyReads.ts"
import { Settings } from "../services/platform/Settings.ts"
import { markFault, Tracing } from "../services/platform/Tracing.ts"
import { Presence } from "../services/presence/Presence.ts"
import { hideCommandDefects } from "./CommandDefects.ts"
import { commandSpan } from "./CommandTrace.ts"
import type { Connection } from "./Connection.ts"
import type { SocketCounts } from "./SocketCounts.ts"
import type { SocketMetrics } from "./SocketMetrics.ts"

/** Takes a command of a connection. */
export type Dispatch = (connection: Connection, command: Command) => void

/** The user in whose name the hello is said. */
const actAsIn = (data: object) => ("actAs" in data && typeof data.actAs === "string" ? data.actAs : undefined)

/** A refused hello closes the socket, and the code says whether connecting again is of any use. */
const refusals = {
  "token-expired": CloseCode.tokenExpired,
  "session-ended": CloseCode.sessionRevoked,
  "token-invalid": CloseCode.unauthenticated
}

const noToken = new Unauthenticated({ code: "token-invalid" })
const unknownUser = new Unauthenticated({ code: "session-ended" })

/** Waits until the address of the connection may send so many bytes. */
const untilAllowed = (addresses: AddressLimit["Service"], connection: Connection, bytes: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const waitMs = connection.isClosing ? 0 : addresses.read(connection.address, bytes)
    return waitMs === 0 ? Effect.void : Effect.andThen(Effect.sleep(waitMs), untilAllowed(addresses, connection, bytes))
  })

const decodeHello = Schema.decodeUnknownEffect(Hello)
const decodeToken = Schema.decodeUnknownEffect(socketCommands["auth.token"].data)

const readClient = Schema.decodeUnknownOption(Schema.Struct({ client: Hello.fields.client.schema }))

/** The device of a socket: the client as it calls itself. */
const deviceOf = ({ address: ip }: Connection, hello: unknown) => {
  const client = Option.getOrUndefined(readClient(hello))?.client
  return { userAgent: [client?.name ?? [], client?.version ?? []].flat().join("/"), ip }
}

/** Says whose hello it is. One that fails, by a fault of ours too, is paid by its bytes. */
const authenticate = (
  principals: Principals["Service"],
  addresses: AddressLimit["Service"],
  connection: Connection,
  data: unknown
) =>
  Effect.tapCause(
    Predicate.hasProperty(data, "token") && typeof data.token === "string"
      ? principals.authenticate(data.token, actAsIn(data), deviceOf(connection, data))
      : Effect.fail(noToken),
    () => Effect.sync(() => addresses.read(connection.address, connection.helloBytes))
  )

const closeUnauthenticated = (connection: Connection, { code }: Unauthenticated) =>
  connection.close(refusals[code ?? "token-invalid"], "unauthenticated")

/** Answers a hello that failed, or closes its socket. */
const refuseHello = (connection: Connection, id: Command["id"], error: Problem) => {
  if (error._tag === "Unauthenticated") return closeUnauthenticated(connection, error)
  if (connection.state === "greeting") connection.refuse(id, error)
  if (error._tag === "InvalidRequest") return connection.close(CloseCode.badFrame, "bad hello")
  if (error._tag === "Forbidden") {
    const isDisabled = error.code === "account-disabled"
    return connection.close(isDisabled ? CloseCode.accountDisabled : CloseCode.unauthenticated, "not admitted")
  }
  // Nothing was promised yet: the client may say hello again until the hello time-out.
  if (connection.principal === undefined) connection.state = "refused"
  else connection.close(CloseCode.internal, "the greeting failed")
}

/** Makes the frame of an event once for all sockets that are sent the same object. */
const makeFrames = () => {
  const frames = new WeakMap<Published, Frame>()
  return (published: Published) => {
    const known = frames.get(published)
    if (known !== undefined) return known
    const frame = new Frame(published)
    frames.set(published, frame)
    return frame
  }
}

/** A device of presence. One that is made in the greeting would keep all of that as long as the socket is open. */
const presentOn = (connection: Connection, frameOf: (published: Published) => Frame) => ({
  userId: connection.userId,
  connectionId: connection.id,
  offer: (changed: Published) => connection.offer(frameOf(changed))
})

const makeWelcome = Effect.gen(function* () {
  const { limits, timers } = yield* Settings
  const clock = yield* Clock.Clock
  const epoch = yield* LogEpoch
  return (connection: Connection, principal: Principal, user: Me, userSeq: number): Welcome => {
    const current = epoch.current()
    return {
      connectionId: connection.id,
      sessionId: principal.sessionId,
      user,
      serverTime: new Date(clock.currentTimeMillisUnsafe()).toISOString(),
      heartbeatMs: timers.heartbeat,
      tokenExpiresAt: new Date(principal.expiresAt).toISOString(),
      userSeq,
      ...(current !== undefined && { epoch: current }),
      limits: {
        frameBytes: limits.frameBytes,
        commandsPerSecond: limits.commandsPerSecond,
        commandsBurst: limits.commandsBurst,
        commandsInFlight: limits.commandsInFlight,
        messageLength: limits.messageLength
      }
    }
  }
})

/**
 * Authenticates sockets. `hello` takes the first frame of a connection and hands the commands that arrived in the
 * meantime to `dispatch` once the connection is open. `renew` is the command `auth.token`.
 */
export const makeHandshake = Effect.fnUntraced(function* (counts: SocketCounts, metrics: SocketMetrics) {
  const addresses = yield* AddressLimit
  const catchUp = yield* CatchUp
  const presence = yield* Presence
  const reads = yield* HeavyReads
  const principals = yield* Principals
  const tracing = yield* Tracing
  const users = yield* Users
  const clientField = clientFieldOf((yield* Settings).logging)
  const welcome = yield* makeWelcome
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const frameOf = makeFrames()

  const greet = Effect.fn("Gateway.hello")(function* (
    connection: Connection,
    { data, id }: Command,
    dispatch: Dispatch
  ) {
    const principal = yield* authenticate(principals, addresses, connection, data)
    // Cursors cost more than their bytes, so they are read for signed-in users only, and in their turn.
    yield* untilAllowed(addresses, connection, connection.helloBytes)
    if (connection.isClosing) return
    const hello = yield* reads.inTime(
      principal.userId,
      Effect.mapError(decodeHello(data), invalidData),
      ({ cursors = {} }) => Object.keys(cursors).length * bytesPer.membership
    )
    const user = yield* Effect.catchTag(users.me(principal.userId), "NotFound", () => Effect.fail(unknownUser))
    if (connection.isClosing) return
    // Nothing may be waited for between this check and the count.
    if (!counts.admitsUser(principal.userId)) {
      metrics.limited("sockets-per-user")
      return connection.close(CloseCode.tooManyConnections, "too many connections")
    }
    connection.authenticate(principal, hello.caps)
    counts.authenticated(connection)
    yield* principals.watch(principal, connection)
    // The session is checked again: if it ended in the meantime, the listener for ended sessions missed this socket.
    yield* principals.authenticate(hello.token, hello.actAs)
    const onStart = (userSeq: number) => {
      connection.state = "open"
      const opened = { connectionId: connection.id, userId: principal.userId, ...clientField(connection.address) }
      fork(Effect.logInfo("socket opened", opened))
      connection.answer(id, welcome(connection, principal, user, userSeq))
      const { early = [] } = connection
      connection.early = undefined
      for (const command of early) dispatch(connection, command)
    }
    yield* Scope.provide(presence.connect(presentOn(connection, frameOf)), connection.scope)
    yield* Scope.provide(catchUp.start(connection, hello, onStart), connection.scope)
  })

  const hello = (connection: Connection, command: Command, dispatch: Dispatch) => {
    const { id, op, traceparent } = command
    if (op !== "hello") return connection.close(CloseCode.badFrame, "the first frame must be hello")
    connection.state = "greeting"
    const greeted = hideCommandDefects(connection, op, metrics.timed(op, greet(connection, command, dispatch))).pipe(
      Effect.tapError(markFault),
      Effect.catch((error) => Effect.sync(() => refuseHello(connection, id, error)))
    )
    fork(tracing.incoming(greeted, traceparent, () => commandSpan(op, connection)))
  }

  const renew = Effect.fnUntraced(function* (connection: Connection, data: unknown) {
    const { token } = yield* Effect.mapError(decodeToken(data), invalidData)
    const actAs = connection.principal && programOf(connection.principal) ? connection.userId : undefined
    const principal = yield* principals.authenticate(token, actAs)
    if (principal.userId !== connection.userId) return yield* invalid("token", "must be one of the same user")
    connection.renew(principal)
    yield* principals.watch(principal, connection)
    // The session is checked again, as in `greet`.
    yield* Effect.tapErrorTag(principals.authenticate(token, actAs), "Unauthenticated", (error) =>
      Effect.sync(() => closeUnauthenticated(connection, error))
    )
    return { tokenExpiresAt: new Date(principal.expiresAt).toISOString() }
  })

  return { hello, renew }
})
export type Handshake = Effect.Success<ReturnType<typeof makeHandshake>>
