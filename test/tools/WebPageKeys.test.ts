import { assert, describe, it, vi } from "vitest"
import { Chat } from "../../src/client/Client.ts"
import { patience } from "../support/TimeLimits.ts"
import { choose, messageOf, type Person, signIn } from "../support/Web.ts"
import { webPages } from "../support/WebPages.ts"

/** Waits until the focus is where it shall be: anywhere but on the page as a whole, unless told otherwise. */
const hasFocus = ({ page }: Person, place = ":not(body)") =>
  vi.waitUntil(() => page.evaluate(`document.activeElement.matches(${JSON.stringify(place)})`), { timeout: patience })

/** Opens a tab of "My account". */
const openAccount = async ({ page }: Person, name: string, tab: string) => {
  await page.getByRole("navigation").getByRole("button", { name, exact: true }).click()
  const dialog = page.getByRole("dialog", { name: "My account" })
  await dialog.getByRole("button", { name: tab }).first().click()
  return dialog
}

describe("the chat page by keyboard, and the account", () => {
  const { client, open, person, url } = webPages()

  /** Makes a user who is signed in nowhere. */
  const register = (username: string) =>
    Chat.register(url(), {
      username,
      displayName: username,
      email: `${username}@example.com`,
      password: "correct horse"
    })

  it("is used with the keyboard alone, and the focus is always somewhere", async () => {
    const bob = await client("bob")
    const ann = await client("ann")
    const { id } = await bob.ask("conversation.create", { kind: "group", title: "Keys", memberIds: [ann.userId] })
    await bob.send(id, "press me")
    await bob.ask("conversation.create", { kind: "group", title: "Other", memberIds: [ann.userId] })
    const one = await person()
    const { page } = one
    const { keyboard } = page
    /** Opens the quick switcher, where one types at once. */
    const openSwitcher = async () => {
      await keyboard.press("Control+k")
      await hasFocus(one, "[role=combobox]")
    }
    const walk = async (key: string, arrived: string) => {
      for (let at = 0; at < 60; at++) {
        await keyboard.press(key)
        if (await page.evaluate(`((it) => ${arrived})(document.activeElement)`)) return
      }
      assert.fail(`${key} does not lead to ${arrived}`)
    }
    const tabTo = (name: string) => walk("Tab", `it.ariaLabel === ${JSON.stringify(name)}`)
    const toMessage = (body: string) =>
      walk("Shift+Tab", `it.matches("[data-message]") && it.textContent.includes(${JSON.stringify(body)})`)

    await page.getByRole("button", { name: "Sign in" }).waitFor()
    await keyboard.press("Tab")
    await keyboard.type("ann")
    await keyboard.press("Tab")
    await keyboard.type("correct horse")
    await keyboard.press("Enter")
    await page.getByRole("navigation", { name: "Conversations" }).waitFor()
    await hasFocus(one)

    await openSwitcher()
    await keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "detached" })
    await hasFocus(one)
    await openSwitcher()
    await keyboard.type("key")
    await keyboard.press("Enter")
    await page.getByRole("textbox", { name: "Message Keys" }).waitFor()
    await messageOf(one, "press me").waitFor()
    await hasFocus(one)
    await tabTo("Message Keys")

    await keyboard.type("I am hree")
    await keyboard.press("Enter")
    await messageOf(one, "I am hree")
      .getByRole("img", { name: /Sent|Delivered|Read/ })
      .waitFor()
    await hasFocus(one)
    await keyboard.press("ArrowUp")
    await page.getByText("Edit message", { exact: true }).waitFor()
    await hasFocus(one)
    await keyboard.press("Control+a")
    await keyboard.type("I am here")
    await keyboard.press("Enter")
    await messageOf(one, "I am here").getByText("(edited)").waitFor()
    await hasFocus(one)

    // Back from the text to the last message, and from there to the one before.
    await toMessage("I am here")
    await keyboard.press("ArrowUp")
    await messageOf(one, "press me").getByRole("toolbar").waitFor()
    await tabTo("React with 👍")
    await keyboard.press("Enter")
    await messageOf(one, "press me").getByRole("button", { name: "👍, 1 reaction" }).waitFor()
    await hasFocus(one)
    await tabTo("More")
    await keyboard.press("Enter")
    await page.getByRole("menuitem", { name: "Save for later" }).waitFor()
    await hasFocus(one)
    await keyboard.press("Escape")
    await page.getByRole("menu").waitFor({ state: "detached" })
    await hasFocus(one)
    await keyboard.press("Shift+?")
    await page.getByRole("dialog", { name: "Keys" }).waitFor()
    await hasFocus(one)
    await keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "detached" })
    await hasFocus(one)
    await toMessage("press me")
    await messageOf(one, "press me").getByRole("toolbar").waitFor()
    await tabTo("Reply")
    await keyboard.press("Enter")
    await hasFocus(one, "textarea")
    await keyboard.type("So are you")
    await keyboard.press("Enter")
    await messageOf(one, "So are you").getByRole("button", { name: "press me" }).waitFor()
    await hasFocus(one)

    // The text that had the focus is gone with its conversation.
    await openSwitcher()
    await keyboard.type("oth")
    await keyboard.press("Enter")
    await page.getByRole("textbox", { name: "Message Other" }).waitFor()
    await hasFocus(one, "textarea")
  })

  it("lists my devices, and signs the page of another one out", async () => {
    await register("dan")
    const [here, there] = [await open(), await open()]
    await signIn(here, "dan")
    await signIn(there, "dan")
    const dialog = await openAccount(here, "dan", "Devices")
    const devices = dialog.getByRole("listitem")
    await devices.nth(1).waitFor()
    assert.strictEqual(await devices.count(), 2)
    await devices.getByText("This device").waitFor()
    await devices.getByRole("button", { name: "Sign out" }).click()
    await there.page.getByText("You were signed out.").waitFor()
    await devices.nth(1).waitFor({ state: "detached" })
    await devices.getByText("This device").waitFor()
  })

  it("shows a new name and status to others", async () => {
    const [eve, fay] = [await client("eve"), await register("fay")]
    await eve.send((await eve.ask("conversation.create", { kind: "dm", userId: fay.id })).id, "Hello")
    const [one, other] = [await person("fay"), await person("eve")]
    await choose(other, "fay")
    const header = other.page.getByRole("main").locator("header").first()
    const profile = await openAccount(one, "fay", "Profile")
    for (const [chosen, seen] of [
      ["Do not disturb", "Do not disturb"],
      ["Away", "Away"],
      ["Invisible", /Offline|Last seen/i],
      ["Online", "Online"]
    ] as const) {
      await profile.getByLabel("Status").selectOption(chosen)
      await header.getByText(seen).waitFor()
    }
    await profile.getByLabel("Your name").fill("Fay Wray")
    await profile.getByRole("button", { name: "Save" }).click()
    await one.page.locator(".my-account", { hasText: "Fay Wray" }).waitFor()
    await choose(await person("eve"), "Fay Wray")
  })

  it("closes the account for its password, and nobody signs in there again", async () => {
    const one = await person("gil")
    const { page } = one
    const dialog = await openAccount(one, "gil", "Close account")
    const close = async (password: string) => {
      await dialog.getByLabel("Password").fill(password)
      await dialog.locator("form").getByRole("button", { name: "Close account" }).click()
    }
    await close("wrong horse")
    await dialog.getByRole("alert").filter({ hasText: /wrong/ }).waitFor()
    await close("correct horse")
    await page.getByRole("heading", { name: "Welcome back" }).waitFor()
    await page.getByLabel("Username or e-mail").fill("gil")
    await page.getByLabel("Password").fill("correct horse")
    await page.getByRole("button", { name: "Sign in" }).click()
    await page.getByText("The username or the password is wrong.").waitFor()
  })
})
