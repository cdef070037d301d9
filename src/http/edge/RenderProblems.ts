import { Effect, Layer } from "effect"
import { HttpApiError } from "effect/http-api"
import { invalidData } from "../../domain/InvalidData.ts"
import { Problems } from "../../operations/Callers.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { isProblem, problemResponse } from "./ProblemResponse.ts"

const toProblem = (error: unknown) => {
  if (isProblem(error)) return error
  if (!HttpApiError.HttpApiSchemaError.is(error)) return undefined
  // The service's own answer does not fit its Schema, which is not the client's fault.
  return error.kind === "Body" || error.kind === "ResponseHeaders" ? undefined : invalidData(error.cause)
}

/** Answers the failures of operations as problems. A failure that is none is a fault of ours, and becomes a defect. */
export const layer = Layer.succeed(Problems, (httpEffect) =>
  Effect.catch(httpEffect, (error) => {
    const problem = toProblem(error)
    if (problem === undefined) return Effect.die(error)
    return Effect.map(CurrentRequest, ({ id }) => problemResponse(problem, id))
  })
)
