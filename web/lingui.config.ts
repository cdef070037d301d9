import { defineConfig } from "@lingui/cli"
import { formatter } from "@lingui/format-po"

/** Where the words of the page are, in each language. */
export default defineConfig({
  sourceLocale: "en",
  locales: ["en", "de", "ar", "ja"],
  catalogs: [{ path: "<rootDir>/locales/{locale}", include: ["<rootDir>/src/text"] }],
  format: formatter({ origins: false }),
  orderBy: "message"
})
