import { Effect, Option, Schema } from "effect"
import { Attachment } from "../../domain/Attachment.ts"
import { type Problem, TooLarge } from "../../domain/Problem.ts"
import type { Credentials } from "../Credentials.ts"
import { withRenewal } from "../credentials/Renewal.ts"
import { ConnectionLost, type Refused } from "../Failures.ts"
import { readProblem } from "../Frames.ts"
import { type Answer, type Transfer, transfer } from "./Transfer.ts"

/** Makes a request to the service as the user. */
export type Send = (
  request: Omit<Transfer, "url"> & { readonly path: string }
) => Effect.Effect<Answer, ConnectionLost | Refused>

/** Makes the function that makes requests to the service at `url`, with the token of the user, which is renewed when it is refused. */
export const makeSend = (url: string, { renewed, token }: Credentials["Service"]): Send => {
  const base = url.replace(/\/$/, "")
  return ({ path, ...request }) =>
    withRenewal(
      token,
      renewed,
      (current) =>
        transfer({
          ...request,
          url: base + path,
          headers: { ...request.headers, authorization: `Bearer ${current}` }
        }),
      Effect.fail
    )
}

const asJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Why the service, or a proxy before it, refused. */
export const refusalOf = ({ header, status, text }: Answer): Problem | ConnectionLost => {
  if (header("content-type")?.startsWith("application/problem+json") === true)
    return readProblem(Option.getOrUndefined(asJson(text)))
  return status === 413 ? new TooLarge({}) : new ConnectionLost({})
}

const decodeAttachment = Schema.decodeUnknownEffect(Schema.fromJsonString(Attachment))

/** The uploaded file that an answer describes. */
export const attachmentOf = ({ text }: Answer): Effect.Effect<Attachment, ConnectionLost> =>
  Effect.mapError(decodeAttachment(text), (cause) => new ConnectionLost({ cause }))
