import { assert, describe, it, vi } from "vitest"
import { patience } from "../support/TimeLimits.ts"
import { choose, messageOf, type Person } from "../support/Web.ts"
import { webPages } from "../support/WebPages.ts"

/** Things of which there are more than fit into two pages. */
const five = ["one", "two", "three", "four", "five"]

describe("the chat page with a service whose pages have two items", () => {
  const { client, person } = webPages({ pageSize: 2 })

  const details = async ({ page }: Person) => {
    await page.getByRole("button", { name: "Details" }).click()
    return page.getByRole("complementary", { name: "Details" })
  }
  /** Presses the button for the next page until there is none. */
  const showAll = async (
    list: ReturnType<Person["page"]["getByRole"]>,
    lines: ReturnType<Person["page"]["locator"]>
  ) => {
    const button = list.getByRole("button", { name: "Show more" })
    for (const count of [2, 4]) {
      await vi.waitFor(async () => assert.strictEqual(await lines.count(), count), { timeout: patience })
      await button.click()
    }
    await button.waitFor({ state: "detached" })
    assert.strictEqual(await lines.count(), five.length)
  }

  it("has all devices, all blocked users, and all members and invites of a group", async () => {
    const ada = await client("ada")
    for (const _ of five) await client("ada")
    const others = await Promise.all(five.map(client))
    const memberIds = others.map(({ userId }) => userId)
    const { id } = await ada.ask("conversation.create", { kind: "group", title: "Room", memberIds })
    for (const _ of five) await ada.ask("invite.create", { conversationId: id })
    for (const userId of memberIds) {
      const dm = await ada.ask("conversation.create", { kind: "dm", userId })
      await ada.send(dm.id, "Hello")
      await ada.ask("block.add", { userId })
    }
    const one = await person("ada")
    const { page } = one
    await choose(one, "Room")
    const panel = await details(one)
    await panel.getByRole("textbox", { name: "Invite link" }).nth(4).waitFor()
    for (const name of five) await panel.locator(".member", { hasText: name }).waitFor()
    for (const name of five) {
      await choose(one, name)
      await details(one)
      await panel.getByRole("button", { name: "Unblock" }).waitFor()
    }
    await page.getByRole("navigation").getByRole("button", { name: "ada", exact: true }).click()
    const dialog = page.getByRole("dialog", { name: "My account" })
    await dialog.getByRole("button", { name: "Devices" }).first().click()
    // Six clients, and the two sessions of `person`.
    await dialog.getByRole("listitem").nth(7).waitFor()
    assert.strictEqual(await dialog.getByRole("listitem").count(), 8)
  })

  it("marks all saved messages, and lists what is saved, pinned, scheduled and found page by page", async () => {
    const [bea, cem] = [await client("bea"), await client("cem")]
    const { id } = await bea.ask("conversation.create", { kind: "group", title: "Lists", memberIds: [cem.userId] })
    const sendAt = new Date(Date.now() + 24 * 3600 * 1000).toISOString()
    for (const body of five) {
      const { messageId } = await bea.send(id, `needle ${body}`)
      await bea.conversation(id).star(messageId)
      await bea.conversation(id).pin(messageId)
      await bea.ask("scheduled.create", { conversationId: id, body, sendAt })
    }
    const one = await person("bea")
    const { page } = one
    await choose(one, "Lists")
    for (const body of five.toReversed())
      await messageOf(one, `needle ${body}`).getByRole("img", { name: "Saved" }).waitFor()

    await page.getByRole("button", { name: "Pinned messages" }).click()
    const pins = page.getByRole("complementary", { name: "Pinned messages" })
    await showAll(pins, pins.getByRole("button", { name: /needle/ }))
    for (const name of ["Saved messages", "Scheduled messages"]) {
      await page.getByRole("button", { name }).click()
      const list = page.getByRole("main", { name })
      await showAll(list, list.locator(".list-line"))
    }
    await page.getByLabel("Search people and messages").fill("needle")
    const found = page.getByRole("region", { name: "Messages" })
    await showAll(found, found.getByRole("button", { name: /needle/ }))
    await page.getByLabel("Search people and messages").fill("ce")
    await page.getByRole("region", { name: "People" }).getByRole("button", { name: "cem" }).waitFor()
  })

  it("shows the newest replies of a thread, and none before a gap from a time without a connection", async () => {
    const [dan, eli] = [await client("dan"), await client("eli")]
    const { id } = await dan.ask("conversation.create", { kind: "group", title: "Threads", memberIds: [eli.userId] })
    const { messageId: threadRoot } = await dan.send(id, "the root")
    await eli.send(id, "reply 1", { threadRoot })
    await eli.send(id, "reply 2", { threadRoot })
    const one = await person("dan")
    const { context, page } = one
    await choose(one, "Threads")
    await messageOf(one, "the root")
      .getByRole("button", { name: /2 replies/ })
      .click()
    const thread = page.getByRole("complementary", { name: "Thread" })
    const reply = (n: number) => thread.getByText(`reply ${n}`, { exact: true })
    await reply(2).waitFor()
    await context.setOffline(true)
    await page.getByText("You are offline").waitFor()
    for (const n of [3, 4, 5]) await eli.send(id, `reply ${n}`, { threadRoot })
    await context.setOffline(false)
    await reply(5).waitFor()
    for (const [before, next] of [
      [4, 3],
      [2, 1]
    ] as const) {
      await reply(before).waitFor()
      await thread.getByRole("button", { name: "Show more" }).click()
      await reply(next).waitFor()
    }
    assert.strictEqual(await thread.getByText(/^reply \d$/).count(), five.length)
  })
})
