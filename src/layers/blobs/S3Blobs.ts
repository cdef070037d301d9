import { Readable } from "node:stream"
import * as NodeStream from "@effect/platform-node/NodeStream"
import { Effect, Layer, Redacted, Stream } from "effect"
import type { Unavailable } from "../../domain/Problem.ts"
import { filesUnavailable } from "../../domain/Refusals.ts"
import { type BlobHeaders, Blobs, NoBlob } from "../../services/files/Blobs.ts"
import type { SettingsShape } from "../../services/platform/Settings.ts"

type S3Settings = NonNullable<SettingsShape["s3"]>

/** The size of a part of an upload, the least that S3 takes. One part at a time is in memory. */
const partSize = 5 * 1024 * 1024

/** How many blobs are deleted at a time. */
const removals = 8

/** How long a request may take to answer, and a connection to be made, in milliseconds. */
const patience = { requestTimeout: 10_000, connectionTimeout: 2000 }

const wordsOf = (cause: unknown) => (cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause))

/** Logs why the store refused, and answers that it does not work. */
const unavailable = (cause: unknown) =>
  Effect.andThen(
    Effect.logError("the store of files does not answer", { reason: wordsOf(cause) }),
    Effect.fail(filesUnavailable)
  )

const isMissing = (cause: unknown) => cause instanceof Error && /^(NoSuchKey|NotFound)$/.test(cause.name)

/** A client of the SDK, which is loaded here, because it is large. It lives as long as the scope. */
const makeClient = Effect.fnUntraced(function* ({
  accessKeyId,
  endpoint,
  forcePathStyle,
  region,
  secretAccessKey
}: S3Settings) {
  const s3 = yield* Effect.promise(() => import("@aws-sdk/client-s3"))
  const { Upload } = yield* Effect.promise(() => import("@aws-sdk/lib-storage"))
  const config = {
    region,
    forcePathStyle,
    maxAttempts: 2,
    requestHandler: patience,
    // Not every store knows the checksums of newer versions of the protocol.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(endpoint !== undefined && { endpoint }),
    ...(accessKeyId !== undefined &&
      secretAccessKey !== undefined && {
        credentials: { accessKeyId, secretAccessKey: Redacted.value(secretAccessKey) }
      })
  } as const
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new s3.S3Client(config)),
    (open) => Effect.sync(() => open.destroy())
  )
  return { s3, Upload, client }
})

type Client = Effect.Success<ReturnType<typeof makeClient>>

const ask = <A>(request: (signal: AbortSignal) => Promise<A>) =>
  Effect.tryPromise({ try: request, catch: (cause) => cause })

const makeWrite = ({ client, s3, Upload }: Client, bucket: string): Blobs["Service"]["write"] =>
  Effect.fnUntraced(function* <E>(key: string, content: Stream.Stream<Uint8Array, E>) {
    const failures: Array<E> = []
    let size = 0
    const observed = content.pipe(
      Stream.tap((chunk) =>
        Effect.sync(() => {
          size += chunk.length
        })
      ),
      Stream.tapError((error) => Effect.sync(() => failures.push(error)))
    )
    const body = Readable.from(yield* Stream.toAsyncIterableEffect(observed))
    const upload = new Upload({ client, params: { Bucket: bucket, Key: key, Body: body }, partSize, queueSize: 1 })
    yield* ask(() => upload.done()).pipe(
      Effect.onInterrupt(() => Effect.ignore(Effect.tryPromise(() => upload.abort()))),
      Effect.ensuring(Effect.sync(() => body.destroy())),
      Effect.catch((cause): Effect.Effect<never, E | Unavailable> => {
        const [failure] = failures
        return failure === undefined ? unavailable(cause) : Effect.fail(failure)
      })
    )
    const { ContentLength } = yield* Effect.catch(
      ask((abortSignal) => client.send(new s3.HeadObjectCommand({ Bucket: bucket, Key: key }), { abortSignal })),
      unavailable
    )
    if (ContentLength !== size) return yield* unavailable(new Error("it has kept another number of bytes"))
  })

const makeRead = ({ client, s3 }: Client, bucket: string): Blobs["Service"]["read"] =>
  Effect.fnUntraced(function* (key, range) {
    const part = range && `bytes=${range.start}-${range.end}`
    const { Body, ContentLength } = yield* ask((abortSignal) =>
      client.send(new s3.GetObjectCommand({ Bucket: bucket, Key: key, Range: part }), { abortSignal })
    ).pipe(
      Effect.catch(
        (cause): Effect.Effect<never, NoBlob | Unavailable> =>
          isMissing(cause) ? Effect.fail(new NoBlob({ key })) : unavailable(cause)
      )
    )
    if (!(Body instanceof Readable)) return yield* unavailable(new Error("it has sent no content"))
    if (range !== undefined && ContentLength !== range.end - range.start + 1) {
      Body.destroy()
      return yield* unavailable(new Error("it has sent another part than it was asked for"))
    }
    return NodeStream.fromReadable<Uint8Array, unknown>({ evaluate: () => Body, onError: (cause) => cause }).pipe(
      Stream.catch((cause) => Stream.fromEffect(unavailable(cause)))
    )
  })

/** How long a URL of a blob can be used, in seconds. */
const presignedSeconds = 60

/** Makes the function that signs URLs of blobs, for which more of the SDK is loaded. */
const makePresign = Effect.fnUntraced(function* ({ client, s3 }: Client, bucket: string) {
  const { getSignedUrl } = yield* Effect.promise(() => import("@aws-sdk/s3-request-presigner"))
  return (key: string, headers: BlobHeaders) => {
    const request = new s3.GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ResponseContentType: headers["content-type"],
      ResponseContentDisposition: headers["content-disposition"],
      ResponseCacheControl: "private, no-store"
    })
    return Effect.catch(
      ask(() => getSignedUrl(client, request, { expiresIn: presignedSeconds })),
      unavailable
    )
  }
})

/** Blobs in a bucket of S3, or of a store that speaks its protocol. */
export const layer = (settings: S3Settings) =>
  Layer.effect(
    Blobs,
    Effect.gen(function* () {
      const { bucket, endpoint, region } = settings
      const made = yield* makeClient(settings)
      const { client, s3 } = made
      /** A request for each, because stores differ in how many keys they take in one. */
      const remove = (key: string) =>
        ask(() => client.send(new s3.DeleteObjectCommand({ Bucket: bucket, Key: key }))).pipe(
          Effect.catch((cause) => (isMissing(cause) ? Effect.void : unavailable(cause)))
        )
      return Blobs.of({
        place: `s3 ${endpoint ?? region} ${bucket}`,
        write: makeWrite(made, bucket),
        ...(settings.presigned && { presign: yield* makePresign(made, bucket) }),
        read: makeRead(made, bucket),
        remove: (keys) => Effect.forEach(keys, remove, { discard: true, concurrency: removals }),
        // There is no such object, and who may not list the bucket is not even told that.
        probe: ask((abortSignal) =>
          client.send(new s3.HeadObjectCommand({ Bucket: bucket, Key: "probe" }), { abortSignal })
        ).pipe(
          Effect.asVoid,
          Effect.catch((cause) => (isMissing(cause) ? Effect.void : Effect.fail(cause))),
          Effect.mapError((cause) => ({ message: `the bucket ${bucket} does not answer (${wordsOf(cause)})` }))
        )
      })
    })
  )
