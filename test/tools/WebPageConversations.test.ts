import { assert, describe, it, vi } from "vitest"
import { patience } from "../support/TimeLimits.ts"
import { choose, messageOf, type Person, write } from "../support/Web.ts"
import { webPages } from "../support/WebPages.ts"

describe("conversations on the chat page in Chromium", () => {
  const { client, person } = webPages()

  const rowOf = ({ page }: Person, title: string) => page.getByRole("navigation").locator(".row", { hasText: title })
  /** Waits until the list has these conversations, in this order. */
  const listed = ({ page }: Person, titles: ReadonlyArray<string>) =>
    vi.waitFor(
      async () => {
        assert.deepStrictEqual(await page.getByRole("navigation").locator(".row-title").allInnerTexts(), titles)
      },
      { timeout: patience }
    )
  const details = async ({ page }: Person) => {
    await page.getByRole("button", { name: "Details" }).click()
    return page.getByRole("complementary", { name: "Details" })
  }

  it("pins, mutes and archives a conversation", async () => {
    const [ada, ben] = [await client("ada"), await client("ben")]
    const make = (title: string) => ada.ask("conversation.create", { kind: "group", title, memberIds: [ben.userId] })
    const first = await make("First")
    await make("Second")
    const one = await person("ben")
    await listed(one, ["Second", "First"])
    await choose(one, "First")
    const panel = await details(one)
    await panel.getByRole("button", { name: "Pin" }).click()
    await listed(one, ["First", "Second"])
    await panel.getByRole("button", { name: "Mute" }).click()
    await rowOf(one, "First").getByRole("img", { name: "Muted" }).waitFor()

    await choose(one, "Second")
    await ada.send(first.id, "Nobody needs to hurry")
    await rowOf(one, "First").locator(".badge.quiet").getByText("1 unread message").waitFor()
    assert.strictEqual(await one.page.locator(".row.unread").count(), 0)
    await choose(one, "First")
    await rowOf(one, "First").locator(".badge").waitFor({ state: "detached" })
    await details(one)
    await panel.getByRole("button", { name: "Mute", pressed: true }).click()
    await rowOf(one, "First").getByRole("img", { name: "Muted" }).waitFor({ state: "detached" })
    await choose(one, "Second")
    await ada.send(first.id, "Now there is a hurry")
    await one.page.locator(".row.unread", { hasText: "First" }).locator(".badge:not(.quiet)").waitFor()

    await details(one)
    await panel.getByRole("button", { name: "Archive" }).click()
    await listed(one, ["First"])
    await one.page.getByRole("button", { name: "Archived" }).click()
    await listed(one, ["Second"])
    await panel.getByRole("button", { name: "Archive", pressed: true }).click()
    await listed(one, ["First", "Second"])
  })

  it("finds people to whom one has not written yet, and starts to write to them", async () => {
    await client("paula")
    const peter = await client("peter")
    const one = await person("nina")
    const { page } = one
    const search = page.getByLabel("Search people and messages")
    await search.fill("p")
    const found = page.getByRole("region", { name: "People" })
    await found.getByRole("button", { name: "paula" }).waitFor()
    await found.getByRole("button", { name: "peter" }).click()
    await write(one, "Hello Peter")
    await vi.waitFor(() => assert.strictEqual(peter.state.conversations.size, 1), { timeout: patience })
    // Now the conversation itself is found.
    await search.fill("pe")
    await rowOf(one, "peter").waitFor()
    await search.fill("p")
    await found.getByRole("button", { name: "paula" }).waitFor()
    assert.strictEqual(await found.getByRole("button").count(), 1)
    await search.fill("nin")
    await page.getByText("Nothing found").waitFor()
    await found.waitFor({ state: "detached" })
  })

  it("shows another name of somebody at once, and after a reload", async () => {
    const [fay, gil] = [await client("fay"), await client("gil")]
    const dm = await fay.ask("conversation.create", { kind: "dm", userId: gil.userId })
    await fay.send(dm.id, "Here I am")
    const group = await fay.ask("conversation.create", { kind: "group", title: "Names", memberIds: [gil.userId] })
    await fay.send(group.id, "Here too")
    const one = await person("gil")
    await choose(one, "Names")
    const rename = (displayName: string) => fay.ask("user.update", { displayName })
    await rename("Fay at once")
    await listed(one, ["Names", "Fay at once"])
    await messageOf(one, "Here too").getByText("Fay at once").waitFor()
    await one.page.goto("about:blank")
    await rename("Fay after all")
    await one.page.goBack()
    await listed(one, ["Names", "Fay after all"])
    await messageOf(one, "Here too").getByText("Fay after all").waitFor()
  })

  it("keeps a draft for each conversation, and shows it in the list", async () => {
    const dan = await client("dan")
    for (const title of ["Alpha", "Beta"]) await dan.ask("conversation.create", { kind: "group", title, memberIds: [] })
    const one = await person("dan")
    const box = (title: string) => one.page.getByRole("textbox", { name: `Message ${title}` })
    await choose(one, "Alpha")
    await box("Alpha").fill("half a thought")
    await choose(one, "Beta")
    assert.strictEqual(await box("Beta").inputValue(), "")
    await rowOf(one, "Alpha").getByText("Draft: half a thought").waitFor()
    await box("Beta").fill("another one")
    await choose(one, "Alpha")
    await rowOf(one, "Beta").getByText("Draft: another one").waitFor()
    await one.page.reload()
    await vi.waitUntil(async () => (await box("Alpha").inputValue()) === "half a thought", { timeout: patience })
    await box("Alpha").press("Enter")
    await messageOf(one, "half a thought").waitFor()
    await choose(one, "Beta")
    assert.strictEqual(await box("Beta").inputValue(), "another one")
    await rowOf(one, "Alpha").getByText("You: half a thought").waitFor()
  })

  it("lets an owner make an admin, rename the group, and remove somebody, who loses it at once until added again", async () => {
    const [olga, alan, rita] = [await client("olga"), await client("alan"), await client("rita")]
    const memberIds = [alan.userId, rita.userId]
    const { id } = await olga.ask("conversation.create", { kind: "group", title: "Old name", memberIds })
    const [owner, admin, removed] = [await person("olga"), await person("alan"), await person("rita")]
    for (const one of [owner, admin, removed]) await choose(one, "Old name")
    const [panel, adminPanel] = [await details(owner), await details(admin)]
    assert.strictEqual(await adminPanel.getByLabel("Name of the group").count(), 0)
    await panel.getByRole("button", { name: "More: alan" }).click()
    await owner.page.getByRole("menuitem", { name: "Make admin" }).click()
    await adminPanel.getByLabel("Name of the group").fill("New name")
    await adminPanel.getByRole("button", { name: "Save" }).click()
    for (const one of [owner, admin, removed]) {
      await one.page.getByRole("heading", { name: "New name" }).waitFor()
      await rowOf(one, "New name").waitFor()
    }

    await panel.getByRole("button", { name: "More: rita" }).click()
    await owner.page.getByRole("menuitem", { name: "Remove from the group" }).click()
    await rowOf(removed, "New name").waitFor({ state: "detached" })
    await removed.page.getByText("This conversation does not exist, or you are not a member.").waitFor()
    assert.strictEqual(await removed.page.getByRole("textbox", { name: /^Message / }).count(), 0)
    await panel.getByRole("button", { name: "More: rita" }).waitFor({ state: "detached" })
    await adminPanel.getByRole("heading", { name: "2 members" }).waitFor()

    await olga.ask("member.add", { conversationId: id, userIds: [rita.userId] })
    await olga.send(id, "Here you are again")
    await messageOf(removed, "Here you are again").waitFor()
    await write(removed, "Thank you")
    await messageOf(owner, "Thank you").waitFor()
  })

  it("blocks a person, whose messages are refused until that is taken back", async () => {
    const [kim, lee] = [await client("kim"), await client("lee")]
    const { id } = await kim.ask("conversation.create", { kind: "dm", userId: lee.userId })
    await lee.send(id, "Buy my things")
    const [one, other] = [await person("kim"), await person("lee")]
    await choose(one, "lee")
    await choose(other, "kim")
    const panel = await details(one)
    await panel.getByRole("button", { name: "Block", exact: true }).click()
    await panel.getByText("You cannot write to each other.").waitFor()
    await write(other, "Please do")
    const refused = messageOf(other, "Please do")
    await refused.getByRole("alert").getByText("You may not do this.").waitFor()

    await panel.getByRole("button", { name: "Unblock" }).click()
    await panel.getByRole("button", { name: "Block", exact: true }).waitFor()
    assert.strictEqual(await messageOf(one, "Please do").count(), 0)
    await refused.getByRole("button", { name: "Try again" }).click()
    await messageOf(one, "Please do").waitFor()
    await refused.getByRole("alert").waitFor({ state: "detached" })
  })

  it("counts the replies of a thread and the reactions of two people, which they take back", async () => {
    const [tom, una] = [await client("tom"), await client("una")]
    const title = "Counted"
    const { id } = await tom.ask("conversation.create", { kind: "group", title, memberIds: [una.userId] })
    await tom.send(id, "the question")
    const [one, other] = [await person("tom"), await person("una")]
    await choose(one, title)
    await choose(other, title)
    const [mine, theirs] = [messageOf(one, "the question"), messageOf(other, "the question")]
    await theirs.hover()
    await theirs.getByRole("button", { name: "Reply in thread" }).click()
    await other.page.getByRole("complementary", { name: "Thread" }).waitFor()
    await write(other, "an answer")
    await theirs.getByRole("button", { name: "1 reply", exact: true }).waitFor()
    await mine.getByRole("button", { name: "1 reply 1 unread reply" }).click()
    const thread = one.page.getByRole("complementary", { name: "Thread" })
    await thread.getByText("an answer").waitFor()
    await write(one, "thank you")
    await theirs.getByRole("button", { name: "2 replies" }).waitFor()
    await mine.getByRole("button", { name: "2 replies", exact: true }).waitFor()
    await other.page.getByRole("complementary", { name: "Thread" }).getByText("thank you").waitFor()
    assert.strictEqual(await messageOf(one, "an answer").count(), 0)

    await mine.hover()
    await mine.getByRole("button", { name: "React with 👍" }).click()
    await theirs.getByRole("button", { name: "👍, 1 reaction", pressed: false }).click()
    await mine.getByRole("button", { name: "👍, 2 reactions", pressed: true }).click()
    await theirs.getByRole("button", { name: "👍, 1 reaction", pressed: true }).click()
    for (const message of [mine, theirs]) await message.locator(".reactions").waitFor({ state: "detached" })
  })
})
