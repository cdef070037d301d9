import { defineConfig } from "@lingui/cli"
import { formatter } from "@lingui/format-po"
import { languages } from "./src/text/languages.ts"

/** Where the words of the page are, in each language. */
export default defineConfig({
  sourceLocale: "en",
  locales: Object.keys(languages),
  catalogs: [{ path: "<rootDir>/locales/{locale}", include: ["<rootDir>/src/text"] }],
  format: formatter({ origins: false }),
  orderBy: "message"
})
