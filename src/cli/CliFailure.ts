import { Data } from "effect"

/** A failure that the user at the terminal can do something about; the message is one line. */
export class CliFailure extends Data.TaggedError("CliFailure")<{ readonly message: string }> {}
