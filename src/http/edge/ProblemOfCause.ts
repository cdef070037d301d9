import type { Cause } from "effect"
import { HttpServerError, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { Internal, invalid, MethodNotAllowed, TooLarge, Unavailable } from "../../domain/Problem.ts"
import { noPath } from "../../domain/Refusals.ts"
import { isProblem, problemResponse } from "./ProblemResponse.ts"
import type { RouteTable } from "./RouteTable.ts"

/** A response. `fault` is the cause that is logged; `interrupted` says that the client may be gone. */
export interface Answer {
  readonly response: HttpServerResponse.HttpServerResponse
  readonly fault?: Cause.Cause<unknown>
  readonly interrupted?: true
}

const isDecodable = (url: string) => {
  try {
    decodeURI(url.split("?", 1)[0] ?? "")
    return true
  } catch {
    return false
  }
}

const undecodable = invalid("path", "is not valid percent-encoding")
const unreadable = invalid("request", "could not be read")

/** Answers a request for which there is no route: its path is unknown or unreadable, or does not have that method. */
const unrouted = ({ method, url }: HttpServerRequest.HttpServerRequest, table: RouteTable, requestId: string) => {
  const methods = table.methods(url)
  if (methods !== undefined) {
    const allow = [...methods].sort().join(", ")
    return method === "OPTIONS"
      ? HttpServerResponse.empty({ status: 204, headers: { allow } })
      : problemResponse(new MethodNotAllowed({ detail: `The methods are ${allow}` }), requestId, { allow })
  }
  return isDecodable(url) ? problemResponse(noPath, requestId) : problemResponse(undecodable, requestId)
}

/** Turns any cause into a response. A route may fail with problems; every other failure is a fault of the service. */
export const answerTo = (
  cause: Cause.Cause<unknown>,
  request: HttpServerRequest.HttpServerRequest,
  table: RouteTable,
  requestId: string
): Answer => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Interrupt") continue
    const error = reason._tag === "Fail" ? reason.error : reason.defect
    if (reason._tag === "Fail" && isProblem(error)) return { response: problemResponse(error, requestId) }
    if (HttpServerError.isHttpServerError(error)) {
      if (error.reason._tag === "RouteNotFound") return { response: unrouted(request, table, requestId) }
      if (error.reason._tag === "RequestParseError") {
        const problem =
          error.reason.reason === "BodyTooLarge" ? new TooLarge({ detail: "The body is too large" }) : unreadable
        return { response: problemResponse(problem, requestId) }
      }
    }
    return { response: problemResponse(new Internal({ id: requestId }), requestId), fault: cause }
  }
  const response = cause.reasons.some(({ annotations }) => annotations.has(HttpServerError.ClientAbort.key))
    ? // As nginx has it: who asked has gone.
      HttpServerResponse.empty({ status: 499 })
    : problemResponse(new Unavailable({ detail: "The service is stopping" }), requestId)
  return { response, interrupted: true }
}
