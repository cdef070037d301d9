import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import S3rver from "@20minutes/s3rver"
import { Effect, Redacted } from "effect"

const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-s3-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A store that speaks the protocol of S3, with the bucket `chat`, and the settings to use it. It keeps files in a directory. */
export const startS3In = Effect.fnUntraced(function* (directory: string, allowMismatchedSignatures = false) {
  const server = new S3rver({
    port: 0,
    address: "127.0.0.1",
    silent: true,
    allowMismatchedSignatures,
    directory,
    configureBuckets: [{ name: "chat", configs: [] }]
  })
  const { port } = yield* Effect.acquireRelease(
    Effect.promise(() => server.run()),
    () => Effect.promise(() => server.close())
  )
  return {
    bucket: "chat",
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    accessKeyId: "S3RVER",
    secretAccessKey: Redacted.make("S3RVER"),
    forcePathStyle: true,
    presigned: false
  }
})

/** The same in a directory of its own, which is removed with the scope. */
export const startS3 = Effect.flatMap(temporary, (directory) => startS3In(directory))

/**
 * The same, which believes every signature: s3rver finds that of a presigned URL wrong when the URL has one of the
 * characters !'()*, which AWS escapes and s3rver does not.
 */
export const startLaxS3 = Effect.flatMap(temporary, (directory) => startS3In(directory, true))
