import { Effect } from "effect"
import { type Attachment, safeFileName } from "../../domain/Attachment.ts"
import { NotFound, type Problem } from "../../domain/Problem.ts"
import { ConnectionLost, type Refused } from "../Failures.ts"
import { jitter } from "../Platform.ts"
import type { PendingFile, UploadEvents } from "./LocalFile.ts"
import { attachmentOf, refusalOf, type Send } from "./Requests.ts"

const version = { "tus-resumable": "1.0.0" }

/** How much of a file one request sends, in bytes. */
export const partSize = 5 * 1024 * 1024

/** How often in a row requests may fail before the upload does. The pause before the next one grows. */
const mostFailures = 5

const base64 = (text: string) => btoa(String.fromCharCode(...new TextEncoder().encode(text)))

type Failure = Problem | ConnectionLost | Refused

/** Whether the upload can go on after a failure, where the service says that it is. */
const isPassing = (failure: Failure) =>
  failure._tag === "ConnectionLost" ||
  failure._tag === "Unavailable" ||
  failure._tag === "Internal" ||
  failure._tag === "Locked" ||
  failure._tag === "NotFound" ||
  (failure._tag === "Conflict" && failure.code === "upload-offset")

/** Deletes what the service has of an upload. */
export const endUpload = (send: Send, path: string): Effect.Effect<void> =>
  Effect.ignore(send({ method: "DELETE", path, headers: version }))

/**
 * Uploads a file in parts, by tus 1.0. It goes on with `file.upload` if the service still has that, and after a lost connection
 * where the service says that it is.
 */
export const uploadInParts = (
  send: Send,
  { content, name, upload, waveform }: PendingFile,
  { onBegun, onSent }: UploadEvents
): Effect.Effect<Attachment, Failure> => {
  const { size } = content
  let path = upload
  /** How many bytes the service has; undefined when it must be asked. */
  let at: number | undefined

  const expect = (request: Parameters<Send>[0], status: number) =>
    Effect.flatMap(send({ ...request, headers: { ...version, ...request.headers } }), (answer) =>
      answer.status === status ? Effect.succeed(answer) : Effect.fail(refusalOf(answer))
    )

  const begin = Effect.gen(function* () {
    const metadata = [
      `filename ${base64(safeFileName(name))}`,
      ...(waveform === undefined ? [] : [`waveform ${base64(JSON.stringify(waveform))}`])
    ]
    const headers = { "upload-length": String(size), "upload-metadata": metadata.join(",") }
    const { header } = yield* expect({ method: "POST", path: "/v1/uploads", headers }, 201)
    const begun = header("location")
    if (begun === null) return yield* new ConnectionLost({})
    path = begun
    at = 0
    if (onBegun !== undefined) yield* onBegun(begun)
  })

  const look = (path: string) =>
    Effect.gen(function* () {
      const answer = yield* send({ method: "HEAD", path, headers: version })
      // An answer to HEAD has no body that could say so.
      if (answer.status === 404) return yield* new NotFound({})
      if (answer.status !== 200) return yield* new ConnectionLost({})
      at = Number(answer.header("upload-offset"))
    })

  const add = (path: string, offset: number) =>
    Effect.gen(function* () {
      const request = {
        method: "PATCH",
        path,
        headers: { "content-type": "application/offset+octet-stream", "upload-offset": String(offset) },
        body: content.slice(offset, offset + partSize),
        ...(onSent !== undefined && { onSent: (bytes: number) => onSent(offset + bytes) })
      }
      const { header } = yield* expect(request, 204)
      at = Number(header("upload-offset"))
    })

  const result = (path: string) => Effect.flatMap(expect({ method: "GET", path, headers: {} }, 200), attachmentOf)

  const goOn = (failures: number): Effect.Effect<Attachment, Failure> =>
    Effect.suspend((): Effect.Effect<Attachment | "added" | "known", Failure> => {
      if (path === undefined) return Effect.as(begin, "known")
      if (at === undefined) return Effect.as(look(path), "known")
      return at < size ? Effect.as(add(path, at), "added") : result(path)
    }).pipe(
      Effect.matchEffect({
        onSuccess: (outcome) =>
          typeof outcome === "object" ? Effect.succeed(outcome) : goOn(outcome === "added" ? 0 : failures),
        onFailure: (failure) => {
          if (failure._tag === "RateLimited") return Effect.delay(goOn(failures), failure.retryAfterMs)
          if (!isPassing(failure) || failures === mostFailures) return Effect.fail(failure)
          at = undefined
          if (failure._tag === "NotFound") path = undefined
          return Effect.flatMap(jitter(failures), (pause) => Effect.delay(goOn(failures + 1), pause))
        }
      })
    )
  return Effect.suspend(() => goOn(0))
}
