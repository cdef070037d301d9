import { Effect, Option, Schema } from "effect"
import { Attachment } from "../../domain/Attachment.ts"
import { type Problem, TooLarge } from "../../domain/Problem.ts"
import type { Credentials } from "../Credentials.ts"
import { ConnectionLost, type Refused } from "../Failures.ts"
import { readProblem } from "../Frames.ts"
import type { PendingFile } from "./LocalFile.ts"
import { type Answer, transfer } from "./Transfer.ts"

/** Why a file was not uploaded. After `ConnectionLost` the service may have it, unsent, for a day. */
export type UploadError = Problem | ConnectionLost | Refused

/** Uploads a file. `onSent` is called with the number of its bytes that were sent so far. An interruption ends it. */
export type Upload = (file: PendingFile, onSent?: (bytes: number) => void) => Effect.Effect<Attachment, UploadError>

/** A first renewal may find a pair in the storage that has expired too; the second one then renews that. */
const mostRenewals = 2

const asAttachment = Schema.decodeUnknownOption(Schema.fromJsonString(Attachment))
const asJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

/** Why the service, or a proxy before it, refused. */
const refusalOf = ({ header, status, text }: Answer): Problem | ConnectionLost => {
  if (header("content-type")?.startsWith("application/problem+json") === true)
    return readProblem(Option.getOrUndefined(asJson(text)))
  return status === 413 ? new TooLarge({}) : new ConnectionLost({})
}

/** Makes a request with the token of the user, which is renewed when it is refused. */
const authorized = (
  { renewed, token }: Credentials["Service"],
  request: (authorization: string) => Effect.Effect<Answer, ConnectionLost>
) => {
  const attempt = (current: string, renewals: number): Effect.Effect<Answer, ConnectionLost | Refused> =>
    Effect.flatMap(request(`Bearer ${current}`), (answer) =>
      answer.status !== 401 || renewals === 0
        ? Effect.succeed(answer)
        : Effect.flatMap(renewed(current), (next) => attempt(next, renewals - 1))
    )
  return Effect.flatMap(token, (current) => attempt(current, mostRenewals))
}

/** Makes the function that uploads files to the service at `url`, each once `ready` has succeeded. */
export const makeUpload =
  (url: string, credentials: Credentials["Service"], ready: Effect.Effect<unknown, Refused> = Effect.void): Upload =>
  ({ content, name }, onSent) =>
    Effect.gen(function* () {
      yield* ready
      const body = new FormData()
      body.append("file", content, name)
      const answer = yield* authorized(credentials, (authorization) =>
        transfer({
          method: "POST",
          url: `${url.replace(/\/$/, "")}/v1/attachments`,
          headers: { authorization },
          body,
          // The body is a little more than the file.
          ...(onSent !== undefined && { onSent: (bytes) => onSent(Math.min(bytes, content.size)) })
        })
      )
      const attachment = Option.getOrUndefined(asAttachment(answer.text))
      return answer.status === 201 && attachment !== undefined ? attachment : yield* refusalOf(answer)
    })
