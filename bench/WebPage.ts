import { type Browser, chromium, type Page } from "playwright-core"

/**
 * Runs in the page before anything else: keeps when messages came over the socket, and the longest task.
 */
const watch = `
  window.bench = { longest: 0 }
  new PerformanceObserver((entries) => {
    for (const { duration } of entries.getEntries()) bench.longest = Math.max(bench.longest, duration)
  }).observe({ type: "longtask", buffered: true })
  window.WebSocket = class extends WebSocket {
    constructor(...options) {
      super(...options)
      this.addEventListener("message", ({ data }) => {
        if (bench.messagesAt === undefined && String(data).includes('"clientMessageId":"m')) bench.messagesAt = performance.now()
      })
    }
  }
`

/** Chooses a conversation, and returns the milliseconds from its answer until its messages are painted. */
const open = `async (title) => {
  bench.messagesAt = undefined
  const painted = new Promise((done) => {
    const look = () => {
      if (document.querySelector("[data-message]") === null) requestAnimationFrame(look)
      // After the frame that shows them.
      else requestAnimationFrame(() => setTimeout(() => done(performance.now())))
    }
    look()
  })
  const begun = performance.now()
  ;[...document.querySelectorAll("nav .row")].find((row) => row.textContent.includes(title)).click()
  const at = await painted
  return { fromAnswer: at - (bench.messagesAt ?? begun), fromClick: at - begun }
}`

/** Scrolls up by so many messages, and returns how long each frame took in which something moved or came. */
const scrollUp = `async (count) => {
  const list = document.querySelector(".messages")
  const frames = []
  const seen = new Set()
  let before = performance.now()
  let [top, height] = [-1, -1]
  while (seen.size < count) {
    for (const row of list.querySelectorAll("[data-message]")) seen.add(row.dataset.message)
    list.scrollTop -= 100
    await new Promise((next) => requestAnimationFrame(next))
    const now = performance.now()
    if (list.scrollTop !== top || list.scrollHeight !== height) frames.push(now - before)
    ;[top, height] = [list.scrollTop, list.scrollHeight]
    before = now
  }
  return frames
}`

/** Starts Chromium so that each frame follows the one before at once, and says how long it took. */
export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-frame-rate-limit", "--disable-gpu-vsync"]
  })

/** Opens the page in a new profile, and signs in. */
export const signIn = async (browser: Browser, url: string, login: string, password: string): Promise<Page> => {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 }, locale: "en" })
  await page.addInitScript(watch)
  await page.goto(url)
  await page.getByLabel("Username or e-mail").fill(login)
  await page.getByLabel("Password").fill(password)
  await page.getByRole("button", { name: "Sign in" }).click()
  await listed(page)
  return page
}

const listed = (page: Page) => page.getByRole("navigation").getByRole("button", { name: "Group" }).first().waitFor()

/** Loads the page again, and returns its longest task until it shows the list and is idle. */
export const startAgain = async (page: Page): Promise<number> => {
  await page.reload()
  await listed(page)
  return page.evaluate("new Promise((done) => requestIdleCallback(() => setTimeout(() => done(bench.longest), 500)))")
}

/** Opens a conversation. */
export const openConversation = (
  page: Page,
  title: string
): Promise<{ readonly fromAnswer: number; readonly fromClick: number }> =>
  page.evaluate(`(${open})(${JSON.stringify(title)})`)

/** Scrolls up by so many messages, and returns the frame below which 95 % of them were, and the longest. */
export const scroll = async (page: Page, messages: number) => {
  const frames = (await page.evaluate<ReadonlyArray<number>>(`(${scrollUp})(${messages})`)).toSorted((a, b) => a - b)
  return { count: frames.length, p95: frames[Math.floor(frames.length * 0.95)] ?? 0, longest: frames.at(-1) ?? 0 }
}

/** What the page keeps in its heap, in megabytes. */
export const heap = async (page: Page): Promise<number> => {
  const session = await page.context().newCDPSession(page)
  await session.send("HeapProfiler.collectGarbage")
  const { usedSize } = await session.send("Runtime.getHeapUsage")
  return usedSize / 1e6
}
