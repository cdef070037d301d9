import { randomUUID } from "node:crypto"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Clock, Context, Effect, Layer, References, type Types } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { addressKey, clientAddressOf, clientFieldOf } from "../../services/platform/Address.ts"
import { CurrentAllowances, type NamedAllowance } from "../../services/platform/Limits.ts"
import { FairQueue } from "../../services/platform/load/FairQueue.ts"
import { Shedding } from "../../services/platform/load/Shedding.ts"
import { traceOf } from "../../services/platform/Metrics.ts"
import { allowsPage, makeForeignPageLog } from "../../services/platform/Origins.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import { currentTraceparent, sampledSpan, Tracing } from "../../services/platform/Tracing.ts"
import { corsOf } from "./Cors.ts"
import { CurrentRequest, type RequestInfo } from "./CurrentRequest.ts"
import { type Answer, answerTo } from "./ProblemOfCause.ts"
import { rateLimitHeaders } from "./RateLimitHeaders.ts"
import {
  hasSemicolon,
  leavesBody,
  makeAnswerCheck,
  makeRequestCheck,
  type Refusal,
  wantsSocket
} from "./RequestCheck.ts"
import { makeRequestLog } from "./RequestLog.ts"
import { makeRequestMetrics, type RequestMetrics } from "./RequestMetrics.ts"
import { describeAnswer, isTraced, requestSpan } from "./RequestTrace.ts"
import { recordRoutes } from "./RouteTable.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

const visible = /^[\x21-\x7e]{1,128}$/

const requestIdOf = ({ headers }: Request) => {
  const given = headers["x-request-id"]
  return given !== undefined && visible.test(given) ? given : randomUUID()
}

/** The gateway logs the sockets itself. */
const isSocket = (request: Request, { interrupted, response }: Answer) =>
  wantsSocket(request) && (interrupted === true || response.status < 400)

const securityHeaders = (origin: string): Record<string, string> => ({
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
  ...(origin.startsWith("https:") && { "strict-transport-security": "max-age=31536000" })
})

/** Makes the function that adds to a response the headers that every response has. */
const makeComplete = Effect.map(Settings, ({ server }) => {
  const cors = corsOf(allowsPage(server))
  const security = securityHeaders(server.origin)
  return (
    request: Request,
    info: RequestInfo,
    traceresponse: string | undefined,
    response: Response,
    isLast: boolean
  ): Response =>
    HttpServerResponse.setHeaders(response, {
      ...security,
      ...cors.answer(request.headers),
      ...(request.method === "OPTIONS" && cors.preflight(request.headers)),
      ...rateLimitHeaders(info.allowances),
      ...response.headers,
      // A proxy that collects an answer before it passes it on would hold back live events.
      ...(/^(text\/event-stream|application\/x-ndjson)/.test(response.headers["content-type"] ?? "") && {
        "x-accel-buffering": "no"
      }),
      ...(isLast && { connection: "close" }),
      // A W3C draft header, with which the caller finds the trace of the request.
      ...(traceresponse !== undefined && { traceresponse }),
      "x-request-id": info.id
    })
})

/**
 * How many answers to an address are held back that leave a large body unread. What has come in of that stays in memory so
 * long, so the connections of further ones end without an answer.
 */
const heldBodies = { atATimePerKey: 100, waitingPerKey: 0, detail: "Too many answers are held back" }

/**
 * Makes the function that ends a request: it completes, counts, traces and logs the answer. One that is held back ends its
 * connection, with all that was sent ahead, and has no line of its own in the log: its address is refused again and again.
 */
const makeConclude = Effect.fnUntraced(function* (counts: RequestMetrics) {
  const complete = yield* makeComplete
  const checkAnswer = yield* makeAnswerCheck
  const logForeignPage = yield* makeForeignPageLog
  const settings = yield* Settings
  const logRequest = makeRequestLog(settings)
  const clientField = clientFieldOf(settings.logging)
  const bodies = new FairQueue(heldBodies)
  const logHeld = (yield* makeThrottledLog)((address: string) =>
    Effect.logWarning("answers to an address are held back, because it goes on after refusals", clientField(address))
  )

  return (toAnswer: (request: Request, requestId: string) => Answer) =>
    Effect.withFiber<Response>((fiber) => {
      const info = fiber.getRef(CurrentRequest)
      const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
      const { answer, holdMs } = checkAnswer(request, info, toAnswer(request, info.id))
      logForeignPage(request.headers)
      describeAnswer(sampledSpan(fiber), info, answer)
      // After a refused upgrade, the connection carries no further request, and after a large body that nobody wants it is
      // ended in place of reading that.
      const isLast = wantsSocket(request) || holdMs > 0 || leavesBody(request)
      const response = complete(request, info, currentTraceparent(fiber), answer.response, isLast)
      if (!wantsSocket(request)) counts.ended(info.route)
      if (isSocket(request, answer)) return Effect.succeed(response)
      const nanos = Number(fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe() - info.since)
      const { route } = info
      counts.answered(request.method, route, response.status, nanos / 1e9, traceOf(fiber))
      if (holdMs > 0) {
        logHeld(info.address)
        const held = Effect.delay(Effect.succeed(response), holdMs)
        if (!leavesBody(request)) return held
        const end = Effect.sync(() => NodeHttpServerRequest.toIncomingMessage(request).socket.destroy())
        return Effect.catch(bodies.run(addressKey(info.address), held), () => Effect.as(end, response))
      }
      return Effect.as(logRequest(request, info, nanos / 1e6, answer), response)
    })
})

/**
 * Does what every request needs on any route: it sets the id, CORS and security headers, turns every failure into a
 * problem, and writes one line to the log. Routes must be added through this `HttpRouter` to be known for a 405.
 */
export const layer = Layer.effect(
  HttpRouter.HttpRouter,
  Effect.gen(function* () {
    const settings = yield* Settings
    const { noteWork } = yield* Shedding
    const counts = yield* makeRequestMetrics
    const conclude = yield* makeConclude(counts)
    const tracing = yield* Tracing
    const traced = isTraced(settings)
    const inner = yield* HttpRouter.HttpRouter
    const { router, ...table } = recordRoutes(inner)
    const addressOf = clientAddressOf(settings.server.trustedProxies)
    const check = yield* makeRequestCheck

    /** Passes a request to its route, unless it must be refused, and ends it. */
    const serve = (route: Effect.Effect<Response, Types.unhandled>) =>
      Effect.matchCauseEffect(
        Effect.withFiber<Response, Types.unhandled | Refusal>((fiber) => {
          const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
          const refusal = check(request, fiber.getRef(CurrentRequest))
          return refusal === undefined ? route : Effect.fail(refusal)
        }),
        {
          onSuccess: (response) => conclude(() => ({ response })),
          onFailure: (cause) => conclude((request, requestId) => answerTo(cause, request, table, requestId))
        }
      )

    const describe = (request: Request, since: bigint, allowances: RequestInfo["allowances"]): RequestInfo => ({
      id: requestIdOf(request),
      route: hasSemicolon(request) ? "none" : (table.template(request.url) ?? "none"),
      get address() {
        return addressOf(request)
      },
      since,
      userId: undefined,
      serviceTokenId: undefined,
      allowances
    })

    yield* inner.addGlobalMiddleware((route): Effect.Effect<Response, Types.unhandled> => {
      const served = serve(route)
      return Effect.withFiber((fiber) => {
        noteWork()
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const allowances = new Map<string, NamedAllowance>()
        const info = describe(request, fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe(), allowances)
        if (!wantsSocket(request)) counts.began(info.route)
        const annotations = { ...fiber.getRef(References.CurrentLogAnnotations), requestId: info.id }
        // Added one by one: merging contexts would copy every service of the program for each request.
        const annotated = Effect.updateContext(served, (context: Context.Context<never>) =>
          context.pipe(
            Context.add(CurrentRequest, info),
            Context.add(CurrentAllowances, allowances),
            Context.add(References.CurrentLogAnnotations, annotations)
          )
        )
        if (!traced(request)) return annotated
        return tracing.incoming(annotated, request.headers.traceparent, () => requestSpan(request, info))
      })
    })
    return router
  })
)
