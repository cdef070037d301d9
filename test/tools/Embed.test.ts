import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import { TestIssuer } from "chat-service/testing"
import { Redacted } from "effect"
import type { Browser } from "playwright-core"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { issuer, makeApp, openChat } from "../../examples/own-users.ts"
import { Chat } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { bundle } from "../support/Bundle.ts"
import { buildWeb, launchChromium, openPage, type Person } from "../support/Web.ts"

const root = new URL("../..", import.meta.url).pathname
const secret = "the secret that the app shares with the chat"
const bob = { login: "bob", password: "the password of Bob at the app" }

/** What the widget of a page shows, which is in a shadow root; Playwright looks into it. */
const talk = async ({ page }: Person, ann: Chat, id: string) => {
  await page.getByRole("log").getByText("Where is my order?").waitFor()
  await page.getByLabel("Message", { exact: true }).fill("It is <b>on its way</b>")
  await page.getByLabel("Message", { exact: true }).press("Enter")
  await page.getByRole("article").filter({ hasText: "You" }).getByText("It is <b>on its way</b>").waitFor()
  await ann.send(id, "Thank you")
  await page.getByRole("article").filter({ hasText: "Ann" }).getByText("Thank you").waitFor()
  const { items } = await ann.ask("message.list", { conversationId: id })
  assert.include(
    items.map((message) => ("body" in message ? message.body : "")),
    "It is <b>on its way</b>"
  )
}

describe("the widget for other pages", () => {
  const stops: Array<() => unknown> = []
  /** Older users than Ann, so that she is not on the first page of two. */
  const staff: Array<string> = []
  let browser: Browser
  let service: Awaited<ReturnType<typeof TestService.start>>
  let app = ""
  let page = ""

  /** A user of the service with a conversation that the user of the widget is in. */
  const order = async (userId: string) => {
    const ann = new Chat({ url: service.url, tokens: await service.signIn("ann") })
    stops.push(() => ann.close())
    await ann.ready()
    await ann.ask("user.update", { displayName: "Ann" })
    const memberIds = [userId, ...staff]
    const { id } = await ann.ask("conversation.create", { kind: "group", title: "Order 123", memberIds })
    await ann.send(id, "Where is my order?")
    return { ann, id }
  }

  beforeAll(async () => {
    const script = (await bundle(`${root}examples/browser/widget.ts`)).code
    const own = makeApp([{ id: "42", name: "Bob", ...bob }], secret)
    own.get("/order", (_, response) => void response.type("html").send(page))
    own.get("/widget.js", (_, response) => void response.type("js").send(script))
    const server = createServer(own).listen(0, "127.0.0.1")
    await once(server, "listening")
    stops.push(() => server.close())
    const address = server.address()
    app = `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`
    const built = buildWeb()
    stops.push(built.remove)
    const other = await TestIssuer.start({ issuer })
    stops.push(() => other.stop())
    const { jwksUri: _, algorithms: __, ...settings } = other.settings
    service = await TestService.start({
      server: { web: built.folder, allowedOrigins: [app] },
      auth: { issuers: [{ ...settings, secret: Redacted.make(secret) }] },
      limits: { pageSize: 2 }
    })
    stops.push(() => service.stop())
    for (const name of ["dora", "eve"]) staff.push((await service.signIn(name)).user.id)
    browser = await launchChromium()
    stops.push(() => browser.close())
  })
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop()
  })

  it("shows the chat of an order in the page of an app, for its user", async () => {
    const one = await openPage(browser, "about:blank")
    const login = await one.context.request.post(`${app}/login`, { data: bob })
    const chat = openChat(service.url, app, login.headers()["set-cookie"] ?? "")
    await chat.ready()
    const { ann, id } = await order(chat.userId)
    await chat.close()
    page = readFileSync(`${root}examples/browser/index.html`, "utf8")
      .replace("http://localhost:8080", service.url)
      .replace("the id of the conversation", id)
    await one.page.goto(`${app}/order`)
    await talk(one, ann, id)
    assert.deepStrictEqual(one.errors, [])
    assert.isBelow(readFileSync(`${root}examples/browser/widget.ts`, "utf8").split("\n").length, 200)
  })

  it("can be tried at /docs/embed, under the policy of the chat page", async () => {
    const carl = await service.signIn("carl")
    const { ann, id } = await order(carl.user.id)
    const one = await openPage(browser, `${service.url}/docs/embed`)
    await one.page.getByLabel("Conversation").fill(id)
    await one.page.getByLabel("Token").fill(carl.accessToken)
    await one.page.getByRole("button", { name: "Open" }).click()
    await talk(one, ann, id)
    assert.deepStrictEqual(one.errors, [])
    const policy = (await fetch(`${service.url}/docs/embed`)).headers.get("content-security-policy") ?? ""
    assert.include(policy, "require-trusted-types-for 'script'")
    assert.notInclude(policy, "unsafe")
  })
})
