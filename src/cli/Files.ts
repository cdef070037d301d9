import { openAsBlob } from "node:fs"
import { basename } from "node:path"
import { stderr } from "node:process"
import { Effect, FileSystem, Option, Stream } from "effect"
import { FetchHttpClient, HttpClient } from "effect/http"
import { Credentials } from "../client/Credentials.ts"
import { makeUploader } from "../client/files/Uploads.ts"
import { safeFileName } from "../domain/Attachment.ts"
import { CliFailure } from "./CliFailure.ts"

const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1)

/** Makes the function that shows on a terminal how far a transfer is. Elsewhere it shows nothing. */
const makeBar = (name: string, size: number) => {
  let shown = ""
  return (done: number) => {
    const text = `\r${safeFileName(name)}  ${megabytes(done)} of ${megabytes(size)} MB${done >= size ? "\n" : ""}`
    if (stderr.isTTY && text !== shown) stderr.write(text)
    shown = text
  }
}

/** Uploads a file of this machine to the service at `url`, to be sent. */
export const uploadFile = Effect.fnUntraced(function* (url: string, path: string) {
  const content = yield* Effect.tryPromise({
    try: () => openAsBlob(path),
    catch: () => new CliFailure({ message: `cannot read ${path}` })
  })
  const name = basename(path)
  return yield* makeUploader(url, yield* Credentials).upload({ name, content }, { onSent: makeBar(name, content.size) })
})

/** The name that the service gives a file (RFC 8187). */
const nameIn = (disposition = "") => {
  const [, encoded] = /filename\*=UTF-8''([^;]+)/i.exec(disposition) ?? []
  return encoded === undefined ? undefined : safeFileName(decodeURIComponent(encoded))
}

const failed = (what: string) => (error: { readonly message: string }) =>
  new CliFailure({ message: `${what}: ${error.message}` })

/** Saves what is at a URL under a name that no file has yet, by default its own, and returns the name. */
export const download = Effect.fnUntraced(
  function* (url: URL, path: Option.Option<string>) {
    const { headers, status, stream } = yield* Effect.mapError(HttpClient.get(url), failed("cannot get the file"))
    if (status !== 200) return yield* new CliFailure({ message: `cannot get the file: the service answers ${status}` })
    const name = Option.getOrElse(path, () => nameIn(headers["content-disposition"]) ?? "file")
    const show = makeBar(name, Number(headers["content-length"]))
    const files = yield* FileSystem.FileSystem
    const file = yield* Effect.mapError(files.open(name, { flag: "wx" }), failed(`cannot write ${name}`))
    let done = 0
    const write = (chunk: Uint8Array) =>
      Effect.map(file.writeAll(chunk), () => {
        done += chunk.length
        show(done)
      })
    yield* Stream.runForEach(stream, write).pipe(
      Effect.onError(() => Effect.ignore(files.remove(name))),
      Effect.mapError(failed(`cannot save ${name}`))
    )
    return name
  },
  Effect.scoped,
  Effect.provide(FetchHttpClient.layer)
)
