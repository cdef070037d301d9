import { Effect, Layer, Result, Schema } from "effect"
import { HttpServerRequest } from "effect/http"
import { type HttpApiEndpoint, HttpApiError } from "effect/http-api"
import { decodeInput, invalidData } from "../../domain/InvalidData.ts"
import { parseJson } from "../../domain/Json.ts"
import { Problems } from "../../operations/Callers.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { isProblem, problemResponse } from "./ProblemResponse.ts"

/** What is wrong with a body that was refused for its first error. */
const invalidBody = Effect.fnUntraced(function* ({ payload }: HttpApiEndpoint.Top, first: Schema.SchemaError) {
  const json = payload.get("application/json")
  if (json === undefined || json.encoding._tag === "Stream") return invalidData(first)
  const { text } = yield* HttpServerRequest.HttpServerRequest
  const body = parseJson(yield* text)
  if (body === undefined) return invalidData(first)
  const decoded = decodeInput(Schema.make<Schema.Codec<unknown>>(Schema.Union(json.schemas).ast))(body)
  return invalidData(Result.isFailure(decoded) ? decoded.failure : first)
}, Effect.orDie)

const toProblem = (error: unknown, endpoint: HttpApiEndpoint.Top) => {
  if (isProblem(error)) return Effect.succeed(error)
  // The service's own answer does not fit its Schema, which is not the client's fault.
  if (!HttpApiError.HttpApiSchemaError.is(error) || error.kind === "Body" || error.kind === "ResponseHeaders")
    return Effect.die(error)
  return error.kind === "Payload" ? invalidBody(endpoint, error.cause) : Effect.succeed(invalidData(error.cause))
}

/** Answers the failures of operations as problems. A failure that is none is a fault of ours, and becomes a defect. */
export const layer = Layer.succeed(Problems, (httpEffect, { endpoint }) =>
  Effect.catch(httpEffect, (error) =>
    Effect.flatMap(toProblem(error, endpoint), (problem) =>
      Effect.map(CurrentRequest, ({ id }) => problemResponse(problem, id))
    )
  )
)
