import { Context, Effect, Layer, Schema } from "effect"

/** Key documents have a few kB. The bound keeps a wrong address from filling the memory. */
const mostBytes = 256 * 1024

/** How long a document may take to arrive. */
const patience = "5 seconds"

/** A document of keys cannot be had. `reason` is for the log, and has nothing of the answer in it. */
export class KeysUnavailable extends Schema.TaggedError<KeysUnavailable>()("KeysUnavailable", {
  reason: Schema.String
}) {}

/** Reads a body of at most `mostBytes`. */
const readText = async (response: Response) => {
  const parts: Array<Uint8Array> = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > mostBytes) throw new KeysUnavailable({ reason: `the document has more than ${mostBytes} bytes` })
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

/** The words for a failure of `fetch`, whose own message only says that it failed. */
const reasonOf = (cause: unknown): string => {
  if (!(cause instanceof Error)) return "the request failed"
  const inner = cause.cause
  if (!(inner instanceof Error)) return cause.message
  return "code" in inner && typeof inner.code === "string" ? inner.code : inner.message
}

/** Fetches the documents of keys (RFC 7517) that issuers publish. */
export class KeyDocuments extends Context.Service<
  KeyDocuments,
  {
    /** The JSON at this address. It is read within bounds of time and size, and redirects are not followed. */
    readonly fetch: (uri: string) => Effect.Effect<unknown, KeysUnavailable>
  }
>()("chat/services/KeyDocuments") {
  /** Documents over HTTP. */
  static readonly layer = Layer.succeed(KeyDocuments, {
    fetch: (uri) =>
      Effect.tryPromise({
        try: async (signal) => {
          const response = await fetch(uri, { signal, redirect: "error", headers: { accept: "application/json" } })
          if (response.status !== 200) throw new KeysUnavailable({ reason: `the answer has status ${response.status}` })
          return await readText(response)
        },
        catch: (cause) => (cause instanceof KeysUnavailable ? cause : new KeysUnavailable({ reason: reasonOf(cause) }))
      }).pipe(
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.fail(new KeysUnavailable({ reason: `no answer within ${patience}` }))
        }),
        Effect.flatMap((text) =>
          Effect.try({
            try: (): unknown => JSON.parse(text),
            catch: () => new KeysUnavailable({ reason: "the document is no JSON" })
          })
        )
      )
  })
}
