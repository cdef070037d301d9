import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"
import { patience } from "./TimeLimits.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Builds the chat page into a folder, which `remove` removes. */
export const buildWeb = () => {
  const folder = mkdtempSync(join(tmpdir(), "chat-web-"))
  const vite = join(root, "node_modules/vite/bin/vite.js")
  execFileSync(process.execPath, [vite, "build", "web", "--outDir", folder, "--logLevel", "error"], {
    cwd: root,
    // That of the tests would give a build for development.
    env: { PATH: process.env.PATH, NODE_ENV: "production" }
  })
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Starts Chromium, as it is installed on the system. */
export const launchChromium = (): Promise<Browser> =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      // A microphone that beeps, and may be used.
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream"
    ]
  })

/** A person with a browser of their own. `errors` are what its console complained about. */
export interface Person {
  readonly context: BrowserContext
  readonly page: Page
  readonly errors: ReadonlyArray<string>
}

/** Opens the page in a new browser profile. */
export const openPage = async (
  browser: Browser,
  url: string,
  options: Parameters<Browser["newContext"]>[0] = {}
): Promise<Person> => {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, locale: "en-GB", ...options })
  context.setDefaultTimeout(patience)
  const page = await context.newPage()
  const errors: Array<string> = []
  page.on("console", (message) => {
    // A connection that is cut on purpose, and a refusal that the page shows, are no faults of the page.
    if (
      message.type() === "error" &&
      !/WebSocket|Failed to load resource|ERR_INTERNET_DISCONNECTED/.test(message.text())
    )
      errors.push(message.text())
  })
  page.on("pageerror", (error) => errors.push(error.message))
  await page.goto(url)
  return { context, page, errors }
}

/** Signs in as a user of `TestService.signIn`. */
export const signIn = async ({ page }: Person, login: string) => {
  await page.getByLabel("Username or e-mail").fill(login)
  await page.getByLabel("Password").fill("correct horse")
  await page.getByRole("button", { name: "Sign in" }).click()
  await page.getByRole("navigation", { name: "Conversations" }).waitFor()
}

/** Opens a conversation of the list. */
export const choose = async ({ page }: Person, title: string) => {
  await page.getByRole("navigation").getByRole("button", { name: title }).first().click()
  await page.getByRole("textbox", { name: `Message ${title}` }).waitFor()
}

/** Writes and sends a message into the conversation that is open. */
export const write = async ({ page }: Person, body: string) => {
  const box = page.getByRole("textbox", { name: /^Message / }).last()
  await box.fill(body)
  await box.press("Enter")
}

/** The message with that text, in the list of messages. */
export const messageOf = ({ page }: Person, body: string) =>
  page.getByRole("log").getByRole("article").filter({ hasText: body })
