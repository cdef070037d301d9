import { ByteSize, Effect, Layer, Schema } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Attachment } from "../../domain/Attachment.ts"
import { AttachmentId } from "../../domain/Ids.ts"
import { invalidData } from "../../domain/InvalidData.ts"
import {
  invalid,
  LengthRequired,
  PreconditionFailed,
  type Problem,
  TooLarge,
  UnsupportedMediaType
} from "../../domain/Problem.ts"
import { attachmentNotReady } from "../../domain/Refusals.ts"
import { actAsHeader } from "../../operations/Callers.ts"
import type { Checksum } from "../../services/files/ReceivedParts.ts"
import { ResumableUploads, type UploadProgress } from "../../services/files/ResumableUploads.ts"
import { metadataIn, waveformOf } from "../../services/files/UploadFields.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { bearerOf, makeAdmission } from "../edge/Admission.ts"
import { CurrentRequest } from "../edge/CurrentRequest.ts"
import { problemResponse } from "../edge/ProblemResponse.ts"

/** The version of tus that is spoken here: https://tus.io/protocols/resumable-upload. */
const version = "1.0.0"
const extensions = "creation,creation-with-upload,expiration,termination,checksum"
const algorithms = ["sha1", "sha256", "md5"] as const
const contentType = "application/offset+octet-stream"

const path = "/v1/uploads"
const one = `${path}/:uploadId` as const

const Params = Schema.Struct({ uploadId: AttachmentId })
const encode = Schema.encodeSync(Attachment)

const wrongVersion = new PreconditionFailed({ detail: `the header Tus-Resumable must be ${version}` })
const noLength = new LengthRequired({ detail: "the header Upload-Length must say how many bytes the file has" })
const wrongType = new UnsupportedMediaType({ detail: `the content type must be ${contentType}` })
const wrongOffset = invalid("upload-offset", "must be a number of bytes")
const wrongMetadata = invalid("upload-metadata", "must be pairs of a key and a value in Base64")
const wrongChecksum = invalid("upload-checksum", `must be one of ${algorithms.join(", ")}, and a digest in Base64`)

const bytesIn = (text: string | undefined) => (text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined)

/** The checksum in the header `Upload-Checksum`; undefined without one, and null for one that is not valid. */
const checksumIn = (text: string | undefined): Checksum | undefined | null => {
  if (text === undefined) return undefined
  const [, name, digest = ""] = /^(\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  const algorithm = algorithms.find((known) => known === name)
  return algorithm === undefined ? null : { algorithm, digest: Buffer.from(digest, "base64") }
}

/** What each answer about an upload says of it. */
const headersOf = ({ attachment, expiresAt, offset }: UploadProgress): Record<string, string> => ({
  "upload-offset": String(offset),
  ...(expiresAt !== null && { "upload-expires": expiresAt.toUTCString() }),
  ...(attachment !== null && { "chat-attachment-id": attachment.id })
})

/** Adds what the protocol demands of every answer, also of those that refuse. */
const answered = <R>(
  route: Effect.Effect<HttpServerResponse.HttpServerResponse, Problem, R>
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, R> =>
  route.pipe(
    Effect.catch((problem) =>
      Effect.map(CurrentRequest, ({ id }) =>
        problemResponse(problem, id, problem === wrongVersion ? { "tus-version": version } : {})
      )
    ),
    Effect.map(HttpServerResponse.setHeader("tus-resumable", version))
  )

/** Makes the function that authenticates a request of the protocol. */
const makeCaller = Effect.map(makeAdmission, (admit) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { userId } = yield* admit(bearerOf(request.headers), request.headers[actAsHeader])
    if (request.headers["tus-resumable"] !== version) return yield* wrongVersion
    return { request, userId }
  })
)

const uploadId = Effect.map(
  Effect.mapError(HttpRouter.schemaPathParams(Params), invalidData),
  (params) => params.uploadId
)

/** Makes the function that adds the body of a request to an upload. */
const makeAppend = Effect.map(ResumableUploads, ({ append }) =>
  Effect.fnUntraced(function* (
    { headers, stream }: HttpServerRequest.HttpServerRequest,
    userId: Parameters<typeof append>[0],
    id: AttachmentId,
    offset: number,
    room: number
  ) {
    if (headers["content-type"] !== contentType) return yield* wrongType
    const checksum = checksumIn(headers["upload-checksum"])
    if (checksum === null) return yield* wrongChecksum
    if (Number(headers["content-length"] ?? 0) > room)
      return yield* new TooLarge({ detail: `the file lacks ${room} bytes` })
    return yield* append(userId, id, offset, stream, checksum).pipe(
      Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(room + 1))
    )
  })
)

/** What the service can of the protocol. */
const capabilities = (attachmentBytes: number) =>
  HttpServerResponse.empty({
    status: 204,
    headers: {
      "tus-resumable": version,
      "tus-version": version,
      "tus-extension": extensions,
      "tus-max-size": String(attachmentBytes),
      "tus-checksum-algorithm": algorithms.join(",")
    }
  })

/** The routes of resumable uploads, by tus 1.0. An upload is under `/v1/uploads/{id}`, and becomes the attachment with that id. */
export const ResumableUploadRoutes = Layer.unwrap(
  Effect.gen(function* () {
    const uploads = yield* ResumableUploads
    const options = capabilities((yield* Settings).limits.attachmentBytes)
    const admit = yield* makeAdmission
    const caller = yield* makeCaller
    const append = yield* makeAppend

    const create = Effect.gen(function* () {
      const { request, userId } = yield* caller
      const { "content-type": type, "upload-length": length, "upload-metadata": metadata = "" } = request.headers
      const size = bytesIn(length)
      if (size === undefined) return yield* noLength
      const values = metadataIn(metadata)
      if (values === undefined) return yield* wrongMetadata
      yield* waveformOf(values)
      const name = values.get("filename") ?? "file"
      const created = yield* uploads.create(userId, { size, name, metadata })
      const progress =
        type === contentType
          ? yield* Effect.onError(append(request, userId, created.id, 0, size), () =>
              Effect.ignore(uploads.remove(userId, created.id))
            )
          : created
      const headers = { location: `${path}/${created.id}`, ...headersOf(progress) }
      return HttpServerResponse.empty({ status: 201, headers })
    })

    const look = Effect.gen(function* () {
      const { userId } = yield* caller
      const progress = yield* uploads.get(userId, yield* uploadId)
      const { metadata, size } = progress
      const described = metadata === "" ? {} : { "upload-metadata": metadata }
      const headers = { ...headersOf(progress), "upload-length": String(size), ...described }
      return HttpServerResponse.empty({ status: 200, headers })
    })

    const add = Effect.gen(function* () {
      const { request, userId } = yield* caller
      const offset = bytesIn(request.headers["upload-offset"])
      if (offset === undefined) return yield* wrongOffset
      const id = yield* uploadId
      const { size } = yield* uploads.get(userId, id)
      const progress = yield* append(request, userId, id, offset, Math.max(0, size - offset))
      return HttpServerResponse.empty({ status: 204, headers: headersOf(progress) })
    })

    const remove = Effect.gen(function* () {
      const { userId } = yield* caller
      yield* uploads.remove(userId, yield* uploadId)
      return HttpServerResponse.empty({ status: 204 })
    })

    /** No part of tus, which has no body for what an upload has become. */
    const result = Effect.gen(function* () {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const { userId } = yield* admit(bearerOf(headers), headers[actAsHeader])
      const { attachment } = yield* uploads.get(userId, yield* uploadId)
      return attachment === null ? yield* attachmentNotReady : HttpServerResponse.jsonUnsafe(encode(attachment))
    })

    return Layer.mergeAll(
      HttpRouter.add("POST", path, answered(create)),
      HttpRouter.add("OPTIONS", path, options),
      HttpRouter.add(
        "GET",
        one,
        Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method }) =>
          method === "HEAD" ? answered(look) : result
        )
      ),
      HttpRouter.add("PATCH", one, answered(add)),
      HttpRouter.add("DELETE", one, answered(remove)),
      HttpRouter.add("OPTIONS", one, options)
    )
  })
)
