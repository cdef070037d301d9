import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { api } from "../support/Client.ts"
import { uploadTo } from "../support/Files.ts"
import { startNode } from "../support/Node.ts"
import { hookTimeout } from "../support/TimeLimits.ts"

const run = promisify(execFile)

const others = {
  "@arethetypeswrong/cli": "0.18.5",
  "@types/node": "24.19.2",
  publint: "0.3.25",
  typescript: "5.9.3"
}

const script = `
  import { Chat } from "@chat-service/service/client"
  import { ConversationId, Messages } from "@chat-service/service/services"
  import { TestService } from "@chat-service/service/testing"
  import { Effect } from "effect"

  const talk = Effect.gen(function* () {
    const { signIn, url } = yield* TestService
    const [ann, bob] = [yield* signIn("ann"), yield* signIn("bob")]
    const chat = new Chat({ url, tokens: ann })
    const id = yield* Effect.promise(async () => {
      await chat.ready()
      const { id } = await chat.ask("conversation.create", { kind: "dm", userId: bob.user.id })
      await chat.conversation(id).send("Hello")
      await chat.close()
      return id
    })
    const { items } = yield* Messages.use((messages) => messages.list(bob.user.id, ConversationId.make(id), { limit: 9 }))
    console.log(items.map(({ body }) => body).join())
  })
  await Effect.runPromise(Effect.provide(talk, TestService.layer()))`

/** A test of an app, and the same with two mistakes, which are found only if nothing has become `any`. */
const program = (type: string) => `
  import { ConversationId, type Message, Messages, UserId } from "@chat-service/service/services"
  import { TestService } from "@chat-service/service/testing"
  import { Effect, Layer } from "effect"

  export const url: ${type} = (await TestService.start()).url
  const bodyOf = (message: Message): ${type} => message.body
  export const bodies = Effect.gen(function* () {
    const { signIn } = yield* TestService
    const messages = yield* Messages
    const { user } = yield* signIn("ann")
    const { items } = yield* messages.list(UserId.make(user.id), ConversationId.make("x"), { limit: 9 })
    return items.map(bodyOf)
  }).pipe(Effect.provide(TestService.layer({}, { replace: Layer.effect(Messages, Messages) })))
`

const compilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  // All declarations are checked too.
  skipLibCheck: false,
  noEmit: true,
  target: "ES2022",
  module: "node16",
  moduleResolution: "node16",
  types: ["node"]
}

describe("the package of the service", () => {
  const project = mkdtempSync(join(tmpdir(), "chat-package-"))
  const installed = join(project, "node_modules/@chat-service/service")
  const tarball = join(project, "chat-service-service-0.1.0.tgz")
  const write = (name: string, text: string) => writeFileSync(join(project, name), text)
  const inProject = (command: string, ...args: ReadonlyArray<string>) => run(command, args, { cwd: project })

  beforeAll(async () => {
    await run("sh", ["scripts/run.sh", "sh", "scripts/pack-service.sh", "--pack-destination", project])
    const dependencies = { ...others, "@chat-service/service": `file:${tarball}` }
    write("package.json", JSON.stringify({ name: "app", private: true, type: "module", dependencies }))
    await inProject("npm", "install", "--no-audit", "--no-fund", "--prefer-offline")
  }, 2 * hookTimeout)

  afterAll(() => rmSync(project, { recursive: true, force: true }))

  it("has JavaScript, the page and the migrations, runs nothing when it is installed, and brings no Node", async () => {
    assert.deepStrictEqual(readdirSync(installed).sort(), [
      "LICENSE",
      "README.md",
      "chat-service.js",
      "dist",
      "migrations",
      "package.json",
      "web"
    ])
    const names = readdirSync(installed, { recursive: true, encoding: "utf8" })
    assert.isEmpty(names.filter((name) => /(?<!\.d)\.tsx?$/.test(name)))
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))
    const ours = JSON.parse(readFileSync("package.json", "utf8"))
    assert.deepInclude(manifest, { version: ours.version, dependencies: ours.dependencies })
    assert.notProperty(manifest, "scripts")
    assert.isEmpty(readdirSync(join(project, "node_modules")).filter((name) => name.startsWith("node-linux")))
    await inProject("npx", "publint", "run", tarball, "--strict")
    // effect itself has ES modules alone.
    await inProject("npx", "attw", tarball, "--profile", "esm-only")
  })

  it("runs in a program in JavaScript, which talks over the client and reads with a service", async () => {
    write("talk.js", script)
    assert.strictEqual((await inProject(process.execPath, "talk.js")).stdout, "Hello\n")
  })

  it("has types that TypeScript 5.9 checks with node16, strictly", async () => {
    write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["right.ts", "wrong.ts"] }))
    write("right.ts", program("string"))
    write("wrong.ts", program("number"))
    const { stdout } = await inProject("npx", "tsc").catch((error) => error)
    assert.match(stdout, /^(wrong\.ts\S+ error TS2322: Type 'string' is not assignable to type 'number'\.\n){2}$/)
  })

  it("has the commands chat-service and chat", async () => {
    const help = (await inProject("npx", "chat-service", "--help")).stdout
    assert.include(help, "--data-dir")
    assert.include(help, "chat-service --config config.yaml")
    assert.include((await inProject("npx", "chat", "--help")).stdout, "smoke")
    const errorOf = (...args: ReadonlyArray<string>) =>
      inProject("npx", ...args).then(
        () => "",
        ({ stderr }) => String(stderr).trim()
      )
    const wrong = await errorOf("chat-service", "--colour")
    assert.strictEqual(wrong, "chat-service: unknown flag --colour; chat-service --help lists commands and flags")
    assert.match(await errorOf("chat", "history"), /^chat: .* \(chat history --help\)$/)
    for (const text of [help, wrong]) assert.notInclude(text, "npm start")
    assert.include((await inProject("npx", "chat-service", "--version")).stdout, "0.1.0")
  })

  it("says which Node it needs to one that is too old", async () => {
    const old = "data:text/javascript,import crypto from 'node:crypto'; delete crypto.randomUUIDv7"
    const failed = await inProject(process.execPath, "--import", old, join(installed, "chat-service.js")).catch(
      (error) => error
    )
    assert.deepInclude(failed, {
      code: 1,
      stderr: `chat-service: Node 24.16 or later is required, and this is ${process.version}\n`
    })
  })

  it.live("starts a node with its own database, which serves the page and decodes a picture", () =>
    Effect.gen(function* () {
      const dataDir = join(project, "data")
      const start = 'cd "$0" && exec node_modules/.bin/chat-service --port 0 --data-dir data'
      const settings = { "data.dir": dataDir, "server.web": "true" }
      const node = yield* startNode(settings, { command: ["sh", "-c", start, project] })
      const http = api(node.url)
      assert.strictEqual((yield* http.ask("GET", "/ready")).status, 200)
      const get = (path: string) => Effect.promise(async () => (await fetch(`${node.url}${path}`)).text())
      const [, asset = ""] = /<script type="module"[^>]* src="([^"]+)"/.exec(yield* get("/")) ?? []
      assert.include(yield* get(asset), "export")
      const ann = yield* http.register("ann")
      assert.deepInclude(yield* uploadTo(node.url, ann.token), { contentType: "image/png", width: 1, height: 1 })
      node.kill("SIGTERM")
      assert.strictEqual(yield* node.exit, 0)
    }).pipe(Effect.scoped)
  )
})
