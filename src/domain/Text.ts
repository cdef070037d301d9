import { Schema } from "effect"

/** Text that PostgreSQL can hold and every client can show: no NUL and no lone surrogate. */
export const Text = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text.includes("\u0000")
      ? "must not contain a NUL character"
      : text.isWellFormed()
        ? undefined
        : "must be well-formed Unicode"
  )
)

/** Longer than any allowed one, and short enough to be normalised: that takes time by the square of the length. */
export const Password = Text.check(Schema.isMaxLength(1024))

/** An absolute http(s) URL of at most 2,048 characters, or null. */
export const Url = Text.check(
  Schema.isMaxLength(2048),
  Schema.isPattern(/^https?:\/\/[^\s]+$/, { message: "must be an http or https URL" })
)

/** Whether a text has more than `max` characters (code points), counted only when it could be. */
export const longerThan = (text: string, max: number) => text.length > max && [...text].length > max
