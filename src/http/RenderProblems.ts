import { Effect, Layer } from "effect"
import { HttpApiError } from "effect/http-api"
import { CurrentRequest } from "./CurrentRequest.ts"
import { Problems } from "./Middleware.ts"
import { isProblem, problemResponse, toInvalidRequest } from "./ProblemResponse.ts"

const toProblem = (error: unknown) => {
  if (isProblem(error)) return error
  if (!HttpApiError.HttpApiSchemaError.is(error)) return undefined
  // Our own answer does not fit its Schema: our fault, not the client's.
  return error.kind === "Body" || error.kind === "ResponseHeaders" ? undefined : toInvalidRequest(error)
}

export const layer = Layer.succeed(Problems, (httpEffect) =>
  Effect.catch(httpEffect, (error) => {
    const problem = toProblem(error)
    if (problem === undefined) return Effect.die(error)
    return Effect.map(CurrentRequest, ({ id }) => problemResponse(problem, id))
  })
)
