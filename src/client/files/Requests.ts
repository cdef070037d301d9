import { Effect, Option, Schema } from "effect"
import { type Problem, TooLarge } from "../../domain/Problem.ts"
import type { Credentials } from "../Credentials.ts"
import { ConnectionLost, type Refused } from "../Failures.ts"
import { readProblem } from "../Frames.ts"
import { type Answer, type Transfer, transfer } from "./Transfer.ts"

/** Makes a request to the service as the user. */
export type Send = (
  request: Omit<Transfer, "url"> & { readonly path: string }
) => Effect.Effect<Answer, ConnectionLost | Refused>

/** A first renewal may find a pair in the storage that has expired too; the second one then renews that. */
const mostRenewals = 2

/** Makes the function that makes requests to the service at `url`, with the token of the user, which is renewed when it is refused. */
export const makeSend = (url: string, { renewed, token }: Credentials["Service"]): Send => {
  const base = url.replace(/\/$/, "")
  return ({ path, ...request }) => {
    const attempt = (current: string, renewals: number): Effect.Effect<Answer, ConnectionLost | Refused> =>
      transfer({
        ...request,
        url: base + path,
        headers: { ...request.headers, authorization: `Bearer ${current}` }
      }).pipe(
        Effect.flatMap((answer) =>
          answer.status !== 401 || renewals === 0
            ? Effect.succeed(answer)
            : Effect.flatMap(renewed(current), (next) => attempt(next, renewals - 1))
        )
      )
    return Effect.flatMap(token, (current) => attempt(current, mostRenewals))
  }
}

const asJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Why the service, or a proxy before it, refused. */
export const refusalOf = ({ header, status, text }: Answer): Problem | ConnectionLost => {
  if (header("content-type")?.startsWith("application/problem+json") === true)
    return readProblem(Option.getOrUndefined(asJson(text)))
  return status === 413 ? new TooLarge({}) : new ConnectionLost({})
}
