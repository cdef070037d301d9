import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { Chat } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { bundle } from "../support/Bundle.ts"

const root = new URL("../..", import.meta.url).pathname

/** What a person does to the page of examples/browser. */
const hand = (url: string, login: string) => `<script type="module">
  const byId = (id) => document.getElementById(id)
  const until = async (holds) => { while (!holds()) await new Promise((go) => setTimeout(go, 20)) }
  byId("login").elements.url.value = ${JSON.stringify(url)}
  byId("login").elements.login.value = ${JSON.stringify(login)}
  byId("login").elements.password.value = "correct horse"
  byId("login").requestSubmit()
  await until(() => byId("connection").textContent === "online" && byId("conversations").length === 1)
  byId("conversations").selectedIndex = 0
  byId("conversations").dispatchEvent(new Event("change"))
  await until(() => byId("messages").textContent.includes("Hello browser"))
  byId("write").elements.body.value = "I see: " + byId("messages").textContent
  byId("write").requestSubmit()
</script>`

describe("the client in Chromium", () => {
  const stops: Array<() => void | Promise<void>> = []
  let page = ""
  let script = ""
  let origin = ""

  beforeAll(async () => {
    script = (await bundle(`${root}src/client/Client.ts`)).code
    const server = createServer((request, response) => {
      const isScript = request.url === "/client.js"
      response.setHeader("content-type", isScript ? "text/javascript" : "text/html")
      response.end(isScript ? script : page)
    })
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening))
    stops.push(() => void server.close())
    const address = server.address()
    origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`
  })

  afterAll(async () => {
    for (const stop of stops.reverse()) await stop()
  })

  it("shows what comes live, and sends", { timeout: 90_000 }, async () => {
    const service = await TestService.start({ server: { allowedOrigins: [origin] } })
    stops.push(() => service.stop())
    const bob = await service.signIn("bob")
    const ann = new Chat({ url: service.url, tokens: await service.signIn("ann") })
    stops.push(() => ann.close())
    const { id } = await ann.ask("conversation.create", { kind: "dm", userId: bob.user.id })
    await ann.open(id)
    page = readFileSync(`${root}examples/browser/index.html`, "utf8").replace(
      "</html>",
      `${hand(service.url, "bob")}</html>`
    )

    const profile = mkdtempSync(join(tmpdir(), "chromium-"))
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    const chromium = spawn("chromium", [...flags, `--user-data-dir=${profile}`, origin], {
      stdio: "ignore",
      detached: true
    })
    stops.push(
      () =>
        new Promise<void>((ended) => {
          chromium.on("close", () => {
            rmSync(profile, { recursive: true, force: true, maxRetries: 10 })
            ended()
          })
          if (chromium.pid !== undefined) process.kill(-chromium.pid, "SIGKILL")
        })
    )
    await ann.send(id, "Hello browser")
    const answer = await new Promise<string>((resolve) => {
      ann.subscribe(({ conversations }) => {
        const answer = conversations.get(id)?.messages?.find(({ senderId }) => senderId === bob.user.id)
        if (answer !== undefined) resolve(answer.body)
      })
    })
    assert.strictEqual(answer, "I see: Hello browser")
  })
})
