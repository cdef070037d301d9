import { Data } from "effect"

/** Something that the person at the keyboard can change, said in one line. */
export class CliFailure extends Data.TaggedError("CliFailure")<{ readonly message: string }> {}
