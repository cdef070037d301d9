import { Context, Effect, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { type Rpc, RpcSchema } from "effect/rpc"
import { bearerOf, makeAdmission } from "../http/edge/Admission.ts"
import { CurrentRequest } from "../http/edge/CurrentRequest.ts"
import { makeServiceAdmission } from "../http/edge/ServiceAdmission.ts"
import { makeActing } from "../operations/AuditHandlers.ts"
import {
  Anybody,
  actAsHeader,
  CurrentDevice,
  CurrentPrincipal,
  CurrentService,
  SignedIn,
  WithServiceToken
} from "../operations/Callers.ts"
import { Principals } from "../services/admin/Principals.ts"
import { hideDefects } from "../services/platform/Defects.ts"
import { rpcCalls, rpcDuration } from "../services/platform/MetricDefinitions.ts"
import { makeOperationMetrics } from "../services/platform/OperationMetrics.ts"
import { CurrentRpcSocket } from "./RpcSocket.ts"
import { traced } from "./RpcTrace.ts"

/** Logs a defect, and fails with the id under which the log has it. */
const hideCallDefects = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  hideDefects(
    call,
    "call failed",
    Effect.map(CurrentRequest, ({ id }) => ({ id }))
  )

/** Counts a call of a socket, and serves it in its turn. A stream may last for days, so it does not wait for a turn. */
const counted = <A, E, R>(rpc: Rpc.AnyWithProps, call: Effect.Effect<A, E, R>) =>
  Effect.flatMap(CurrentRpcSocket, (socket) => {
    if (socket === undefined) return call
    socket.inFlight++
    socket.calls++
    return Effect.ensuring(
      RpcSchema.isStreamSchema(rpc.successSchema) ? call : socket.inTurn(call),
      Effect.sync(() => {
        socket.inFlight--
      })
    )
  })

/** Measures each call. Streams are not measured, because they may last for days. */
const makeTimed = Effect.map(
  makeOperationMetrics(rpcCalls, rpcDuration),
  (timed) =>
    <A, E, R>(rpc: Rpc.AnyWithProps, call: Effect.Effect<A, E, R>) =>
      RpcSchema.isStreamSchema(rpc.successSchema) ? call : timed(rpc._tag, call)
)

const signedIn = Layer.effect(
  SignedIn,
  Effect.gen(function* () {
    const acting = yield* makeActing
    const admit = yield* makeAdmission
    const principals = yield* Principals
    const timed = yield* makeTimed
    return SignedIn.of((call, { headers, payload, rpc }) =>
      Effect.withFiber((fiber) => {
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const socket = fiber.getRef(CurrentRpcSocket)
        return admit(bearerOf(headers), headers[actAsHeader]).pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, request),
          Effect.tap((principal) => {
            const { serviceTokenId, sessionId } = principal
            if (serviceTokenId === undefined) socket?.signedIn(principal)
            else if (socket?.actedWith(serviceTokenId, sessionId)) return principals.watch(principal, socket)
            return Effect.void
          }),
          Effect.flatMap((principal) =>
            Effect.provideService(acting(principal, rpc._tag, payload, call), CurrentPrincipal, principal)
          ),
          hideCallDefects,
          (answered) => traced(timed(rpc, counted(rpc, answered)), { headers, rpc })
        )
      })
    )
  })
)

const anybody = Layer.effect(
  Anybody,
  Effect.map(makeTimed, (timed) =>
    Anybody.of((call, { headers: own, rpc }) =>
      Effect.withFiber((fiber) => {
        const { headers } = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const device = { userAgent: headers["user-agent"] ?? "", ip: fiber.getRef(CurrentRequest).address }
        const succeeded = Effect.sync(() => fiber.getRef(CurrentRpcSocket)?.succeeded())
        return call.pipe(
          Effect.provideService(CurrentDevice, device),
          Effect.tap(() => succeeded),
          hideCallDefects,
          (answered) => traced(timed(rpc, counted(rpc, answered)), { headers: own, rpc })
        )
      })
    )
  )
)

const withServiceToken = Layer.effect(
  WithServiceToken,
  Effect.gen(function* () {
    const admit = yield* makeServiceAdmission
    const timed = yield* makeTimed
    return WithServiceToken.of((call, { headers, rpc }) =>
      admit(bearerOf(headers), rpc.annotations).pipe(
        Effect.tap(() => Effect.map(CurrentRpcSocket, (socket) => socket?.admitted())),
        Effect.flatMap((service) => Effect.provideService(call, CurrentService, service)),
        hideCallDefects,
        (answered) => traced(timed(rpc, counted(rpc, answered)), { headers, rpc })
      )
    )
  })
)

/**
 * Who calls an RPC: the user of its token, the program of its service token, or anybody. Also counts and traces the call.
 */
export const layer = Layer.mergeAll(signedIn, withServiceToken, anybody)
