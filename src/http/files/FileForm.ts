import { ByteSize, Effect, Schema, Stream } from "effect"
import { HttpIncomingMessage, HttpServerRequest, Multipart } from "effect/http"
import { InvalidRequest, invalid, TooLarge, UnsupportedMediaType } from "../../domain/Problem.ts"
import { Settings } from "../../services/platform/Settings.ts"

/** How many bytes a body may have around its file, and how many parts: browsers send a few fields before it. */
const envelope = 8192
const maxParts = 8

const notMultipart = new UnsupportedMediaType({ detail: "the content type must be multipart/form-data" })
const noFile = invalid("file", "must be there once: send the file as the field named file, with a file name")
const unreadable = new InvalidRequest({
  detail: "the body is not valid multipart/form-data",
  errors: [{ path: "", message: "is not valid multipart/form-data" }]
})

/** One of some sizes in pixels, as a query has it. */
export const oneOfSizes = <const Sizes extends ReadonlyArray<number>>(sizes: Sizes) =>
  Schema.NumberFromString.pipe(Schema.decodeTo(Schema.Literals(sizes)))

/**
 * Makes the function that reads the field `file` of the form that a request has as its body. `store` gets its name and its
 * content as it comes, at most `limits.attachment_bytes`. What it stored is undone when the rest of the form fails: only the
 * end of the form shows that the file was not cut short.
 */
export const makeFileForm = Effect.map(Settings, ({ limits: { attachmentBytes } }) => {
  const tooLarge = new TooLarge({ detail: `the file must have at most ${attachmentBytes} bytes` })
  const problemOf = ({ reason }: Multipart.MultipartError) =>
    reason._tag === "BodyTooLarge" || reason._tag === "FileTooLarge" ? tooLarge : unreadable

  return Effect.fnUntraced(function* <A, E, E2>(
    store: (name: string, content: Stream.Stream<Uint8Array, InvalidRequest | TooLarge>) => Effect.Effect<A, E>,
    undo: (stored: A) => Effect.Effect<unknown, E2>
  ) {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { "content-length": length, "content-type": type = "" } = request.headers
    if (!/^multipart\/form-data\s*;/i.test(type)) return yield* notMultipart
    if (Number(length) > attachmentBytes + envelope) return yield* tooLarge
    const stored: Array<A> = []
    const storePart = (part: Multipart.Part): Effect.Effect<void, E | InvalidRequest> => {
      if (part._tag === "Field") return Effect.void
      if (part.key !== "file" || stored.length > 0) return Effect.fail(noFile)
      return Effect.map(store(part.name, Stream.mapError(part.content, problemOf)), (each) => {
        stored.push(each)
      })
    }
    yield* request.multipartStream.pipe(
      Stream.mapError(problemOf),
      Stream.runForEach(storePart),
      Effect.onError(() => Effect.ignore(Effect.forEach(stored, undo))),
      Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(attachmentBytes + envelope)),
      Effect.provideService(Multipart.MaxParts, maxParts),
      Effect.provideService(Multipart.MaxFieldSize, ByteSize.bytes(envelope))
    )
    const [file] = stored
    return file === undefined ? yield* noFile : file
  })
})
