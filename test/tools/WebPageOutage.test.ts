import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Chat } from "../../src/client/Client.ts"
import { freePort } from "../support/NatsServer.ts"
import { dataDirectory, startNode } from "../support/Node.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"
import { buildWeb, choose, launchChromium, messageOf, openPage, type Person, signIn, write } from "../support/Web.ts"

const promise = <A>(run: () => Promise<A>) => Effect.promise(run)

/** The texts of Ann's messages as Bob sees them, from the first one that was written offline. */
const seenBy = (bob: Person) => bob.page.getByRole("log").locator(".markdown").allInnerTexts()

/** Makes a page of another version out of a built one, as a new release has it. */
const release = (folder: string) => {
  const index = readFileSync(join(folder, "index.html"), "utf8")
  const [, entry = ""] = /src="\/assets\/([^"]+)"/.exec(index) ?? []
  writeFileSync(join(folder, "index.html"), index.replace(entry, "released.js"))
  for (const ending of [".br", ".gz"]) rmSync(join(folder, `index.html${ending}`))
  writeFileSync(join(folder, "assets/released.js"), `import "./${entry}"`)
}

describe("the chat page, when the network and the node fail", () => {
  it.live(
    "sends what was written offline once and in order, opens without a network, and goes on after the node was killed and replaced by another version",
    () =>
      Effect.gen(function* () {
        const built = yield* Effect.acquireRelease(Effect.sync(buildWeb), ({ remove }) => Effect.sync(remove))
        const settings = {
          "server.port": yield* freePort,
          "server.web": built.folder,
          "data.dir": yield* dataDirectory
        }
        const node = yield* startNode(settings)
        const browser = yield* Effect.acquireRelease(promise(launchChromium), (it) => promise(() => it.close()))
        for (const username of ["ann", "bob"]) {
          const account = {
            username,
            displayName: username,
            email: `${username}@example.com`,
            password: "correct horse"
          }
          yield* promise(() => Chat.register(node.url, account))
        }
        yield* promise(async () => {
          const chat = new Chat({
            url: node.url,
            tokens: await Chat.login(node.url, { login: "ann", password: "correct horse" })
          })
          const { items } = await chat.ask("user.search", { query: "bob" })
          const { id } = await chat.ask("conversation.create", { kind: "dm", userId: items[0]?.id ?? "" })
          await chat.send(id, "Hello Bob")
          await chat.close()
        })
        const ann = yield* promise(() => openPage(browser, node.url))
        const bob = yield* promise(() => openPage(browser, node.url))
        yield* promise(async () => {
          await signIn(ann, "ann")
          await signIn(bob, "bob")
          await choose(ann, "bob")
          await choose(bob, "ann")

          // From here on the page opens without a network.
          await ann.page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
          await ann.context.setOffline(true)
          await ann.page.getByText("You are offline").waitFor()
          for (const body of ["one", "two", "three"]) await write(ann, body)
          await messageOf(ann, "three").getByRole("img", { name: "Sending" }).waitFor()
          await ann.page.close()
        })
        const again: Person = { ...ann, page: yield* promise(() => ann.context.newPage()) }
        yield* promise(async () => {
          await again.page.goto(node.url)
          await again.page.getByText("You are offline").waitFor()
          await choose(again, "bob")
          await messageOf(again, "Hello Bob").waitFor()
          await messageOf(again, "three").getByRole("img", { name: "Sending" }).waitFor()
          await ann.context.setOffline(false)
          await messageOf(bob, "three").waitFor()
          assert.deepStrictEqual(await seenBy(bob), ["Hello Bob", "one", "two", "three"])
        })

        node.kill("SIGKILL")
        yield* node.exit
        yield* promise(async () => {
          await again.page.getByText("The connection was lost").waitFor()
          await write(again, "written without a node")
          await messageOf(again, "written without a node").getByRole("img", { name: "Sending" }).waitFor()
        })
        release(built.folder)
        yield* startNode(settings)
        yield* promise(async () => {
          await messageOf(bob, "written without a node").waitFor()
          await write(bob, "and it goes on")
          await messageOf(again, "and it goes on").waitFor()
          const texts = ["Hello Bob", "one", "two", "three", "written without a node", "and it goes on"]
          assert.deepStrictEqual(await seenBy(bob), texts)
          assert.deepStrictEqual(await seenBy(again), texts)

          await again.page.getByRole("textbox", { name: "Message bob" }).fill("half a thought")
          await again.page.getByText("There is a new version").waitFor()
          await again.page.getByRole("button", { name: "Reload" }).click()
          await again.page.locator("script[src='/assets/released.js']").waitFor({ state: "attached" })
          await again.page.getByText("and it goes on").first().waitFor()
          assert.strictEqual(
            await again.page.getByRole("textbox", { name: "Message bob" }).inputValue(),
            "half a thought"
          )
          assert.deepStrictEqual([...ann.errors, ...bob.errors], [])
        })
      }).pipe(Effect.scoped),
    longTestTimeout
  )
})
