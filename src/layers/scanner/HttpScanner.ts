import { Effect, Layer, Stream } from "effect"
import { ScanFailed, Scanner } from "../../services/files/Scanner.ts"

const patience = "60 seconds"

/** The first line of what the scanner says, of a length for the log. */
const nameOf = (text: string) => text.split("\n", 1)[0]?.trim().slice(0, 100) || "unnamed"

/**
 * Scans with a server that gets the content as the body of a `POST`: 200 or 204 says that it finds nothing, and 406 that it
 * finds something, whose name is the first line of the answer.
 */
export const layer = (url: string) =>
  Layer.succeed(Scanner, {
    scan: Effect.fnUntraced(function* <E>(content: Stream.Stream<Uint8Array, E>) {
      const failures: Array<E> = []
      const body = yield* Stream.toReadableStreamEffect(
        Stream.tapError(content, (error) => Effect.sync(() => failures.push(error)))
      )
      const { status, text } = yield* Effect.tryPromise({
        try: async (signal) => {
          const headers = { "content-type": "application/octet-stream" }
          const answer = await fetch(url, { method: "POST", headers, body, duplex: "half", redirect: "manual", signal })
          return { status: answer.status, text: await answer.text() }
        },
        catch: (cause) => new ScanFailed({ reason: cause instanceof Error ? cause.message : String(cause) })
      }).pipe(
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.fail(new ScanFailed({ reason: `no answer within ${patience}` }))
        }),
        Effect.catch((error): Effect.Effect<never, E | ScanFailed> => {
          const [failure] = failures
          return failure === undefined ? Effect.fail(error) : Effect.fail(failure)
        })
      )
      if (status === 406) return nameOf(text)
      if (status === 200 || status === 204) return undefined
      return yield* new ScanFailed({ reason: `it has answered ${status}` })
    })
  })
