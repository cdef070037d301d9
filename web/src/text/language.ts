import { i18n } from "@lingui/core"
import { isLanguage, type Language, languages } from "./languages.ts"

const key = "chat-service.language"

/** The language that was chosen in this browser; empty when it follows the settings of the browser. */
export const chosenLanguage = (): Language | "" => {
  const kept = localStorage.getItem(key) ?? ""
  return isLanguage(kept) ? kept : ""
}

/** Chooses a language, which the page shows once it is loaded again. Empty for that of the browser. */
export const chooseLanguage = (next: Language | ""): void => {
  if (next === "") localStorage.removeItem(key)
  else localStorage.setItem(key, next)
  location.reload()
}

const languageOf = (tag: string) => tag.split("-", 1)[0] ?? ""

/** The language of the page. */
export const language: Language =
  [chosenLanguage(), ...navigator.languages.map(languageOf)].find((value) => isLanguage(value)) ?? "en"

/** How dates and numbers are written: as in the region of the user, if the language is that of the browser. */
export const locale: string = navigator.languages.find((tag) => languageOf(tag) === language) ?? language

/** Where lines begin. */
export const { direction } = languages[language]

/** The arrow keys to what comes next and what came before, in the direction of reading. */
export const [keyForwards, keyBackwards] =
  direction === "ltr" ? (["ArrowRight", "ArrowLeft"] as const) : (["ArrowLeft", "ArrowRight"] as const)

document.documentElement.lang = language
document.documentElement.dir = direction

const { messages } = await languages[language].load()
i18n.loadAndActivate({ locale: language, locales: [locale, language], messages })
