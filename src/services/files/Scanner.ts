import { Context, Effect, Schema, type Stream } from "effect"
import { type InvalidRequest, invalid, Unavailable } from "../../domain/Problem.ts"
import { Settings } from "../platform/Settings.ts"

/** The scanner did not say whether the content is harmless. The reason is for the log. */
export class ScanFailed extends Schema.TaggedError<ScanFailed>()("ScanFailed", { reason: Schema.String }) {}

/** What looks for malware in the content of files, outside of the service. */
interface ScannerShape {
  /**
   * Looks through all of the content, as it comes. Returns the name that the scanner gives to what it has found, and
   * undefined for content in which it finds nothing.
   */
  readonly scan: <E>(content: Stream.Stream<Uint8Array, E>) => Effect.Effect<string | undefined, E | ScanFailed>
}

/** The scanner. It reads nothing and finds nothing unless a layer is given. */
export const Scanner = Context.Reference<ScannerShape>("chat/services/Scanner", {
  defaultValue: () => ({ scan: () => Effect.succeed(undefined) })
})

const unchecked = new Unavailable({ detail: "Files cannot be checked for malware right now" })

/**
 * Makes the check of an uploaded file: `InvalidRequest` when the scanner finds something in it. A file that cannot be
 * scanned is accepted or `Unavailable`, as `files.scanner_on_error` says.
 */
export const makeScan = Effect.gen(function* () {
  const { scan } = yield* Scanner
  const { scannerOnError } = (yield* Settings).files
  const unscanned = ({ reason }: ScanFailed) =>
    Effect.andThen(
      Effect.logError("a file was not scanned", { reason, onError: scannerOnError }),
      scannerOnError === "accept" ? Effect.succeed(undefined) : Effect.fail(unchecked)
    )
  return (content: Stream.Stream<Uint8Array, Unavailable>): Effect.Effect<void, InvalidRequest | Unavailable> =>
    scan(content).pipe(
      Effect.catchTag("ScanFailed", unscanned),
      Effect.flatMap((found) =>
        found === undefined
          ? Effect.void
          : Effect.andThen(
              Effect.logWarning("the scanner has found something in a file", { found }),
              Effect.fail(invalid("file", "is refused by the scanner of this service"))
            )
      )
    )
})
