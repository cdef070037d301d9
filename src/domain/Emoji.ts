import { Schema, SchemaGetter } from "effect"

const one = /^\p{RGI_Emoji}$/v
/** Says that the character before it is an emoji, which some keyboards leave out and some add for nothing. */
const variation = "\uFE0F"

const canonical = (text: string) => {
  const normal = text.normalize("NFC")
  return [normal, normal + variation, normal.replaceAll(variation, "")].find((form) => one.test(form)) ?? normal
}

/** Exactly one emoji of any kind, with its modifiers: one grapheme. The same emoji is the same text. */
export const Emoji = Schema.String.check(Schema.isMaxLength(64)).pipe(
  Schema.decode({ decode: SchemaGetter.transform(canonical), encode: SchemaGetter.passthrough() }),
  Schema.check(Schema.isPattern(one, { message: "must be one emoji" })),
  Schema.brand("Emoji")
)
export type Emoji = typeof Emoji.Type
