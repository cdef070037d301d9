import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { Operations } from "../../src/operations/Operations.ts"
import { TestService } from "../../src/testing/TestService.ts"

const run = promisify(execFile)

/** The page as Chromium has parsed it, as HTML. */
const rendered = async (url: string) => {
  const profile = mkdtempSync(join(tmpdir(), "chromium-"))
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
  try {
    const { stdout } = await run("chromium", [...flags, `--user-data-dir=${profile}`, "--dump-dom", url], {
      maxBuffer: 16 * 1024 * 1024
    })
    return stdout
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
  }
}

describe("the page of the WebSocket's protocol in Chromium", () => {
  let service: Awaited<ReturnType<typeof TestService.start>>
  let html = ""

  beforeAll(async () => {
    service = await TestService.start()
    html = await rendered(`${service.url}/docs/events`)
  }, 120_000)

  afterAll(() => service.stop())

  it("has paragraphs, and no escapes between its parts", () => {
    // The payloads are JSON, whose patterns may have a backslash.
    const prose = html.replace(/<pre>[\s\S]*?<\/pre>/g, "")
    assert.notInclude(prose, "\\n")
    const [, introduction = ""] = prose.split("</h1>")
    const paragraphs = introduction.split("<h2>")[0]?.match(/<p>[^<]+<\/p>/g) ?? []
    assert.isAbove(paragraphs.length, 2)
  })

  it("has every command, and shows what it is for", () => {
    for (const name of Operations.requests.keys()) assert.include(html, `<details id="${name}">`)
    assert.match(html, /<code>message\.pin<\/code> Pin a message/)
  })
})
