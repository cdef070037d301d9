import { Schema, SchemaGetter } from "effect"

let one: RegExp | undefined

/** Whether a text is one emoji. The expression takes ten milliseconds to make, which no start should wait for. */
const isOne = (text: string) => {
  one ??= /^\p{RGI_Emoji}$/v
  return one.test(text)
}

/** Asks for the emoji form of the character before it. Some keyboards omit it, and some add it where it is not needed. */
const variation = "\uFE0F"

/** A character that is shown as text unless a variation selector or a skin tone follows. */
const needsVariation = /(?!\p{Emoji_Presentation})\p{Emoji}(?!\p{Emoji_Modifier})/gu

/** The fully qualified form of an emoji, with each variation selector that it needs and no other. */
const canonical = (text: string) =>
  text.normalize("NFC").replaceAll(variation, "").replaceAll(needsVariation, `$&${variation}`)

/**
 * Exactly one emoji with its modifiers, that is, one grapheme. Decoding brings it to its standard form, so that equal
 * emoji are equal texts.
 */
export const Emoji = Schema.String.check(Schema.isMaxLength(64)).pipe(
  Schema.decode({ decode: SchemaGetter.transform(canonical), encode: SchemaGetter.passthrough() }),
  Schema.check(Schema.makeFilter(isOne, { message: "must be one emoji" })),
  Schema.brand("Emoji")
)
export type Emoji = typeof Emoji.Type
