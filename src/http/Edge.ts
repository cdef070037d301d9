import { randomUUID } from "node:crypto"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Clock, Context, Effect, Layer, References, type Types } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { InvalidRequest } from "../domain/Problem.ts"
import { traceOf } from "../services/Metrics.ts"
import { Settings } from "../services/Settings.ts"
import { currentTraceparent, sampledSpan, Tracing } from "../services/Tracing.ts"
import { clientAddressOf } from "./ClientAddress.ts"
import { corsOf } from "./Cors.ts"
import { CurrentRequest, type RequestInfo } from "./CurrentRequest.ts"
import { type Answer, answerTo } from "./ProblemOfCause.ts"
import { makeRequestLog } from "./RequestLog.ts"
import { makeRequestMetrics } from "./RequestMetrics.ts"
import { describeAnswer, isTraced, requestSpan } from "./RequestTrace.ts"
import { recordRoutes } from "./RouteTable.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse

const visible = /^[\x21-\x7e]{1,128}$/

const requestIdOf = ({ headers }: Request) => {
  const given = headers["x-request-id"]
  return given !== undefined && visible.test(given) ? given : randomUUID()
}

/** RFC 9112, 3.2: a request of HTTP/1.1 must name its host. Older ones, as health checks send them, need not. */
const lacksHost = (request: Request) =>
  request.headers.host === undefined && NodeHttpServerRequest.toIncomingMessage(request).httpVersion === "1.1"

const wantsSocket = ({ headers }: Request) => headers.upgrade !== undefined

/** A socket's life is told by its gateway. */
const isSocket = (request: Request, { interrupted, response }: Answer) =>
  wantsSocket(request) && (interrupted === true || response.status < 400)

const securityHeaders = (origin: string): Record<string, string> => ({
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cache-control": "no-store",
  ...(origin.startsWith("https:") && { "strict-transport-security": "max-age=31536000" })
})

const allowanceHeaders = ({ allowance }: RequestInfo): Record<string, string> | undefined =>
  allowance && {
    "ratelimit-policy": `"default";q=${allowance.limit};w=60`,
    ratelimit: `"default";r=${allowance.remaining};t=${Math.ceil(allowance.resetMs / 1000)}`
  }

/**
 * What holds for every request, whatever route it takes: its id, CORS and security headers, a problem for everything
 * that goes wrong, and one line in the log. Routes must be added through this `HttpRouter` to be known for a 405.
 */
export const layer = Layer.effect(
  HttpRouter.HttpRouter,
  Effect.gen(function* () {
    const settings = yield* Settings
    const { metrics, server } = settings
    const counts = yield* makeRequestMetrics
    const logRequest = makeRequestLog(metrics.path)
    const tracing = yield* Tracing
    const traced = isTraced(settings)
    const inner = yield* HttpRouter.HttpRouter
    const { router, ...table } = recordRoutes(inner)
    const addressOf = clientAddressOf(server.trustedProxies)
    const cors = corsOf(server.allowedOrigins)
    const security = securityHeaders(server.origin)

    const complete = (
      request: Request,
      info: RequestInfo,
      traceresponse: string | undefined,
      response: Response
    ): Response =>
      HttpServerResponse.setHeaders(response, {
        ...security,
        ...cors.answer(request.headers.origin),
        ...(request.method === "OPTIONS" && cors.preflight(request.headers.origin)),
        ...allowanceHeaders(info),
        ...response.headers,
        // A proxy that collects an answer before it passes it on would hold back live events.
        ...(/^(text\/event-stream|application\/x-ndjson)/.test(response.headers["content-type"] ?? "") && {
          "x-accel-buffering": "no"
        }),
        // A refused upgrade is the last that its connection carries.
        ...(wantsSocket(request) && { connection: "close" }),
        // A draft of the W3C: where the caller finds what became of his request.
        ...(traceresponse !== undefined && { traceresponse }),
        "x-request-id": info.id
      })

    const conclude = (toAnswer: (request: Request, requestId: string) => Answer) =>
      Effect.withFiber<Response>((fiber) => {
        const info = fiber.getRef(CurrentRequest)
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const answer = toAnswer(request, info.id)
        describeAnswer(sampledSpan(fiber), info, answer)
        const response = complete(request, info, currentTraceparent(fiber), answer.response)
        if (!wantsSocket(request)) counts.ended(info.route)
        if (isSocket(request, answer)) return Effect.succeed(response)
        const nanos = Number(fiber.getRef(Clock.Clock).currentTimeNanosUnsafe() - info.since)
        const { route } = info
        counts.answered(request.method, route, response.status, nanos / 1e9, traceOf(fiber))
        return Effect.as(logRequest(request, info, nanos / 1e6, answer), response)
      })

    yield* inner.addGlobalMiddleware((route): Effect.Effect<Response, Types.unhandled> => {
      const answered = Effect.matchCauseEffect(
        Effect.withFiber<Response, Types.unhandled | InvalidRequest>((fiber) => {
          const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
          return lacksHost(request) ? Effect.fail(new InvalidRequest({ detail: "The header Host is missing" })) : route
        }),
        {
          onSuccess: (response) => conclude(() => ({ response })),
          onFailure: (cause) => conclude((request, requestId) => answerTo(cause, request, table, requestId))
        }
      )
      return Effect.withFiber((fiber) => {
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const id = requestIdOf(request)
        const info: RequestInfo = {
          id,
          route: table.template(request.url) ?? "none",
          get address() {
            return addressOf(request)
          },
          since: fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(),
          userId: undefined,
          allowance: undefined
        }
        if (!wantsSocket(request)) counts.began(info.route)
        const annotations = { ...fiber.getRef(References.CurrentLogAnnotations), requestId: id }
        // Added one by one: merging contexts would copy every service of the program for each request.
        const annotated = Effect.updateContext(answered, (context: Context.Context<never>) =>
          context.pipe(Context.add(CurrentRequest, info), Context.add(References.CurrentLogAnnotations, annotations))
        )
        if (!traced(request)) return annotated
        return tracing.incoming(annotated, request.headers.traceparent, () => requestSpan(request, info))
      })
    })
    return router
  })
)
