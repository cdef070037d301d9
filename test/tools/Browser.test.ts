import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { Chat, type Message, type Tokens } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { bundle } from "../support/Bundle.ts"

const root = new URL("../..", import.meta.url).pathname

/**
 * A page that is loaded three times. Online, it opens a conversation. Offline, it shows what it had and writes, also with a
 * file. Online again, it says what it had offline, and how many sockets it has together with a second page of the origin.
 * It closes its client before it goes, since a browser need not finish what a page stores while it is unloaded.
 */
const stored = (options: { readonly url: string; readonly tokens: Tokens; readonly id: string }) => `<!doctype html>
<script type="module">
  import { Chat, indexedDatabase } from "./client.js"
  const { id, ...options } = ${JSON.stringify(options)}
  const step = location.search
  let sockets = 0
  const openSocket = (url, protocols) => {
    sockets++
    return new WebSocket(step === "?offline" ? "ws://127.0.0.1:9" : url, protocols)
  }
  const chat = new Chat({ ...options, openSocket, database: indexedDatabase() })
  const conversation = chat.conversation(id)
  const bodies = () => (conversation.state?.messages ?? []).map(({ body }) => body)
  const until = (holds) => new Promise((go) => chat.subscribe(() => holds() && go()))
  if (step === "") {
    await conversation.open()
    await until(() => bodies().includes("Hello browser"))
    await chat.close()
    location.search = "?offline"
  } else if (step === "?offline") {
    await until(() => bodies().length > 0)
    const attachments = [new File(["a note"], "note.txt")]
    conversation.send("offline I had: " + bodies(), { attachments }).catch(() => {})
    for (const body of ["two", "three"]) conversation.send(body).catch(() => {})
    await until(() => chat.state.sending.length === 3)
    await chat.close()
    location.search = "?online"
  } else if (step === "?online") {
    await until(() => chat.state.connection.status === "online" && bodies().includes("three"))
    addEventListener("message", ({ data }) => conversation.send("sockets: " + (sockets + data.sockets) + ", pages: " + data.bodies))
    document.body.append(Object.assign(document.createElement("iframe"), { src: "?second" }))
  } else {
    await until(() => chat.state.connection.status === "online" && bodies().includes("three"))
    parent.postMessage({ sockets, bodies: bodies().join() }, "*")
  }
</script><body></body>`

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

  /** Opens the page in Chromium until the tests have ended. */
  const browse = () => {
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
  }

  it("keeps its state and unsent messages when its page is closed, and has one socket for two pages", async () => {
    const service = await TestService.start({ server: { allowedOrigins: [origin] } })
    stops.push(() => service.stop())
    const tokens = await service.signIn("bob")
    const ann = new Chat({ url: service.url, tokens: await service.signIn("ann") })
    stops.push(() => ann.close())
    const { id } = await ann.ask("conversation.create", { kind: "dm", userId: tokens.user.id })
    await ann.open(id)
    await ann.send(id, "Hello browser")
    page = stored({ url: service.url, tokens, id })
    browse()
    const messages = await new Promise<ReadonlyArray<Message>>((resolve) => {
      ann.subscribe(({ conversations }) => {
        const messages = conversations.get(id)?.messages ?? []
        if (messages.some(({ body }) => body.startsWith("sockets"))) resolve(messages)
      })
    })
    const before = ["Hello browser", "offline I had: Hello browser", "two", "three"]
    assert.deepStrictEqual(
      messages.map(({ body }) => body),
      [...before, `sockets: 1, pages: ${before}`]
    )
    const files = messages.map(({ attachments }) => attachments.map(({ name, size }) => [name, size]))
    assert.deepStrictEqual(files, [[], [["note.txt", 6]], [], [], []])
  })
})
