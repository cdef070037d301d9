import { Schema } from "effect"

/** Text that PostgreSQL can store and every client can show: it has no NUL character and no lone surrogates. */
export const Text = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text.includes("\u0000")
      ? "must not contain a NUL character"
      : text.isWellFormed()
        ? undefined
        : "must be well-formed Unicode"
  )
)

/** A character that readers see: no white space, no control or format character, no combining mark, and no blank glyph. */
const visible = /[^\p{White_Space}\p{Cc}\p{Cf}\p{M}\p{Default_Ignorable_Code_Point}\u2800\u{1d159}]/u

/** Whether a text has at least one character that readers see. */
export const isVisible = (text: string): boolean => visible.test(text)

/** Text with at least one character that readers see. It may have several lines. */
export const VisibleText = Text.check(
  Schema.makeFilter((text: string) => (isVisible(text) ? undefined : "must not be empty"))
)

/** Characters that break a line, that control a device, or that reorder the text around them. */
const unruly = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u

/**
 * A name or a title: one visible line, which cannot change how the text around it is shown. Names in any script are
 * fine, also with joiners and with the marks U+200E and U+200F.
 */
export const Name = VisibleText.check(
  Schema.makeFilter((text: string) =>
    unruly.test(text) ? "must not contain line breaks, control characters or characters that reorder text" : undefined
  )
)

/**
 * A password as it is received. The bound is above every limit that the settings allow; it is there because normalizing
 * text takes time that grows with the square of its length.
 */
export const Password = Text.check(Schema.isMaxLength(1024))

/** Whether a text has more than `max` characters (code points). They are only counted if the text could have that many. */
export const longerThan = (text: string, max: number) => text.length > max && [...text].length > max
