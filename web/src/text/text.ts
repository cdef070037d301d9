import { en, type Text } from "./en.ts"

/** The words of the page in the language of the user. */
export const text: Text = en
