import { Data } from "effect"
import { ConnectionLost } from "../client/Failures.ts"

/** A failure that the user at the terminal can do something about; the message is one line. */
export class CliFailure extends Data.TaggedError("CliFailure")<{ readonly message: string }> {}

/** The error that has led to all others, such as a connection that the other side refused. */
const firstOf = (error: Error): Error => {
  const cause: unknown = error instanceof AggregateError ? error.errors[0] : error.cause
  return cause instanceof Error ? firstOf(cause) : error
}

/** A failure in words. Without an answer of the service, it also says why there was none. */
export const wordsOf = (failure: Error): string => {
  const { message } = firstOf(failure)
  return failure instanceof ConnectionLost && message !== failure.message
    ? `The service does not answer: ${message}`
    : failure.message
}
