import { i18n, type Messages } from "@lingui/core"

/** The languages of the page, each by its own name. */
export const languages = { en: "English", de: "Deutsch", ar: "العربية", ja: "日本語" } as const

/** One of the languages of the page. */
export type Language = keyof typeof languages

const catalogues: Readonly<Record<Language, () => Promise<{ readonly messages: Messages }>>> = {
  en: () => import("../../locales/en.po"),
  de: () => import("../../locales/de.po"),
  ar: () => import("../../locales/ar.po"),
  ja: () => import("../../locales/ja.po")
}

const key = "chat-service.language"

const isLanguage = (value: string): value is Language => Object.hasOwn(languages, value)

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
export const direction = language === "ar" ? "rtl" : "ltr"

/** The arrow keys to what comes next and what came before, in the direction of reading. */
export const [keyForwards, keyBackwards] =
  direction === "ltr" ? (["ArrowRight", "ArrowLeft"] as const) : (["ArrowLeft", "ArrowRight"] as const)

document.documentElement.lang = language
document.documentElement.dir = direction

const { messages } = await catalogues[language]()
i18n.loadAndActivate({ locale: language, locales: [locale, language], messages })
