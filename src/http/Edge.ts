import { randomUUID } from "node:crypto"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Clock, Context, Effect, Layer, References, type Types } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { InvalidRequest } from "../domain/Problem.ts"
import { Settings } from "../services/Settings.ts"
import { clientAddressOf } from "./ClientAddress.ts"
import { corsOf } from "./Cors.ts"
import { CurrentRequest, type RequestInfo } from "./CurrentRequest.ts"
import { type Answer, answerTo } from "./ProblemOfCause.ts"
import { logRequest } from "./RequestLog.ts"
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
    const { server } = yield* Settings
    const inner = yield* HttpRouter.HttpRouter
    const { router, ...table } = recordRoutes(inner)
    const addressOf = clientAddressOf(server.trustedProxies)
    const cors = corsOf(server.allowedOrigins)
    const security = securityHeaders(server.origin)

    const complete = (request: Request, info: RequestInfo, response: Response): Response =>
      HttpServerResponse.setHeaders(response, {
        ...security,
        ...cors.answer(request.headers.origin),
        ...(request.method === "OPTIONS" && cors.preflight(request.headers.origin)),
        ...allowanceHeaders(info),
        ...response.headers,
        // A proxy that collects an answer before it passes it on would hold back live events.
        ...(response.headers["content-type"]?.startsWith("text/event-stream") && { "x-accel-buffering": "no" }),
        // A refused upgrade is the last that its connection carries.
        ...(request.headers.upgrade !== undefined && { connection: "close" }),
        "x-request-id": info.id
      })

    const conclude = (toAnswer: (request: Request, requestId: string) => Answer) =>
      Effect.withFiber<Response>((fiber) => {
        const info = fiber.getRef(CurrentRequest)
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        // The router leaves behind which route it took.
        const route = Context.getOrUndefined(fiber.context, HttpRouter.RouteContext)?.route.path
        const answer = toAnswer(request, info.id)
        const response = complete(request, info, answer.response)
        return Effect.as(logRequest(request, info, route, answer), response)
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
          get address() {
            return addressOf(request)
          },
          since: fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(),
          userId: undefined,
          allowance: undefined
        }
        const annotations = { ...fiber.getRef(References.CurrentLogAnnotations), requestId: id }
        // Added one by one: merging contexts would copy every service of the program for each request.
        return Effect.updateContext(answered, (context: Context.Context<never>) =>
          context.pipe(Context.add(CurrentRequest, info), Context.add(References.CurrentLogAnnotations, annotations))
        )
      })
    })
    return router
  })
)
