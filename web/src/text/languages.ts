import type { Messages } from "@lingui/core"

interface LanguageOfPage {
  /** Its own name for itself. */
  readonly name: string
  readonly direction: "ltr" | "rtl"
  readonly load: () => Promise<{ readonly messages: Messages }>
}

/** The languages of the page, by their tags. The config of Lingui takes these too, so this file may not need a browser. */
export const languages = {
  en: { name: "English", direction: "ltr", load: () => import("../../locales/en.po") },
  de: { name: "Deutsch", direction: "ltr", load: () => import("../../locales/de.po") },
  ar: { name: "العربية", direction: "rtl", load: () => import("../../locales/ar.po") },
  ja: { name: "日本語", direction: "ltr", load: () => import("../../locales/ja.po") }
} as const satisfies Record<string, LanguageOfPage>

/** One of the languages of the page. */
export type Language = keyof typeof languages

/** Whether the page has this language. */
export const isLanguage = (value: string): value is Language => Object.hasOwn(languages, value)
