import { Cause, Context, Effect, Layer } from "effect"
import { Headers, HttpServerRequest } from "effect/http"
import { type Rpc, RpcSchema } from "effect/rpc"
import { Internal } from "../domain/Problem.ts"
import { Anybody, CurrentDevice, SignedIn } from "../rpc/Callers.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { rpcCalls, rpcDuration } from "../services/MetricDefinitions.ts"
import { makeOperationMetrics } from "../services/OperationMetrics.ts"
import { makeAdmission } from "./Admission.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { CurrentRpcSocket } from "./RpcSocket.ts"
import { traced } from "./RpcTrace.ts"

const bearer = /^bearer +(\S+)$/i

/** Hides a defect behind the id of its request, which finds it in the log. */
const hideDefects = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E | Internal, R> =>
  Effect.catchDefect(call, (defect) =>
    Effect.flatMap(CurrentRequest, ({ id }) =>
      Effect.andThen(Effect.logError("call failed", Cause.die(defect), { id }), Effect.fail(new Internal({ id })))
    )
  )

/** Over a socket calls are served in turn; streams last for days, and take none. */
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

/** Counts each call, but no stream: it may last for days. */
const makeTimed = Effect.map(
  makeOperationMetrics(rpcCalls, rpcDuration),
  (timed) =>
    <A, E, R>(rpc: Rpc.AnyWithProps, call: Effect.Effect<A, E, R>) =>
      RpcSchema.isStreamSchema(rpc.successSchema) ? call : timed(rpc._tag, call)
)

const signedIn = Layer.effect(
  SignedIn,
  Effect.gen(function* () {
    const admit = yield* makeAdmission
    const timed = yield* makeTimed
    return SignedIn.of((call, { headers, rpc }) =>
      Effect.withFiber((fiber) => {
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const own = Headers.get(headers, "authorization")
        const token = own._tag === "Some" ? (bearer.exec(own.value)?.[1] ?? "") : ""
        return admit(token).pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, request),
          Effect.flatMap((principal) => {
            fiber.getRef(CurrentRpcSocket)?.sessions.add(principal.sessionId)
            return Effect.provideService(call, CurrentPrincipal, principal)
          }),
          hideDefects,
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
        return call.pipe(Effect.provideService(CurrentDevice, device), hideDefects, (answered) =>
          traced(timed(rpc, counted(rpc, answered)), { headers: own, rpc })
        )
      })
    )
  )
)

export const layer = Layer.merge(signedIn, anybody)
