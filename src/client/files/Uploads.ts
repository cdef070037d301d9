import { Effect } from "effect"
import type { Attachment } from "../../domain/Attachment.ts"
import type { Problem } from "../../domain/Problem.ts"
import type { Credentials } from "../Credentials.ts"
import type { ConnectionLost, Refused } from "../Failures.ts"
import type { PendingFile, UploadEvents } from "./LocalFile.ts"
import { attachmentOf, makeSend, refusalOf, type Send } from "./Requests.ts"
import { endUpload, partSize, uploadInParts } from "./Resumable.ts"

/** Why a file was not uploaded. After `ConnectionLost` the service may have it, unsent, for a day. */
export type UploadError = Problem | ConnectionLost | Refused

/** Uploads a file. An interruption ends it. */
export type Upload = (file: PendingFile, events?: UploadEvents) => Effect.Effect<Attachment, UploadError>

/** Uploads files, and ends those uploads that nobody wants any longer. */
export interface Uploader {
  readonly upload: Upload
  /** Deletes what the service has of an upload that was begun. */
  readonly end: (upload: string) => Effect.Effect<void>
}

/** Uploads a file in one request. */
const uploadAtOnce = (send: Send, { content, name, waveform }: PendingFile, { onSent }: UploadEvents) =>
  Effect.gen(function* () {
    const body = new FormData()
    if (waveform !== undefined) body.append("waveform", JSON.stringify(waveform))
    body.append("file", content, name)
    const answer = yield* send({
      method: "POST",
      path: "/v1/attachments",
      headers: {},
      body,
      // The body is a little more than the file.
      ...(onSent !== undefined && { onSent: (bytes) => onSent(Math.min(bytes, content.size)) })
    })
    return yield* answer.status === 201 ? attachmentOf(answer) : refusalOf(answer)
  })

/** Makes what uploads files to the service at `url`, each once `ready` has succeeded: large ones in parts. */
export const makeUploader = (
  url: string,
  credentials: Credentials["Service"],
  ready: Effect.Effect<unknown, Refused> = Effect.void
): Uploader => {
  const send = makeSend(url, credentials)
  return {
    upload: (file, events = {}) =>
      Effect.andThen(ready, (file.content.size > partSize ? uploadInParts : uploadAtOnce)(send, file, events)),
    end: (upload) => endUpload(send, upload)
  }
}
