import { Effect, Layer, Schema, Stream } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Attachment, type ThumbnailSize, thumbnailPath, thumbnailSizes } from "../../domain/Attachment.ts"
import { AttachmentId, type UserId } from "../../domain/Ids.ts"
import { invalidData } from "../../domain/InvalidData.ts"
import { noAttachment } from "../../domain/Refusals.ts"
import { actAsHeader } from "../../operations/Callers.ts"
import type { StoredAttachment } from "../../services/files/AttachmentStorage.ts"
import { Attachments } from "../../services/files/Attachments.ts"
import { waveformOf } from "../../services/files/UploadFields.ts"
import { HeavyReads } from "../../services/platform/load/HeavyReads.ts"
import { bearerOf, makeAdmission } from "../edge/Admission.ts"
import { isKnown } from "../edge/Conditional.ts"
import { makeFileForm, oneOfSizes } from "./FileForm.ts"
import { fileHeaders, rangeOf } from "./FileHeaders.ts"

const Params = Schema.Struct({ attachmentId: AttachmentId })
const Query = Schema.Struct({
  download: Schema.optionalKey(Schema.Literals(["0", "1"])),
  link: Schema.optionalKey(Schema.String),
  thumbnail: Schema.optionalKey(oneOfSizes(thumbnailSizes))
})

const encode = Schema.encodeSync(Attachment)

/** Serves `POST /v1/attachments`: the field `file` of a form is stored as it comes. */
const makeUpload = Effect.gen(function* () {
  const admit = yield* makeAdmission
  const attachments = yield* Attachments
  const readFile = yield* makeFileForm

  return Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { userId } = yield* admit(bearerOf(request.headers), request.headers[actAsHeader])
    const uploaded = yield* readFile(
      ({ content, fields, name }) =>
        Effect.flatMap(waveformOf(fields), (waveform) => attachments.upload(userId, name, content, waveform)),
      ({ id }) => attachments.discard(userId, id)
    )
    return HttpServerResponse.jsonUnsafe(encode(uploaded), { status: 201 })
  })
})

/** A thumbnail as a file; undefined when the attachment has none of that size. */
const thumbnailOf = ({ id, name, thumbnails }: Attachment, size: ThumbnailSize) => {
  const found = thumbnails.find(({ url }) => url === thumbnailPath(id, size))
  return found && { name: `${name}.webp`, contentType: "image/webp", size: found.size }
}

/** Serves `GET` and `HEAD /v1/attachments/{id}` for the user of the access token, or of the link. */
const makeDownload = Effect.gen(function* () {
  const admit = yield* makeAdmission
  const attachments = yield* Attachments
  const heavy = yield* HeavyReads

  const send = Effect.fnUntraced(function* (
    { headers, method }: HttpServerRequest.HttpServerRequest,
    { stored, userId }: { readonly stored: StoredAttachment; readonly userId: UserId },
    thumbnail: ThumbnailSize | undefined,
    download: boolean
  ) {
    const file = thumbnail === undefined ? stored.attachment : thumbnailOf(stored.attachment, thumbnail)
    if (file === undefined) return yield* noAttachment
    const etag = `"${stored.sha256}${thumbnail === undefined ? "" : `-${thumbnail}`}"`
    const common = { ...fileHeaders(file, download), etag }
    if (isKnown(headers, etag)) return HttpServerResponse.empty({ status: 304, headers: common })
    const url = method === "GET" ? yield* attachments.storeUrl(stored, thumbnail, common) : undefined
    if (url !== undefined)
      return HttpServerResponse.redirect(url, { status: 307, headers: { "cache-control": "private, no-store" } })
    const range = rangeOf(headers, etag, file.size)
    if (range === null) {
      const none = { "content-range": `bytes */${file.size}` }
      return HttpServerResponse.empty({ status: 416, headers: none })
    }
    const { end, start } = range ?? { start: 0, end: file.size - 1 }
    const opened = attachments
      .read(stored, { range, thumbnail })
      .pipe(
        Effect.catchTag("NoBlob", ({ key }) =>
          Effect.andThen(Effect.logError("a file is not in the store", { key }), Effect.fail(noAttachment))
        )
      )
    const body = method === "HEAD" ? Stream.empty : yield* heavy.download(userId, opened)
    return HttpServerResponse.stream(body, {
      status: range === undefined ? 200 : 206,
      contentType: file.contentType,
      contentLength: end - start + 1,
      headers: { ...common, ...(range && { "content-range": `bytes ${start}-${end}/${file.size}` }) }
    })
  })

  return Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { attachmentId } = yield* Effect.mapError(HttpRouter.schemaPathParams(Params), invalidData)
    const { download, link, thumbnail } = yield* Effect.mapError(
      HttpServerRequest.schemaSearchParams(Query),
      invalidData
    )
    const seen =
      link === undefined
        ? yield* Effect.flatMap(admit(bearerOf(request.headers), request.headers[actAsHeader]), ({ userId }) =>
            Effect.map(attachments.get(userId, attachmentId), (stored) => ({ userId, stored }))
          )
        : yield* attachments.followed(attachmentId, link)
    return yield* send(request, seen, thumbnail, download === "1")
  })
})

/** The routes of the bytes of files, which only HTTP has. */
export const AttachmentRoutes = Layer.unwrap(
  Effect.gen(function* () {
    return Layer.mergeAll(
      HttpRouter.add("POST", "/v1/attachments", yield* makeUpload),
      HttpRouter.add("GET", "/v1/attachments/:attachmentId", yield* makeDownload)
    )
  })
)
