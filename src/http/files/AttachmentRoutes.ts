import { ByteSize, Effect, Layer, Schema, SchemaGetter, Stream } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse, Multipart } from "effect/http"
import { Attachment } from "../../domain/Attachment.ts"
import { AttachmentId } from "../../domain/Ids.ts"
import { InvalidRequest, invalid, invalidData, TooLarge, UnsupportedMediaType } from "../../domain/Problem.ts"
import { noAttachment } from "../../domain/Refusals.ts"
import { actAsHeader } from "../../operations/Callers.ts"
import { Attachments, type StoredAttachment } from "../../services/files/Attachments.ts"
import { type ThumbnailSize, thumbnailSizes } from "../../services/files/Images.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { bearerOf, makeAdmission } from "../edge/Admission.ts"
import { fileHeaders, isKnown, rangeOf } from "./FileHeaders.ts"

/** How many bytes a body may have around its file, and how many parts: browsers send a few fields before it. */
const envelope = 8192
const maxParts = 8

const notMultipart = new UnsupportedMediaType({ detail: "the content type must be multipart/form-data" })
const noFile = invalid("file", "must be there once: send the file as the field named file, with a file name")
const unreadable = new InvalidRequest({
  detail: "the body is not valid multipart/form-data",
  errors: [{ path: "", message: "is not valid multipart/form-data" }]
})

const Params = Schema.Struct({ attachmentId: AttachmentId })
const ThumbnailQuery = Schema.Literals(["320", "1280"]).pipe(
  Schema.decodeTo(Schema.Literals(thumbnailSizes), {
    decode: SchemaGetter.transform((text) => (text === "320" ? 320 : 1280)),
    encode: SchemaGetter.transform((size) => (size === 320 ? "320" : "1280"))
  })
)
const Query = Schema.Struct({
  download: Schema.optionalKey(Schema.Literals(["0", "1"])),
  link: Schema.optionalKey(Schema.String),
  thumbnail: Schema.optionalKey(ThumbnailQuery)
})

const encode = Schema.encodeSync(Attachment)

/** Serves `POST /v1/attachments`: the field `file` of a form is stored as it comes. */
const makeUpload = Effect.gen(function* () {
  const admit = yield* makeAdmission
  const attachments = yield* Attachments
  const { attachmentBytes } = (yield* Settings).limits
  const tooLarge = new TooLarge({ detail: `the file must have at most ${attachmentBytes} bytes` })
  const problemOf = ({ reason }: Multipart.MultipartError) =>
    reason._tag === "BodyTooLarge" || reason._tag === "FileTooLarge" ? tooLarge : unreadable

  return Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { userId } = yield* admit(bearerOf(request.headers), request.headers[actAsHeader])
    const { "content-length": length, "content-type": type = "" } = request.headers
    if (!/^multipart\/form-data\s*;/i.test(type)) return yield* notMultipart
    if (Number(length) > attachmentBytes + envelope) return yield* tooLarge
    let uploaded: Attachment | undefined
    const store = (part: Multipart.Part) => {
      if (part._tag === "Field") return Effect.void
      if (part.key !== "file" || uploaded !== undefined) return Effect.fail(noFile)
      const content = Stream.mapError(part.content, problemOf)
      return Effect.map(attachments.upload(userId, part.name, content), (attachment) => {
        uploaded = attachment
      })
    }
    // Only the end of the form shows that the file was not cut short.
    yield* request.multipartStream.pipe(
      Stream.mapError(problemOf),
      Stream.runForEach(store),
      Effect.onError(() =>
        uploaded === undefined ? Effect.void : Effect.ignore(attachments.discard(userId, uploaded.id))
      ),
      Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(attachmentBytes + envelope)),
      Effect.provideService(Multipart.MaxParts, maxParts),
      Effect.provideService(Multipart.MaxFieldSize, ByteSize.bytes(envelope))
    )
    if (uploaded === undefined) return yield* noFile
    return HttpServerResponse.jsonUnsafe(encode(uploaded), { status: 201 })
  })
})

/** A thumbnail as a file; undefined when the attachment has none of that size. */
const thumbnailOf = ({ name, thumbnails }: Attachment, size: ThumbnailSize) => {
  const found = thumbnails.find(({ url }) => url.endsWith(`thumbnail=${size}`))
  return found && { name: `${name}.webp`, contentType: "image/webp", size: found.size }
}

/** Serves `GET` and `HEAD /v1/attachments/{id}` for the user of the access token, or of the link. */
const makeDownload = Effect.gen(function* () {
  const admit = yield* makeAdmission
  const attachments = yield* Attachments

  const send = Effect.fnUntraced(function* (
    { headers, method }: HttpServerRequest.HttpServerRequest,
    stored: StoredAttachment,
    thumbnail: ThumbnailSize | undefined,
    download: boolean
  ) {
    const file = thumbnail === undefined ? stored.attachment : thumbnailOf(stored.attachment, thumbnail)
    if (file === undefined) return yield* noAttachment
    const etag = `"${stored.sha256}${thumbnail === undefined ? "" : `-${thumbnail}`}"`
    const common = { ...fileHeaders(file, download), etag }
    if (isKnown(headers, etag)) return HttpServerResponse.empty({ status: 304, headers: common })
    const range = rangeOf(headers, etag, file.size)
    if (range === null) {
      const none = { "content-range": `bytes */${file.size}` }
      return HttpServerResponse.empty({ status: 416, headers: none })
    }
    const { end, start } = range ?? { start: 0, end: file.size - 1 }
    const body =
      method === "HEAD"
        ? Stream.empty
        : yield* attachments
            .read(stored, { range, thumbnail })
            .pipe(
              Effect.catchTag("NoBlob", ({ key }) =>
                Effect.andThen(Effect.logError("a file is not in the store", { key }), Effect.fail(noAttachment))
              )
            )
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
    const stored =
      link === undefined
        ? yield* Effect.flatMap(admit(bearerOf(request.headers), request.headers[actAsHeader]), ({ userId }) =>
            attachments.get(userId, attachmentId)
          )
        : yield* attachments.followed(attachmentId, link)
    return yield* send(request, stored, thumbnail, download === "1")
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
