import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { gzipSync } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { TestService } from "../../src/testing/TestService.ts"
import { bundle } from "../support/Bundle.ts"

const run = promisify(execFile)

/** What an app may have: the oldest versions of Node that the package promises, compilers, bundlers, and linters of packages. */
const others = {
  "@arethetypeswrong/cli": "0.18.5",
  "@types/react": "19.3.3",
  "@types/react-dom": "19.3.0",
  "@vitejs/plugin-react": "6.3.0",
  esbuild: "0.28.2",
  node20: `npm:node-linux-${process.arch}@20.19.0`,
  node22: `npm:node-linux-${process.arch}@22.12.0`,
  publint: "0.3.25",
  react: "19.3.1",
  "react-dom": "19.3.1",
  typescript: "5.9.3",
  vite: "8.4.0",
  ws: "8.23.0"
}

/** The size of each entry with everything that it needs, minified and compressed, in kB, with some room. */
const sizes = [
  ["client/Client.js", 120],
  ["client/Effect.js", 120],
  ["client/React.js", 5],
  ["client/Rpc.js", 100],
  ["client/testing/TestServer.js", 125]
] as const

const talk = `
  const { url, ann, bob } = JSON.parse(process.argv.at(-1))
  const two = [ann, bob].map((tokens) => new Chat({ url, tokens, openSocket: socketOf }))
  await Promise.all(two.map((chat) => chat.ready()))
  const [first, second] = two
  const { id } = await first.ask("conversation.create", { kind: "dm", userId: second.userId })
  const heard = new Promise((resolve) => second.on("message.created", ({ data }) => resolve(data.message.body)))
  await first.conversation(id).send("Hello")
  console.log(await heard)
  await Promise.all(two.map((chat) => chat.close()))
`

/** Node 20 has no WebSocket, so the program brings one. */
const socketOf = `const socketOf = globalThis.WebSocket === undefined ? (url, protocol) => new Ws(url, protocol) : undefined`
const programs = {
  "app.mjs": `import { Chat } from "@chat-service/client"; import { WebSocket as Ws } from "ws"; ${socketOf}; ${talk}`,
  "app.cjs": `const { Chat } = require("@chat-service/client"); const { WebSocket: Ws } = require("ws"); ${socketOf}
    ;(async () => {${talk}})()`
}

const app = `import { Chat, type ChatState, indexedDatabase, type Message } from "@chat-service/client"
import { Realtime } from "@chat-service/client/effect"
import { ChatProvider, useMessages } from "@chat-service/client/react"
import { makeRpc } from "@chat-service/client/rpc"
import { TestServer } from "@chat-service/client/testing"
import { createRoot } from "react-dom/client"
const tokens = await Chat.login("http://localhost", { login: "ann", password: "correct horse" })
const chat = new Chat({ url: "http://localhost", tokens, database: indexedDatabase() })
chat.subscribe((state: ChatState) => void state.conversations.size)
const made = await chat.ask("conversation.create", { kind: "dm", userId: "x" })
const newest: Message | undefined = chat.conversation(made.id).state?.messages?.at(-1)
chat.conversation(made.id).on("message.created", ({ data }) => void data.message.body)
const Talk = ({ id }: { readonly id: string }) => <p>{useMessages(id).messages?.map(({ body }) => body)}</p>
const root = document.getElementById("root")
if (root) createRoot(root).render(<ChatProvider chat={chat}><Talk id={made.id} /></ChatProvider>)
export const all: readonly [string | undefined, unknown, unknown, Chat] = [
  newest?.body, Realtime, makeRpc, new TestServer().chat("ann")
]
`

/** A file of a CommonJS package. */
const commonJs = `import client = require("@chat-service/client")
import hooks = require("@chat-service/client/react")
export const open = (tokens: client.Tokens): client.Chat => new client.Chat({ url: "http://localhost", tokens })
export const newest = (state: client.ChatState): client.Message | undefined =>
  [...state.conversations.values()][0]?.messages?.at(-1)
export const provider: unknown = hooks.ChatProvider
`

/** What `npm create vite` makes for React and TypeScript, with the app as its page. */
const viteConfig = `import react from "@vitejs/plugin-react"
export default { plugins: [react()], build: { target: "es2022" }, logLevel: "error" }`
const page = `<!doctype html><div id="root"></div><script type="module" src="/app.tsx"></script>`

const kilobytes = (code: string | Uint8Array) => Math.round(gzipSync(code).length / 1000)

describe("the package of the client", () => {
  const project = mkdtempSync(join(tmpdir(), "chat-client-"))
  const installed = join(project, "node_modules/@chat-service/client")
  const bin = (name: string) => join(project, "node_modules/.bin", name)
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(project, name)), { recursive: true })
    writeFileSync(join(project, name), text)
  }
  const tarball = join(project, "chat-service-client-0.1.0.tgz")
  let started: ReturnType<typeof TestService.start> | undefined
  let service: Awaited<ReturnType<typeof TestService.start>>

  beforeAll(async () => {
    started = TestService.start()
    await run("sh", ["scripts/run.sh", "sh", "scripts/pack-client.sh", "--pack-destination", project])
    const dependencies = { ...others, "@chat-service/client": `file:${tarball}` }
    write("package.json", JSON.stringify({ name: "app", private: true, type: "module", dependencies }))
    await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline"], { cwd: project })
    for (const [name, text] of Object.entries(programs)) write(name, text)
    write("app.tsx", app)
    write("app.cts", commonJs)
    write("vite.config.js", viteConfig)
    write("index.html", page)
    service = await started
  }, 300_000)

  afterAll(async () => {
    // After a set-up that failed, there may be no service, and its error is the one to show.
    await (await started)?.stop()
    rmSync(project, { recursive: true, force: true })
  })

  it("has JavaScript, declarations and source maps of the client, nothing of the service, and needs effect alone", async () => {
    const names = readdirSync(installed, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name, parentPath }) => join(parentPath, name).slice(installed.length + 1))
    const own =
      /^dist\/(client|domain|operations)\/((credentials|files|state|storage|tabs|testing)\/)?\w+\.(js|js\.map|d\.ts)$/
    assert.deepStrictEqual(names.filter((name) => !own.test(name)).sort(), [
      "LICENSE",
      "README.md",
      "dist/cdn.js",
      "dist/client.cjs",
      "dist/client.cjs.map",
      "dist/client.d.cts",
      "dist/react.cjs",
      "dist/react.cjs.map",
      "dist/react.d.cts",
      "package.json"
    ])
    assert.isEmpty(names.filter((name) => name.includes("Handlers")))
    const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))
    assert.deepStrictEqual(Object.keys(dependencies), ["effect"])
  })

  it("has no fault that publint or Are the types wrong can find", async () => {
    await run(bin("publint"), ["run", tarball, "--strict"])
    const check = (...options: ReadonlyArray<string>) => run(bin("attw"), [tarball, "--profile", "node16", ...options])
    await Promise.all([
      check("--entrypoints", ".", "react", "package.json"),
      // effect itself has ES modules alone.
      check("--entrypoints", "effect", "rpc", "testing", "--ignore-rules", "cjs-resolves-to-esm")
    ])
  })

  const nodes = {
    "Node 20.19": join(project, "node_modules/node20/bin/node"),
    "Node 22.12": join(project, "node_modules/node22/bin/node"),
    "this Node": process.execPath
  }
  for (const [name, node] of Object.entries(nodes)) {
    it(`is imported and required by ${name}, and two people talk`, async () => {
      const results = Object.keys(programs).map(async (file) => {
        const people = { ann: await service.signIn("ann"), bob: await service.signIn("bob") }
        const { stdout } = await run(node, [file, JSON.stringify({ url: service.url, ...people })], { cwd: project })
        return stdout.trim()
      })
      assert.deepStrictEqual(await Promise.all(results), ["Hello", "Hello"])
    })
  }

  it("tests an app without a service", async () => {
    const test = `import { TestServer } from "@chat-service/client/testing"
      const server = new TestServer()
      const chat = server.chat("ann")
      const id = server.group("Plans", ["ann", "bob"])
      await chat.conversation(id).open()
      const heard = new Promise((resolve) => chat.on("message.created", ({ data }) => resolve(data.message.body)))
      server.send("bob", id, "Hello")
      console.log(await heard)
      await server.close()`
    write("test.mjs", test)
    for (const node of Object.values(nodes)) {
      const { stdout } = await run(node, ["test.mjs"], { cwd: project })
      assert.strictEqual(stdout.trim(), "Hello")
    }
  })

  for (const [version, compiler] of [
    ["5.9", bin("tsc")],
    ["7", "node_modules/.bin/tsc"]
  ] as const) {
    it(`has types that compile with TypeScript ${version}, strictly and without the types of Node`, async () => {
      const settings = [
        ["node16", "node16", ["app.tsx", "app.cts"]],
        ["esnext", "bundler", ["app.tsx"]]
      ] as const
      for (const [module, moduleResolution, files] of settings) {
        // All declarations are checked once: that takes long.
        const skipLibCheck = version !== "7" || module !== "esnext"
        const compilerOptions = {
          strict: true,
          exactOptionalPropertyTypes: true,
          skipLibCheck,
          noEmit: true,
          target: "ES2022",
          jsx: "react-jsx",
          lib: ["ES2023", "DOM", "DOM.Iterable"],
          types: [],
          module,
          moduleResolution
        }
        write("tsconfig.json", JSON.stringify({ compilerOptions, files }))
        const { stdout } = await run(compiler, ["-p", project]).catch((error) => error)
        assert.strictEqual(stdout, "")
      }
    })
  }

  it("is built by Vite and esbuild, and each entry is small", async () => {
    for (const [entry, most] of sizes) {
      const size = kilobytes((await bundle(join(installed, "dist", entry), ["react"])).code)
      assert.isAtMost(size, most, entry)
    }
    await run(bin("vite"), ["build"], { cwd: project })
    const [script = ""] = readdirSync(join(project, "dist/assets")).filter((name) => name.endsWith(".js"))
    assert.isAtMost(kilobytes(readFileSync(join(project, "dist/assets", script))), 290)
    const options = ["--bundle", "--minify", "--format=esm", "--platform=browser", "--outfile=esbuild.js"]
    await run(bin("esbuild"), [join(installed, "dist/client/Client.js"), ...options], { cwd: project })
    assert.isAtMost(kilobytes(readFileSync(join(project, "esbuild.js"))), 240)
  })

  it("has one file for pages without a bundler, with the same exports", async () => {
    const file = join(installed, "dist/cdn.js")
    assert.deepStrictEqual((await bundle(file)).modules, [file])
    assert.sameMembers(Object.keys(await import(file)), Object.keys(await import("../../src/client/Client.ts")))
  })
})
