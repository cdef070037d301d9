import type { Effect } from "effect"
import type { Waveform } from "../../domain/Attachment.ts"

/** A file by its name and content. A voice note can have a waveform: how loud it is, as 64 whole numbers from 0 to 100. */
export interface NamedFile {
  readonly name: string
  readonly bytes: Blob | Uint8Array
  readonly waveform?: Waveform
}

/** A file of this device: a `File` or a `Blob`, or its name and content. Node opens one with `openAsBlob` of `node:fs`. */
export type FileSource = Blob | NamedFile

/** A file of which only a stream is there. All of it is read before it is uploaded. */
export interface StreamSource {
  readonly name: string
  readonly waveform?: Waveform
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>
}

/**
 * A file that belongs to a message and is uploaded before it. `attachment` is there once the service has it. `upload` is the
 * path of the upload that was begun, for a file that is uploaded in parts.
 */
export interface PendingFile {
  readonly name: string
  readonly waveform?: Waveform
  readonly content: Blob
  readonly upload?: string
  readonly attachment?: { readonly id: string; readonly contentType: string }
}

/** What is told of an upload while it is under way. */
export interface UploadEvents {
  /** Is called with the number of bytes that were sent so far. */
  readonly onSent?: (bytes: number) => void
  /** Gets the `upload` of a file that is uploaded in parts: with it, another client can go on. */
  readonly onBegun?: (upload: string) => Effect.Effect<void>
}

/** How much of an upload was sent, in bytes. */
export interface UploadProgress {
  readonly sent: number
  readonly size: number
}

/** The name of a `File`; a plain `Blob` has none. */
const nameOf = (blob: Blob) => ("name" in blob && typeof blob.name === "string" ? blob.name : "file")

/** What describes a file besides its name and content. */
export const factsOf = ({ waveform }: Pick<PendingFile, "waveform">): Pick<PendingFile, "waveform"> =>
  waveform === undefined ? {} : { waveform }

/** Makes the form in which the client keeps and uploads a file. */
export const pendingFile = (source: FileSource): PendingFile => {
  if (source instanceof Blob) return { name: nameOf(source), content: source }
  const { bytes, name } = source
  return { ...factsOf(source), name, content: bytes instanceof Blob ? bytes : new Blob([Uint8Array.from(bytes)]) }
}

/** Does the same for a file that may have to be read from a stream first. */
export const readFile = async (source: FileSource | StreamSource): Promise<PendingFile> =>
  "stream" in source && !(source instanceof Blob)
    ? { ...factsOf(source), name: source.name, content: await new Response(source.stream).blob() }
    : pendingFile(source)
