import { Effect, Queue } from "effect"
import type { MessageType } from "../../domain/Message.ts"
import type { PendingMessage } from "../state/State.ts"
import { factsOf, type PendingFile, type UploadProgress } from "./LocalFile.ts"
import type { Upload, UploadError } from "./Uploads.ts"

type Attached = NonNullable<PendingMessage["attachments"]>[number]

const isFile = (one: Attached): one is PendingFile => typeof one !== "string"
const filesOf = ({ attachments = [] }: PendingMessage) => attachments.filter(isFile)

const changeFiles = (message: PendingMessage, change: (file: PendingFile) => PendingFile): PendingMessage =>
  message.attachments === undefined
    ? message
    : { ...message, attachments: message.attachments.map((one) => (isFile(one) ? change(one) : one)) }

/** The uploads of files of the message that were begun and are not complete. */
export const begunUploads = (message: PendingMessage): ReadonlyArray<string> =>
  filesOf(message).flatMap(({ attachment, upload }) =>
    attachment === undefined && upload !== undefined ? [upload] : []
  )

/** Whether the service has a file of the message already, or had it: it deletes one that is not sent within a day. */
export const hasUploaded = (message: PendingMessage) =>
  filesOf(message).some(({ attachment }) => attachment !== undefined)

/** The message with all of its files still to be uploaded. */
export const withoutUploads = (message: PendingMessage) =>
  changeFiles(message, (file) => ({ ...factsOf(file), name: file.name, content: file.content }))

/** The type of a message with files of these content types: that of all of them, or `file`. */
export const messageTypeOf = (contentTypes: ReadonlyArray<string | undefined>): MessageType =>
  (["image", "video", "audio"] as const).find((type) =>
    contentTypes.every((contentType) => contentType?.startsWith(`${type}/`) === true)
  ) ?? "file"

/**
 * The data of the command that sends a message whose files are uploaded. Without a type of its own, a message has that of
 * its files.
 */
export const commandOf = (message: PendingMessage) => {
  const { attachments, senderId: _, ...data } = message
  if (attachments === undefined) return data
  const contentTypes = attachments.map((one) => (isFile(one) ? one.attachment?.contentType : undefined))
  return {
    ...(filesOf(message).length > 0 && { type: messageTypeOf(contentTypes) }),
    ...data,
    attachments: attachments.map((one) => (isFile(one) ? one.attachment?.id : one))
  }
}

/** Progress is told at most this often. */
const pause = "100 millis"

/** Runs an upload, and reports meanwhile how many bytes it has sent. */
const reported = <A, E>(
  run: (onSent: (bytes: number) => void) => Effect.Effect<A, E>,
  report: (sent: number) => Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const sent = yield* Queue.sliding<number>(1)
    const reports = Queue.take(sent).pipe(Effect.flatMap(report), Effect.andThen(Effect.sleep(pause)), Effect.forever)
    return yield* Effect.raceFirst(
      run((bytes) => void Queue.offerUnsafe(sent, bytes)),
      reports
    )
  })

/**
 * Uploads the files of a message that are not uploaded yet, one after another, and returns the message with all of them.
 * `keep` gets the message after each one, so that none is uploaded twice, and when one in parts was begun, and `report` how
 * much of all of them was sent.
 */
export const uploadFiles = (
  message: PendingMessage,
  upload: Upload,
  keep: (message: PendingMessage) => Effect.Effect<void>,
  report: (uploaded: UploadProgress) => Effect.Effect<void>
): Effect.Effect<PendingMessage, UploadError> =>
  Effect.gen(function* () {
    const files = filesOf(message)
    const size = files.reduce((sum, { content }) => sum + content.size, 0)
    let current = message
    let before = 0
    for (const file of files) {
      const done = before
      let held = file
      const change = (next: PendingFile) => {
        current = changeFiles(current, (one) => (one === held ? next : one))
        held = next
        return keep(current)
      }
      if (file.attachment === undefined) {
        const onBegun = (path: string) => change({ ...file, upload: path })
        const run = (onSent: (bytes: number) => void) => upload(file, { onSent, onBegun })
        const { contentType, id } = yield* reported(run, (bytes) => report({ sent: done + bytes, size }))
        yield* change({ ...file, attachment: { id, contentType } })
      }
      before += file.content.size
    }
    return current
  })
