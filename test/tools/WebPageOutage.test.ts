import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import sharp from "sharp"
import { Chat } from "../../src/client/Client.ts"
import { freePort } from "../support/NatsServer.ts"
import { dataDirectory, startNode } from "../support/Node.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"
import { buildWeb, choose, launchChromium, messageOf, openPage, type Person, signIn, write } from "../support/Web.ts"

const promise = <A>(run: () => Promise<A>) => Effect.promise(run)

/** The texts of Ann's messages as Bob sees them, from the first one that was written offline. */
const seenBy = async (bob: Person) => {
  const texts = await bob.page.getByRole("log").locator(".markdown").allInnerTexts()
  return texts.slice(texts.indexOf("one"))
}

/** Pastes a file into the text that is being written, and drops another one on the conversation. */
const giveFiles = `([pasted, dropped]) => {
  const carry = (name) => {
    const data = new DataTransfer()
    data.items.add(new File(["something"], name, { type: "text/plain" }))
    return data
  }
  const box = document.querySelector("textarea")
  box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carry(pasted), bubbles: true, cancelable: true }))
  const place = document.querySelector("main")
  place.dispatchEvent(new DragEvent("dragover", { dataTransfer: carry(dropped), bubbles: true, cancelable: true }))
  place.dispatchEvent(new DragEvent("drop", { dataTransfer: carry(dropped), bubbles: true, cancelable: true }))
}`

/** Makes a page of another version out of a built one, as a new release has it. */
const release = (folder: string) => {
  const index = readFileSync(join(folder, "index.html"), "utf8")
  const [, entry = ""] = /src="\/assets\/([^"]+)"/.exec(index) ?? []
  writeFileSync(join(folder, "index.html"), index.replace(entry, "released.js"))
  for (const ending of [".br", ".gz"]) rmSync(join(folder, `index.html${ending}`))
  writeFileSync(join(folder, "assets/released.js"), `import "./${entry}"`)
}

/** A service with two users, who have a conversation, and a browser. */
class Rig extends Context.Service<Rig>()("test/WebPageOutage/Rig", {
  make: Effect.gen(function* () {
    const built = yield* Effect.acquireRelease(Effect.sync(buildWeb), ({ remove }) => Effect.sync(remove))
    const settings = {
      "server.port": yield* freePort,
      "server.web": built.folder,
      "data.dir": yield* dataDirectory
    }
    const service = yield* startNode(settings)
    const browser = yield* Effect.acquireRelease(promise(launchChromium), (it) => promise(() => it.close()))
    for (const username of ["ann", "bob"]) {
      const account = { username, displayName: username, email: `${username}@example.com`, password: "correct horse" }
      yield* promise(() => Chat.register(service.url, account))
    }
    yield* promise(async () => {
      const tokens = await Chat.login(service.url, { login: "ann", password: "correct horse" })
      const chat = new Chat({ url: service.url, tokens })
      const { items } = await chat.ask("user.search", { query: "bob" })
      const { id } = await chat.ask("conversation.create", { kind: "dm", userId: items[0]?.id ?? "" })
      await chat.send(id, "Hello Bob")
      await chat.close()
    })
    return { browser, built, service, settings }
  })
}) {
  static readonly layer = Layer.effect(Rig, Rig.make)
}

layer(Rig.layer, { excludeTestServices: true, timeout: longTestTimeout })("the chat page on a node", (it) => {
  it.effect("sends files that are chosen, pasted and dropped, and shows them where they will be", () =>
    Effect.gen(function* () {
      const { browser, service } = yield* Rig
      const ann = yield* promise(() => openPage(browser, service.url))
      const bob = yield* promise(() => openPage(browser, service.url))
      const photo = yield* promise(() =>
        sharp({ create: { width: 1600, height: 1000, channels: 3, background: "#e65c7b" } })
          .jpeg()
          .toBuffer()
      )
      yield* promise(async () => {
        await signIn(ann, "ann")
        await signIn(bob, "bob")
        await choose(ann, "bob")
        // Bob sees the place of a picture before the picture.
        let open = () => {}
        const gate = new Promise<void>((resolve) => {
          open = resolve
        })
        await bob.page.route(/\/v1\/attachments\/.*thumbnail/, async (route) => {
          await gate
          await route.continue()
        })
        await choose(bob, "ann")
        await ann.page
          .locator("input[type=file]")
          .setInputFiles([{ name: "harbour.jpg", mimeType: "image/jpeg", buffer: photo }])
        await ann.page.evaluate(`(${giveFiles})(["pasted.txt", "dropped.txt"])`)
        await ann.page.getByRole("button", { name: "Remove: pasted.txt" }).waitFor()
        await ann.page.getByRole("button", { name: "Remove: dropped.txt" }).click()
        await write(ann, "From the boat")
        const message = messageOf(bob, "From the boat")
        const place = message.getByRole("button", { name: "Open the picture harbour.jpg" })
        await place.waitFor()
        const before = await place.boundingBox()
        assert.deepStrictEqual([before?.width, before?.height], [380, 238])
        const blurred = await bob.page.evaluate("getComputedStyle(document.querySelector('.picture')).backgroundImage")
        assert.match(String(blurred), /data:image\/png/)
        open()
        await place.locator("img.loaded").waitFor()
        assert.deepStrictEqual(await place.boundingBox(), before)

        await place.click()
        await bob.page.getByRole("dialog", { name: "harbour.jpg" }).getByRole("img", { name: "harbour.jpg" }).waitFor()
        await bob.page.keyboard.press("Escape")
        const download = bob.page.waitForEvent("download")
        await message.getByRole("button", { name: "Download pasted.txt" }).click()
        assert.strictEqual((await download).suggestedFilename(), "pasted.txt")

        await ann.page.getByRole("button", { name: "Record a voice note" }).click()
        await ann.page.getByRole("timer").filter({ hasText: "0:01" }).waitFor()
        await ann.page.getByRole("button", { name: "Send the voice note" }).click()
        await bob.page.getByRole("log").locator("audio").waitFor()
        const bars = await bob.page.getByRole("log").locator(".waveform path").getAttribute("d")
        assert.lengthOf(bars?.split("M").slice(1) ?? [], 64)
        const tokens = await Chat.login(service.url, { login: "bob", password: "correct horse" })
        const listener = new Chat({ url: service.url, tokens })
        const { items: conversations } = await listener.ask("conversation.list", {})
        const { items } = await listener.ask("message.list", { conversationId: conversations[0]?.id ?? "" })
        await listener.close()
        assert.isTrue(items.at(-1)?.attachments[0]?.waveform?.includes(100))

        // What is not sent yet can be taken back.
        await ann.context.setOffline(true)
        await ann.page
          .locator("input[type=file]")
          .setInputFiles([{ name: "secret.txt", mimeType: "text/plain", buffer: Buffer.from("secret") }])
        await write(ann, "never mind")
        await messageOf(ann, "never mind").getByRole("progressbar", { name: "0% uploaded" }).waitFor()
        await messageOf(ann, "never mind").getByRole("button", { name: "Cancel" }).click()
        await messageOf(ann, "never mind").waitFor({ state: "detached" })
        assert.deepStrictEqual([...ann.errors, ...bob.errors], [])
        await ann.context.close()
        await bob.context.close()
      })
    })
  )

  it.effect(
    "opens without a network, sends what was written then once and in order, and goes on after the node was killed and replaced by another version",
    () =>
      Effect.gen(function* () {
        const { browser, built, service, settings } = yield* Rig
        const ann = yield* promise(() => openPage(browser, service.url))
        const bob = yield* promise(() => openPage(browser, service.url))
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
          await again.page.goto(service.url)
          await again.page.getByText("You are offline").waitFor()
          await choose(again, "bob")
          await messageOf(again, "Hello Bob").waitFor()
          await messageOf(again, "three").getByRole("img", { name: "Sending" }).waitFor()
          await ann.context.setOffline(false)
          await messageOf(bob, "three").waitFor()
          assert.deepStrictEqual(await seenBy(bob), ["one", "two", "three"])
        })

        service.kill("SIGKILL")
        yield* service.exit
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
          const texts = ["one", "two", "three", "written without a node", "and it goes on"]
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
