import keywords from "emojilib/dist/emoji-en-US.json" with { type: "json" }
import byGroup from "unicode-emoji-json/data-by-group.json" with { type: "json" }
import { text } from "../text/text.ts"

const groupNames: Readonly<Record<string, string>> = {
  smileys_emotion: text.smileys,
  people_body: text.bodies,
  animals_nature: text.nature,
  food_drink: text.food,
  travel_places: text.places,
  activities: text.activities,
  objects: text.objects,
  symbols: text.symbols,
  flags: text.flags
}

/** All emoji, group by group, in the order of Unicode. */
export const groups: ReadonlyArray<{ readonly name: string; readonly emoji: ReadonlyArray<string> }> = byGroup.map(
  ({ emojis, name, slug }) => ({ name: groupNames[slug] ?? name, emoji: emojis.map(({ emoji }) => emoji) })
)

const names: Readonly<Record<string, ReadonlyArray<string>>> = keywords

/** What an emoji is called, such as "rocket". */
export const nameOf = (emoji: string): string => names[emoji]?.[0]?.replaceAll("_", " ") ?? emoji

/** The emoji with a keyword for each of the words, those first that have the words in their own name. */
export const matching = (words: string): ReadonlyArray<string> => {
  const wanted = words.split(/\s+/)
  const found = groups.flatMap(({ emoji }) =>
    emoji.filter((one) =>
      wanted.every((word) => names[one]?.some((name) => name.split("_").some((part) => part.startsWith(word))))
    )
  )
  const isNamed = (one: string) => wanted.every((word) => names[one]?.[0]?.includes(word) === true)
  return [...found.filter(isNamed), ...found.filter((one) => !isNamed(one))]
}
