import { ByteSize, Effect, Schema, Stream } from "effect"
import { HttpIncomingMessage, HttpServerRequest, Multipart } from "effect/http"
import { InvalidRequest, invalid, type TooLarge, UnsupportedMediaType } from "../../domain/Problem.ts"
import { fileTooLarge } from "../../domain/Refusals.ts"
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

/** Browsers and curl escape in the name of a file what would end it in its header, and nothing else, not even `%`. */
const unescapeName = (name: string) => name.replaceAll(/%(?:0A|0D|22)/g, decodeURIComponent)

/** The file of a form: its name, its content as it comes, and the fields that came before it. */
export interface FileOfForm {
  readonly name: string
  readonly content: Stream.Stream<Uint8Array, InvalidRequest | TooLarge>
  readonly fields: ReadonlyMap<string, string>
}

/**
 * Makes the function that reads the field `file` of the form that a request has as its body. `store` gets it as it
 * comes, at most `limits.attachment_bytes`. What it stored is undone when the rest of the form fails: only the
 * end of the form shows that the file was not cut short.
 */
export const makeFileForm = Effect.map(Settings, ({ limits: { attachmentBytes } }) => {
  const tooLarge = fileTooLarge(attachmentBytes)
  const problemOf = ({ reason }: Multipart.MultipartError) =>
    reason._tag === "BodyTooLarge" || reason._tag === "FileTooLarge" ? tooLarge : unreadable

  return Effect.fnUntraced(function* <A, E, E2>(
    store: (file: FileOfForm) => Effect.Effect<A, E>,
    undo: (stored: A) => Effect.Effect<unknown, E2>
  ) {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { "content-length": length, "content-type": type = "" } = request.headers
    if (!/^multipart\/form-data\s*;/i.test(type)) return yield* notMultipart
    if (Number(length) > attachmentBytes + envelope) return yield* tooLarge
    const stored: Array<A> = []
    const fields = new Map<string, string>()
    const storePart = (part: Multipart.Part): Effect.Effect<void, E | InvalidRequest> => {
      if (part._tag === "Field") {
        fields.set(part.key, part.value)
        return Effect.void
      }
      if (part.key !== "file" || stored.length > 0) return Effect.fail(noFile)
      const content = Stream.mapError(part.content, problemOf)
      return Effect.map(store({ name: unescapeName(part.name), content, fields }), (each) => {
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
