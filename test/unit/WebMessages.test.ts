import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Runs a command of Lingui, which fails if it finds something. */
const lingui = (...args: ReadonlyArray<string>) =>
  promisify(execFile)(
    process.execPath,
    [`${root}node_modules/@lingui/cli/dist/lingui.js`, ...args, "--config", `${root}web/lingui.config.ts`],
    { cwd: root }
  )

it("the page has all of its words in each of its languages, and no others", async () => {
  await lingui("check", "sync", "--clean")
  await lingui("check", "missing")
})
