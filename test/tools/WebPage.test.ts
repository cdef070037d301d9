import { readFileSync } from "node:fs"
import decodeQR from "qr/decode.js"
import sharp from "sharp"
import { assert, describe, it, vi } from "vitest"
import type { Chat } from "../../src/client/Client.ts"
import { longTestTimeout, patience } from "../support/TimeLimits.ts"
import { choose, messageOf, signIn, write } from "../support/Web.ts"
import { webPages } from "../support/WebPages.ts"

const axe = readFileSync(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url), "utf8")

/** Runs in the page: whether one of its databases has a text; not only in the list, which is stored before the messages. */
const storesText = `async (text) => {
  const done = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result) })
  for (const { name } of await indexedDB.databases()) {
    const database = await done(indexedDB.open(name))
    const all = []
    for (const store of database.objectStoreNames) all.push(await done(database.transaction(store).objectStore(store).getAll()))
    database.close()
    const known = JSON.stringify(all, (key, value) => (key === "lastMessage" ? undefined : value))
    if (known.includes(text)) return true
  }
  return false
}`

type People = Readonly<Record<"ann" | "bob" | "carla", Chat>>

/** Makes the conversations of the pictures. */
const makeConversation = async ({ ann, bob, carla }: People) => {
  const names = new Map([
    [ann, "Ann Lindqvist"],
    [bob, "Bob Marsh"],
    [carla, "Carla Reyes"]
  ])
  for (const [chat, displayName] of names) await chat.ask("user.update", { displayName })
  const dm = await ann.ask("conversation.create", { kind: "dm", userId: bob.userId })
  await bob.send(dm.id, "Great, reading the notes now")
  const trip = { kind: "group", title: "Lisbon offsite", memberIds: [ann.userId] } as const
  await carla.send((await carla.ask("conversation.create", trip)).id, "Who takes the morning train?")
  const memberIds = [bob.userId, carla.userId]
  const { id } = await ann.ask("conversation.create", { kind: "group", title: "Design crit", memberIds })
  await carla.send(
    id,
    "I tried **three directions**:\n\n1. the quiet one\n2. the picture\n3. the one that teaches a key"
  )
  const { messageId } = await bob.send(id, "3 for me. It is the only one that helps on day two.")
  await ann.ask("reaction.add", { conversationId: id, messageId, emoji: "👍" })
  await carla.ask("reaction.add", { conversationId: id, messageId, emoji: "🎉" })
  await carla.send(id, 'Like this:\n\n```ts\nconst hint = keys.get("switch") ?? "Ctrl K"\n```')
  const question = await carla.send(id, "@lead what do you think? See https://example.com/crit")
  await bob.send(id, "I can build it today", { threadRoot: question.messageId })
  await ann.send(id, "Three, with a shorter second line.", { replyTo: question.messageId })
}

describe("the chat page in Chromium", () => {
  const { client, open, person, url } = webPages()

  it("lets a newcomer create an account, stay signed in, and sign out", async () => {
    const one = await person()
    const { page } = one
    await page.getByRole("button", { name: "Create an account" }).click()
    await page.getByLabel("Your name").fill("Nora New")
    await page.getByLabel("Username").fill("nora")
    await page.getByLabel("E-mail").fill("nora@example.com")
    await page.getByLabel("Password").fill("correct horse")
    await page.getByRole("button", { name: "Create account" }).click()
    await page.getByText("No conversations yet").waitFor()
    await page.reload()
    await page.getByText("No conversations yet").waitFor()
    await page.getByRole("button", { name: "Nora New" }).click()
    await page.getByRole("button", { name: "Sign out" }).click()
    await page.getByRole("heading", { name: "Welcome back" }).waitFor()
    await page.getByLabel("Username or e-mail").fill("nora")
    await page.getByLabel("Password").fill("wrong horse")
    await page.getByRole("button", { name: "Sign in" }).click()
    await page.getByText("The username or the password is wrong.").waitFor()
  })

  it("keeps the colours that were chosen over a reload", async () => {
    const { page } = await person("nils")
    await page.getByRole("button", { name: "nils" }).click()
    await page.getByLabel("Colours").selectOption("Dark")
    await page.reload()
    await page.getByText("No conversations yet").waitFor()
    assert.strictEqual(await page.evaluate("getComputedStyle(document.documentElement).colorScheme"), "dark")
  })

  it("takes two people from a search for a name to a conversation, live", async () => {
    const [ann, bob] = [await person("ann"), await person("bob")]
    await ann.page.getByRole("button", { name: "New conversation" }).first().click()
    await ann.page.getByLabel("Find people by name").fill("bob")
    await ann.page.getByRole("button", { name: "bob" }).click()
    await ann.page.getByRole("dialog").getByRole("button", { name: "Message" }).click()
    await write(ann, "Hello **Bob**")
    await messageOf(ann, "Hello Bob")
      .getByRole("img", { name: /Sent|Delivered/ })
      .waitFor()

    await bob.page.getByRole("button", { name: "1 unread message" }).waitFor()
    await choose(bob, "ann")
    await messageOf(bob, "Hello Bob").locator("strong", { hasText: "Bob" }).last().waitFor()
    await messageOf(ann, "Hello Bob").getByRole("img", { name: "Read" }).waitFor()

    await bob.page.getByRole("textbox", { name: "Message ann" }).pressSequentially("I se")
    await ann.page.getByText("bob is typing").first().waitFor()
    await write(bob, "I see")
    await messageOf(ann, "I see").hover()
    await messageOf(ann, "I see").getByRole("button", { name: "React with 👍" }).click()
    await messageOf(bob, "I see").getByRole("button", { name: "👍, 1 reaction" }).waitFor()

    await messageOf(bob, "I see").hover()
    await messageOf(bob, "I see").getByRole("button", { name: "More" }).click()
    await bob.page.getByRole("menuitem", { name: "Edit" }).click()
    await write(bob, "I see you")
    await messageOf(ann, "I see you").getByText("(edited)").waitFor()

    await messageOf(ann, "I see you").hover()
    await messageOf(ann, "I see you").getByRole("button", { name: "Reply", exact: true }).click()
    await write(ann, "Fine")
    await messageOf(bob, "Fine").getByRole("button", { name: "I see you" }).waitFor()

    await messageOf(ann, "Fine").hover()
    await messageOf(ann, "Fine").getByRole("button", { name: "More" }).click()
    await ann.page.getByRole("menuitem", { name: "Delete" }).click()
    await ann.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click()
    await bob.page.getByRole("log").getByText("Message deleted").waitFor()

    await messageOf(ann, "Hello Bob").hover()
    await messageOf(ann, "Hello Bob").getByRole("button", { name: "Reply in thread" }).click()
    await write(ann, "Only in the thread")
    await messageOf(bob, "Hello Bob").getByRole("button", { name: "1 reply" }).click()
    await bob.page.getByRole("complementary", { name: "Thread" }).getByText("Only in the thread").waitFor()
  })

  it("shows hostile text as text, in its place", async () => {
    const [mallory, ann] = [await client("mallory"), await client("ann")]
    const { id } = await mallory.ask("conversation.create", { kind: "dm", userId: ann.userId })
    const hostile = [
      `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`,
      "[click](javascript:document.title='owned') ![pixel](https://example.com/pixel.png)",
      "x".repeat(8000),
      `${"> ".repeat(400)}deep ${"[".repeat(400)} ${"**".repeat(400)}`,
      "\u202eright to left\u202c",
      `z${"\u0300\u0301\u0316".repeat(300)}algo`,
      `${"|a".repeat(1500)}\n${"|-".repeat(1500)}\n${"|\n".repeat(40)}`
    ]
    for (const body of hostile) await mallory.send(id, body)
    await mallory.send(id, "the last one")
    const requests: Array<string> = []
    const one = await person("ann")
    one.page.on("request", (request) => requests.push(request.url()))
    await choose(one, "mallory")
    const hostileElements = one.page.locator(".markdown :is(img, script, iframe, [href^='javascript'])")
    await messageOf(one, `<script>document.title='owned'</script>`).waitFor()
    assert.strictEqual(await hostileElements.count(), 0)
    await one.page.getByRole("button", { name: "Jump to the newest messages" }).click()
    await messageOf(one, "the last one").waitFor()
    assert.deepStrictEqual(
      requests.filter((address) => !address.startsWith(url())),
      []
    )
    assert.strictEqual(await hostileElements.count(), 0)
    assert.strictEqual(await one.page.locator(".markdown td").count(), 0)
    assert.notInclude(await one.page.title(), "owned")
    await mallory.send(id, "and *without* [signs](https://example.com) in the `list`")
    await one.page.locator(".row-preview", { hasText: "and without signs in the list" }).waitFor()
    const width = (await one.page.getByRole("log").boundingBox())?.width ?? 0
    for (const part of await one.page.locator(".markdown p").all()) {
      const box = await part.boundingBox()
      assert.isAtMost(box?.width ?? width, width)
    }
    assert.isFalse(await one.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
  })

  it("opens at the first unread message, and a search leads to a message far above", async () => {
    const [dora, ann] = [await client("dora"), await client("ann")]
    const { id } = await dora.ask("conversation.create", { kind: "group", title: "Long", memberIds: [ann.userId] })
    for (let at = 1; at <= 120; at++) await dora.send(id, at === 3 ? "the needle" : `number ${at}.`)
    const { seq } = await dora.ask("conversation.get", { conversationId: id })
    await ann.ask("read.mark", { conversationId: id, seq: seq - 60 })
    const one = await person("ann")
    await choose(one, "Long")
    await one.page.getByRole("heading", { name: "New messages" }).waitFor()
    await messageOf(one, "number 61.").waitFor()
    assert.strictEqual(await messageOf(one, "number 120.").count(), 0)
    // Only what is near the screen is there.
    assert.isBelow(await one.page.getByRole("log").getByRole("article").count(), 60)

    await one.page.getByRole("textbox", { name: "Search" }).fill("needle")
    await one.page.getByRole("region", { name: "Messages" }).getByRole("button", { name: "the needle" }).click()
    await messageOf(one, "the needle").waitFor()
    await messageOf(one, "number 4.").waitFor()
    await one.page.getByRole("button", { name: "Jump to the newest messages" }).click()
    await messageOf(one, "number 120.").waitFor()
    await one.page.getByRole("textbox", { name: "Search" }).fill("")
    await one.page.getByRole("button", { name: /^Long(?!.*unread)/ }).waitFor()
  })

  it("lets the owner of a group lead it, and others join by a link", async () => {
    const [emil, fay] = [await person("emil"), await person("fay")]
    await emil.page.getByRole("button", { name: "New conversation" }).first().click()
    await emil.page.getByLabel("Name of the group").fill("Climbers")
    await emil.page.getByRole("button", { name: "New group" }).click()
    await emil.page.getByRole("button", { name: "Details" }).click()
    await emil.page.getByRole("button", { name: "Create a link" }).click()
    const link = await emil.page.getByLabel("Invite link").inputValue()
    await emil.page.getByRole("button", { name: "QR code" }).click()
    const code = emil.page.getByRole("img", { name: "QR code" })
    const { data, info } = await sharp(await code.screenshot())
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
    assert.strictEqual(decodeQR({ ...info, data }), link)
    await emil.page.keyboard.press("Escape")
    await fay.page.goto(link)
    await fay.page.getByRole("textbox", { name: "Message Climbers" }).waitFor()
    await emil.page.getByRole("button", { name: "More: fay" }).click()
    await emil.page.getByRole("menuitem", { name: "Make admin" }).click()
    await emil.page.getByRole("complementary").getByText("Admin", { exact: true }).waitFor()
    await emil.page.getByRole("button", { name: "Mute" }).click()
    await emil.page.getByRole("navigation").getByRole("img", { name: "Muted" }).waitFor()
    await fay.page.keyboard.press("Control+k")
    await fay.page.getByRole("combobox", { name: "Go to a conversation" }).fill("climb")
    await fay.page.getByRole("option", { name: "Climbers" }).waitFor()
  })

  it("lets guests in by a link, marks them, and makes an account of one", async () => {
    const host = await client("host")
    await host.ask("conversation.create", { kind: "group", title: "Open evening", memberIds: [] })
    const [owner, guest] = [await person("host"), await person()]
    await choose(owner, "Open evening")
    await owner.page.getByRole("button", { name: "Details" }).click()
    await owner.page.getByRole("button", { name: "Invite guests" }).click()
    await owner.page.getByText("for guests too").waitFor()
    await guest.page.goto(await owner.page.getByLabel("Invite link").inputValue())
    await guest.page.getByRole("heading", { name: "You are invited" }).waitFor()
    await guest.page.getByLabel("Your name").fill("Gus")
    await guest.page.getByRole("button", { name: "Join as a guest" }).click()
    await guest.page.getByRole("textbox", { name: "Message Open evening" }).waitFor()
    await write(guest, "I only look in")
    await messageOf(owner, "I only look in").getByText("Guest", { exact: true }).waitFor()
    await owner.page.getByRole("complementary").getByText("Guest", { exact: true }).waitFor()
    assert.strictEqual(await guest.page.getByRole("button", { name: "New conversation" }).count(), 0)
    await guest.page.getByRole("button", { name: "Details" }).click()
    await guest.page.getByRole("complementary").getByText("Owner", { exact: true }).waitFor()
    assert.strictEqual(await guest.page.getByRole("button", { name: "More: host" }).count(), 0)
    await guest.page.getByRole("complementary").getByRole("button", { name: "Close" }).click()

    await guest.page.getByRole("navigation").getByRole("button", { name: "Gus", exact: true }).click()
    const dialog = guest.page.getByRole("dialog")
    await dialog.getByRole("button", { name: "Make this an account" }).click()
    const form = dialog.locator("form")
    await form.getByLabel("Username").fill("host")
    await form.getByLabel("E-mail").fill("guy@example.com")
    await form.getByLabel("Password").fill("correct horse")
    await form.getByRole("button", { name: "Make this an account" }).click()
    await form.getByText("This username is taken.").waitFor()
    await form.getByLabel("Username").fill("guy")
    await form.getByRole("button", { name: "Make this an account" }).click()
    await dialog.getByText("@guy").waitFor()
    assert.strictEqual(await dialog.getByRole("button", { name: "Make this an account" }).count(), 0)
    await dialog.getByRole("button", { name: "Sign out" }).click()
    await signIn(guest, "guy")
    await choose(guest, "Open evening")
    await guest.page.getByRole("button", { name: "New conversation" }).waitFor()
  })

  it("takes a poll: made, voted in, taken back, and ended", async () => {
    const [pat, ann] = [await client("pat"), await client("ann")]
    const { id } = await pat.ask("conversation.create", { kind: "group", title: "Lunch", memberIds: [ann.userId] })
    const [one, other] = [await person("pat"), await person("ann")]
    await choose(one, "Lunch")
    await choose(other, "Lunch")
    await one.page.getByRole("button", { name: "Poll" }).click()
    const dialog = one.page.getByRole("dialog", { name: "Poll" })
    await dialog.getByLabel("Question").fill("Where to?")
    await dialog.getByLabel("Answer 1").fill("Noodles")
    await dialog.getByLabel("Answer 2").fill("Tacos")
    await dialog.getByRole("button", { name: "Add an answer" }).click()
    await dialog.getByRole("textbox", { name: "Answer 3" }).fill("Nowhere")
    await dialog.getByRole("button", { name: "Remove: Answer 3" }).click()
    await dialog.getByRole("button", { name: "Send" }).click()
    const [asked, seen] = [messageOf(one, "Where to?"), messageOf(other, "Where to?")]
    await seen.getByRole("radio", { name: "Tacos" }).check()
    await asked.getByRole("radio", { name: "Tacos 1 vote" }).waitFor()
    await seen.getByRole("radio", { name: "Noodles" }).check()
    await asked.getByRole("radio", { name: "Noodles 1 vote" }).waitFor()
    await seen.getByRole("radio", { name: "Noodles" }).click()
    await asked.getByRole("radio", { name: "Noodles 0 votes" }).waitFor()
    assert.isFalse(await seen.getByRole("radio", { name: "Noodles" }).isChecked())
    // A vote on another device of hers.
    const { lastMessage } = await ann.ask("conversation.get", { conversationId: id })
    await ann.conversation(id).vote(lastMessage?.id ?? "", [1])
    await seen.getByRole("radio", { name: "Tacos 1 vote", checked: true }).waitFor()
    await one.page.getByRole("navigation").getByText("You: Where to?").waitFor()

    const poll = { question: "Too late?", options: ["Yes", "No"], multiple: true }
    const slow = await person("ann")
    await slow.page.clock.setFixedTime(Date.now() - 3_600_000)
    await choose(slow, "Lunch")
    const closesAt = new Date(Date.now() + 5000).toISOString()
    await pat.send(id, poll.question, { type: "poll", payload: { ...poll, closesAt } })
    await messageOf(other, "Too late?").getByText("This poll has ended").waitFor()
    assert.isTrue(await messageOf(other, "Too late?").getByRole("checkbox", { name: "Yes" }).isDisabled())
    // Where the clock is slow, the vote is shown until the service has refused it.
    const late = messageOf(slow, "Too late?").getByRole("checkbox", { name: "Yes" })
    await late.click()
    await slow.page.locator(".notices p").waitFor()
    assert.isFalse(await late.isChecked())
  })

  it("says for each reason what is wrong with a field, in the language of the browser", async () => {
    for (const [locale, labels, reserved, sequence, length] of [
      ["en", ["Create an account", "Your name", "Username", "E-mail", "Password"], "Nobody may", "sequence", "3 to 32"],
      ["de", ["Konto erstellen", "Dein Name", "Benutzername", "E-Mail", "Passwort"], "niemand", "Folge", "3 bis 32"]
    ] as const) {
      const { page } = await person(undefined, { locale })
      const [create, ...fields] = labels
      await page.getByRole("button", { name: create }).first().click()
      for (const [place, value] of ["Al", "all", "al@example.com", "12345678"].entries())
        await page.getByLabel(fields[place] ?? "", { exact: true }).fill(value)
      await page.locator("form button[type=submit]").click()
      await page.locator(".field .error").getByText(reserved).waitFor()
      await page.locator(".field .error").getByText(sequence).waitFor()
      await page.getByLabel(fields[1], { exact: true }).fill("al")
      await page.locator("form button[type=submit]").click()
      await page.locator(".field .error").getByText(length).waitFor()
    }
  })

  it("keeps an edit over a reload, and forgets it with the files that were chosen when another person signs in", async () => {
    const [ann, bob] = [await client("ann"), await client("bob")]
    const { id } = await ann.ask("conversation.create", { kind: "group", title: "Safe", memberIds: [bob.userId] })
    await ann.send(id, "a frist draft")
    await ann.send(id, "another message")
    const one = await person("ann")
    const box = one.page.getByRole("textbox", { name: "Message Safe" })
    const edit = async (body: string) => {
      await messageOf(one, body).hover()
      await messageOf(one, body).getByRole("button", { name: "More" }).click()
      await one.page.getByRole("menuitem", { name: "Edit" }).click()
    }
    await choose(one, "Safe")
    await edit("a frist draft")
    await box.fill("a first draft")
    await edit("another message")
    await one.page.waitForFunction("document.querySelector('textarea').value === 'another message'")
    await edit("a frist draft")
    await box.fill("a first draft")
    await one.page.reload()
    await one.page.getByText("Edit message", { exact: true }).waitFor()
    assert.strictEqual(await box.inputValue(), "a first draft")
    await box.press("Enter")
    await messageOf(one, "a first draft").getByText("(edited)").waitFor()
    assert.strictEqual(await box.inputValue(), "")
    await one.page
      .locator("input[type=file]")
      .setInputFiles([{ name: "secret.txt", mimeType: "text/plain", buffer: Buffer.from("secret") }])
    await one.page.getByRole("button", { name: "Remove: secret.txt" }).waitFor()
    await edit("a first draft")
    await box.fill("a secret draft")

    await one.page.getByRole("navigation").getByRole("button", { name: "ann", exact: true }).click()
    await one.page.getByRole("button", { name: "Sign out" }).click()
    await signIn(one, "bob")
    await choose(one, "Safe")
    await messageOf(one, "a first draft").waitFor()
    assert.strictEqual(await one.page.getByRole("button", { name: "Remove: secret.txt" }).count(), 0)
    assert.strictEqual(await box.inputValue(), "")
    const kept = "JSON.stringify([...Object.entries(sessionStorage), ...Object.entries(localStorage)])"
    assert.notInclude(String(await one.page.evaluate(kept)), "a secret draft")
  })

  it("keeps an edit until the service has it, and goes on with the message as it is now", async () => {
    const [ann, bob] = [await client("ann"), await client("bob")]
    const { id } = await ann.ask("conversation.create", { kind: "group", title: "Away", memberIds: [bob.userId] })
    const { messageId } = await ann.send(id, "a frist draft")
    const one = await person("ann")
    const { context, page } = one
    const box = page.getByRole("textbox", { name: "Message Away" })
    const editing = page.getByText("Edit message", { exact: true })
    const edit = async () => {
      await box.press("ArrowUp")
      await editing.waitFor()
    }
    const forgotten = () =>
      vi.waitUntil(async () => (await page.evaluate("sessionStorage.length")) === 0, { timeout: patience })
    const away = async (act: () => Promise<unknown>) => {
      await page.goto("about:blank")
      await act()
      await page.goto(`${url()}/#/c/${id}`)
    }
    await choose(one, "Away")
    await messageOf(one, "a frist draft").waitFor()
    await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    await vi.waitUntil(() => page.evaluate(`(${storesText})("a frist draft")`), { timeout: patience })

    await edit()
    await box.fill("a first draft")
    await context.setOffline(true)
    await page.getByText("You are offline").waitFor()
    // Chromium leaves a socket open that was there before.
    await page.reload()
    await editing.waitFor()
    await box.press("Enter")
    await editing.waitFor({ state: "detached" })
    await page.reload()
    await editing.waitFor()
    assert.strictEqual(await box.inputValue(), "a first draft")
    await box.press("Enter")
    await context.setOffline(false)
    await messageOf(one, "a first draft").getByText("(edited)").waitFor()
    assert.strictEqual(await box.inputValue(), "")
    await forgotten()

    await edit()
    await box.fill("the last draft")
    await away(() => ann.conversation(id).edit(messageId, "the draft of another device"))
    await page.locator(".about").getByText("the draft of another device").waitFor()
    assert.strictEqual(await box.inputValue(), "the last draft")

    for (let n = 0; n < 100; n++)
      await ann
        .conversation(id)
        .edit(messageId, `draft ${n}`)
        .catch(() => {})
    await box.press("Enter")
    await page.locator(".notices p").waitFor()
    await editing.waitFor()
    assert.strictEqual(await box.inputValue(), "the last draft")

    await away(() => ann.conversation(id).delete(messageId))
    await forgotten()
    assert.strictEqual(await editing.count(), 0)
    assert.strictEqual(await box.inputValue(), "")
  })

  it("keeps an edit that fails while another message is being edited", async () => {
    const [ann, bob] = [await client("ann"), await client("bob")]
    const { id } = await ann.ask("conversation.create", { kind: "group", title: "Both", memberIds: [bob.userId] })
    const { messageId } = await ann.send(id, "first")
    for (let n = 0; n < 100; n++) await ann.conversation(id).edit(messageId, `first ${n}`)
    await ann.send(id, "second")
    const one = await person("ann")
    const { context, page } = one
    const box = page.getByRole("textbox", { name: "Message Both" })
    const edit = async (body: string) => {
      await messageOf(one, body).hover()
      await messageOf(one, body).getByRole("button", { name: "More" }).click()
      await page.getByRole("menuitem", { name: "Edit" }).click()
      await page.locator(".about").getByText(body).waitFor()
    }
    await choose(one, "Both")
    await messageOf(one, "first 99").waitFor()
    await page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    await vi.waitUntil(() => page.evaluate(`(${storesText})("second")`), { timeout: patience })
    await context.setOffline(true)
    await page.reload()
    await page.getByText("You are offline").waitFor()
    await edit("first 99")
    await box.fill("the first text")
    await box.press("Enter")
    await edit("second")
    await box.fill("the second text")
    await context.setOffline(false)
    await page.locator(".notices p").waitFor()
    assert.strictEqual(await box.inputValue(), "the second text")
    await box.press("Enter")
    await messageOf(one, "the second text").waitFor()
    await edit("first 99")
    assert.strictEqual(await box.inputValue(), "the first text")
  })

  it("sends later, and lists what is waiting", async () => {
    const [sam, ann] = [await client("sam"), await client("ann")]
    const { id } = await sam.ask("conversation.create", { kind: "dm", userId: ann.userId })
    await sam.send(id, "Good night")
    const one = await person("sam")
    const { page } = one
    await choose(one, "ann")
    await page.getByRole("textbox", { name: "Message ann" }).fill("Good morning")
    await page.getByRole("button", { name: "Send later" }).click()
    await page.getByRole("button", { name: "In an hour" }).click()
    await page.getByText("It will be sent on").waitFor()
    assert.strictEqual(await page.getByRole("textbox", { name: "Message ann" }).inputValue(), "")
    await page.getByRole("button", { name: "Scheduled messages" }).click()
    const list = page.getByRole("main", { name: "Scheduled messages" })
    await list.getByText("Good morning").waitFor()
    const [first] = (await sam.ask("scheduled.list", {})).items
    await list.getByRole("button", { name: "Change the time" }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Tomorrow morning" }).click()
    await page.getByRole("dialog").waitFor({ state: "detached" })
    const [second] = (await sam.ask("scheduled.list", {})).items
    assert.deepStrictEqual([second?.id, second?.body], [first?.id, "Good morning"])
    assert.isAbove(Date.parse(second?.sendAt ?? ""), Date.parse(first?.sendAt ?? ""))
    await list.getByRole("button", { name: "Do not send" }).click()
    await list.getByText("Nothing is waiting to be sent.").waitFor()
    await page.keyboard.press("Escape")
    await page.getByRole("heading", { name: "Choose a conversation" }).waitFor()
  })

  it("forwards, saves and pins, and lists what is saved and pinned", async () => {
    const [tess, ann] = [await client("tess"), await client("ann")]
    const { id } = await tess.ask("conversation.create", { kind: "group", title: "Source", memberIds: [ann.userId] })
    await tess.ask("conversation.create", { kind: "group", title: "Target", memberIds: [ann.userId] })
    await tess.send(id, "Worth keeping")
    const one = await person("tess")
    const { page } = one
    const act = async (name: string) => {
      await messageOf(one, "Worth keeping").hover()
      await messageOf(one, "Worth keeping").getByRole("button", { name: "More" }).click()
      await page.getByRole("menuitem", { name, exact: true }).click()
    }
    await choose(one, "Source")
    await act("Save for later")
    await messageOf(one, "Worth keeping").getByRole("img", { name: "Saved" }).waitFor()
    await page.reload()
    await messageOf(one, "Worth keeping").getByRole("img", { name: "Saved" }).waitFor()
    await act("Pin")
    await act("Forward")
    await page.getByRole("combobox", { name: "Forward to" }).fill("targ")
    await page.keyboard.press("Enter")
    await page.getByText("Forwarded to Target").waitFor()

    await page.getByRole("button", { name: "Pinned messages" }).click()
    const pins = page.getByRole("complementary", { name: "Pinned messages" })
    await pins.getByRole("button", { name: "Worth keeping" }).click()
    await pins.waitFor({ state: "detached" })
    await choose(one, "Target")
    await messageOf(one, "Worth keeping").waitFor()

    await page.getByRole("button", { name: "Saved messages" }).click()
    const saved = page.getByRole("main", { name: "Saved messages" })
    await saved.getByRole("button", { name: "Worth keeping" }).click()
    await page.getByRole("main", { name: "Source" }).waitFor()
    await page.getByRole("button", { name: "Saved messages" }).click()
    await saved.getByRole("button", { name: "Remove from saved" }).click()
    await saved.getByText("You have saved no messages.").waitFor()
  })

  it("asks before it deletes in a thread too, and says who has read a message", async () => {
    const [uma, ann] = [await client("uma"), await client("ann")]
    const { id } = await uma.ask("conversation.create", { kind: "group", title: "Threads", memberIds: [ann.userId] })
    const { messageId, seq } = await uma.send(id, "the root")
    await uma.send(id, "a slip", { threadRoot: messageId })
    await ann.ask("read.mark", { conversationId: id, seq })
    const one = await person("uma")
    await choose(one, "Threads")
    await messageOf(one, "the root").hover()
    await messageOf(one, "the root").getByRole("button", { name: "More" }).click()
    await one.page.getByRole("menuitem", { name: "Read by" }).click()
    await one.page.getByRole("dialog", { name: "Read by" }).getByText("ann").waitFor()
    await one.page.keyboard.press("Escape")
    await messageOf(one, "the root").getByRole("button", { name: "1 reply" }).click()
    const slip = one.page
      .getByRole("complementary", { name: "Thread" })
      .getByRole("article")
      .filter({ hasText: "slip" })
    await slip.hover()
    await slip.getByRole("button", { name: "More" }).click()
    await one.page.getByRole("menuitem", { name: "Delete" }).click()
    await one.page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click()
    await slip.getByText("a slip").waitFor()
    await slip.hover()
    await slip.getByRole("button", { name: "More" }).click()
    await one.page.getByRole("menuitem", { name: "Delete" }).click()
    await one.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click()
    await one.page.getByRole("complementary").getByText("Message deleted").waitFor()
  })

  it("offers emoji by name, and shows what Markdown will look like", async () => {
    const [vic, ann] = [await client("vic"), await client("ann")]
    await vic.send((await vic.ask("conversation.create", { kind: "dm", userId: ann.userId })).id, "Hi")
    const one = await person("vic")
    const { page } = one
    await choose(one, "ann")
    const box = page.getByRole("textbox", { name: "Message ann" })
    await box.fill("To the **moon** ")
    await page.getByRole("button", { name: "Emoji" }).click()
    await page.getByRole("textbox", { name: "Search emoji" }).fill("rock")
    await page.getByRole("button", { name: "rocket" }).waitFor()
    await page.keyboard.press("ArrowDown")
    await page.getByRole("button", { name: "rocket" }).press("Enter")
    await page.getByRole("textbox", { name: "Search emoji" }).waitFor({ state: "detached" })
    assert.strictEqual(await box.inputValue(), "To the **moon** 🚀")
    await page.getByRole("button", { name: "Preview" }).click()
    await page.getByRole("region", { name: "Preview" }).locator("strong", { hasText: "moon" }).waitFor()
    await page.getByRole("button", { name: "Send", exact: true }).click()
    await messageOf(one, "To the moon 🚀").hover()
    await messageOf(one, "To the moon 🚀").getByRole("button", { name: "React with another emoji" }).click()
    await page.getByRole("textbox", { name: "Search emoji" }).fill("tada")
    await page.keyboard.press("Enter")
    await messageOf(one, "To the moon 🚀").getByRole("button", { name: "🎉, 1 reaction" }).waitFor()
  })

  it(
    "has no fault that axe knows, in light and dark, wide and narrow",
    async () => {
      const [gus, ann] = [await client("gus"), await client("ann")]
      const { id } = await gus.ask("conversation.create", { kind: "group", title: "Checked", memberIds: [ann.userId] })
      const { messageId } = await gus.send(id, "A **text** with `code` and @ann, https://example.com")
      await gus.send(id, "a reply", { threadRoot: messageId })
      await ann.ask("reaction.add", { conversationId: id, messageId, emoji: "👍" })
      await gus.conversation(id).pin(messageId)
      await ann.conversation(id).star(messageId)
      const sendAt = new Date(Date.now() + 3_600_000).toISOString()
      await ann.ask("scheduled.create", { conversationId: id, body: "In an hour", sendAt })
      const payload = { question: "Which?", options: ["This", "That"] }
      await gus.send(id, payload.question, { type: "poll", payload })
      const faults: Array<unknown> = []
      const one = await person()
      const check = async (screen: string) => {
        // Colours are judged at the end of each transition.
        const found = await one.page.evaluate(`${axe}; Promise.all(document.getAnimations().map((it) => it.finished))
        .then(() => axe.run()).then(({ violations }) => violations.map(({ id, nodes }) => id + " " + nodes[0].html))`)
        if (Array.isArray(found)) faults.push(...found.map((fault) => `${screen}: ${fault}`))
      }
      await one.page.getByRole("button", { name: "Sign in" }).waitFor()
      await check("sign in")
      await one.page.getByRole("button", { name: "Create an account" }).click()
      await check("sign up")
      await one.page.getByRole("button", { name: "I have an account" }).click()
      await signIn(one, "ann")
      await check("list")
      await choose(one, "Checked")
      await messageOf(one, "with code").hover()
      await messageOf(one, "with code").getByRole("button", { name: "More" }).waitFor()
      await check("conversation")
      await one.page.emulateMedia({ colorScheme: "dark" })
      await check("dark")
      await messageOf(one, "with code").getByRole("button", { name: "1 reply" }).click()
      await one.page.getByRole("complementary").getByText("a reply").waitFor()
      await check("thread")
      await one.page.getByRole("button", { name: "Details" }).click()
      await one.page.getByRole("complementary").getByText("gus", { exact: true }).waitFor()
      await check("details")
      await one.page.getByRole("button", { name: "ann", exact: true }).first().click()
      await one.page.getByRole("dialog").getByLabel("Your name").waitFor()
      await check("account")
      await one.page.keyboard.press("Escape")
      await one.page.getByRole("textbox", { name: "Message Checked" }).fill("**later**")
      for (const tool of ["Poll", "Send later", "Emoji"]) {
        await one.page.getByRole("button", { name: tool, exact: true }).click()
        await one.page.getByRole("dialog").waitFor()
        // All 1,900 of them would take axe most of a minute, and are alike.
        if (tool === "Emoji") await one.page.getByRole("textbox", { name: "Search emoji" }).fill("rocket")
        if (tool === "Emoji")
          await one.page.getByRole("button", { name: "grinning face", exact: true }).waitFor({ state: "detached" })
        await check(tool)
        await one.page.keyboard.press("Escape")
        await one.page.getByRole("dialog").waitFor({ state: "detached" })
      }
      await one.page.getByRole("button", { name: "Preview" }).click()
      await check("preview")
      await one.page.getByRole("button", { name: "Preview" }).click()
      await one.page.getByRole("button", { name: "Pinned messages" }).click()
      await one.page.getByRole("complementary", { name: "Pinned messages" }).getByText("https://example.com").waitFor()
      await check("pinned")
      for (const list of ["Saved messages", "Scheduled messages"]) {
        await one.page.getByRole("button", { name: list }).click()
        await one.page.getByRole("main", { name: list }).getByRole("button").last().waitFor()
        await check(list)
      }
      await choose(one, "Checked")
      await one.page.setViewportSize({ width: 360, height: 700 })
      await check("narrow")
      assert.deepStrictEqual(faults, [])
    },
    longTestTimeout
  )

  it("looks as in the pictures of the README, which PICTURES=1 makes again", async () => {
    await makeConversation({ ann: await client("lead"), bob: await client("bob"), carla: await client("carla") })
    for (const colorScheme of ["light", "dark"] as const) {
      const one = await person("lead", { colorScheme, viewport: { width: 1200, height: 750 } })
      await choose(one, "Design crit")
      await messageOf(one, "shorter second line").waitFor()
      await messageOf(one, "what do you think").getByRole("button", { name: "1 reply" }).click()
      await one.page.getByRole("complementary", { name: "Thread" }).getByText("I can build it today").waitFor()
      const file = new URL(`../../docs/pictures/web-${colorScheme}.png`, import.meta.url).pathname
      const picture = await one.page.screenshot(process.env.PICTURES === undefined ? {} : { path: file })
      assert.isBelow(picture.length, 200_000)
      assert.isAbove(readFileSync(file).length, 50_000)
    }
  })

  it("loads at most 260 kB until a conversation is shown, all of it from the service", async () => {
    const [carl, ann] = [await client("carl"), await client("ann")]
    const { id } = await carl.ask("conversation.create", { kind: "dm", userId: ann.userId })
    await carl.send(id, "Measure me")
    const sizes: Array<number> = []
    const one = await open({}, "about:blank")
    const session = await one.context.newCDPSession(one.page)
    await session.send("Network.enable")
    session.on("Network.loadingFinished", ({ encodedDataLength }) => sizes.push(encodedDataLength))
    await one.page.goto(url())
    await signIn(one, "ann")
    await choose(one, "carl")
    await messageOf(one, "Measure me").waitFor()
    const total = sizes.reduce((sum, size) => sum + size, 0)
    assert.isBelow(total, 260_000)
    assert.isAbove(total, 100_000)
  })
})
