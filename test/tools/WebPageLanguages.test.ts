import type { Browser } from "playwright-core"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { Chat } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { buildWeb, launchChromium, openPage, type Person } from "../support/Web.ts"

describe("the chat page in other languages", () => {
  let browser: Browser
  let service: Awaited<ReturnType<typeof TestService.start>>
  let built: ReturnType<typeof buildWeb>
  const people: Array<Person> = []

  const person = async (locale: string, options = {}) => {
    const one = await openPage(browser, service.url, { locale, ...options })
    people.push(one)
    return one
  }
  /** Signs in as a new user by the names of the fields, which are the same in all languages. */
  const signIn = async ({ page }: Person, login: string) => {
    await service.signIn(login)
    await page.locator("[name=login]").fill(login)
    await page.locator("[name=password]").fill("correct horse")
    await page.locator("[type=submit]").click()
    await page.getByRole("navigation").waitFor()
  }
  const conversation = async (login: string, title: string) => {
    const chat = new Chat({ url: service.url, tokens: await service.signIn(login) })
    const { id } = await chat.ask("conversation.create", { kind: "group", title, memberIds: [] })
    for (const body of ["Hello", "مرحبًا بكم في المجموعة"]) await chat.send(id, body)
    await chat.close()
    return id
  }
  const overflows = ({ page }: Person) => page.evaluate("document.documentElement.scrollWidth > innerWidth")

  beforeAll(async () => {
    built = buildWeb()
    service = await TestService.start({ server: { web: built.folder } })
    browser = await launchChromium()
  })
  afterEach(async () => {
    const errors = people.flatMap((one) => one.errors)
    for (const { context } of people.splice(0)) await context.close()
    assert.deepStrictEqual(errors, [])
  })
  afterAll(async () => {
    await browser?.close()
    await service?.stop()
    built?.remove()
  })

  it("speaks German to a browser that does, and another language when that is chosen", async () => {
    const { page } = await person("de-AT")
    await page.getByRole("button", { name: "Ein Konto erstellen" }).click()
    await page.getByLabel("Dein Name").fill("Änne Groß")
    await page.getByLabel("Benutzername").fill("aenne")
    await page.getByLabel("E-Mail").fill("aenne@example.com")
    await page.getByLabel("Passwort").fill("password")
    await page.getByRole("button", { name: "Konto erstellen", exact: true }).click()
    await page.getByRole("alert").getByText("Dieses Passwort verwenden zu viele Menschen.").waitFor()
    await page.getByLabel("Passwort").fill("correct horse")
    await page.getByRole("button", { name: "Konto erstellen", exact: true }).click()
    await page.getByText("Noch keine Unterhaltungen").waitFor()
    assert.deepStrictEqual(await page.evaluate("[document.documentElement.lang, document.documentElement.dir]"), [
      "de",
      "ltr"
    ])
    await page.getByRole("button", { name: "Änne Groß" }).click()
    await page.getByLabel("Sprache").selectOption("日本語")
    await page.getByText("会話はまだありません").waitFor()
    await page.reload()
    await page.getByText("会話はまだありません").waitFor()
    await page.getByRole("button", { name: "Änne Groß" }).click()
    await page.getByLabel("言語").selectOption("")
    await page.getByText("Noch keine Unterhaltungen").waitFor()
  })

  it("goes from right to left in Arabic, and stays within the screen", async () => {
    const id = await conversation("rania", "الرحلة")
    for (const width of [1200, 360]) {
      const one = await person("ar-EG", { viewport: { width, height: 700 } })
      const { page } = one
      assert.strictEqual(await page.evaluate("getComputedStyle(document.body).direction"), "rtl")
      assert.isFalse(await overflows(one))
      await signIn(one, "rania")
      await page.goto(`${service.url}/#/c/${id}`)
      const message = page.getByRole("article").filter({ hasText: "مرحبًا" })
      await message.waitFor()
      await page.getByRole("textbox", { name: "رسالة إلى الرحلة" }).waitFor()
      assert.isFalse(await overflows(one))
      await page.getByRole("button", { name: "التفاصيل" }).click()
      await page.getByRole("heading", { name: "عضو واحد" }).waitFor()
      assert.isFalse(await overflows(one))
      // The list of conversations is where reading begins, if there is room for both.
      if (width === 360) continue
      const [list, main] = [
        await page.getByRole("navigation").boundingBox(),
        await page.getByRole("main").boundingBox()
      ]
      assert.isAbove(list?.x ?? 0, main?.x ?? width)
    }
  })

  it("leaves Enter to an input method that is choosing characters", async () => {
    const id = await conversation("yuki", "旅行")
    const one = await person("ja-JP")
    await signIn(one, "yuki")
    await one.page.goto(`${service.url}/#/c/${id}`)
    const box = one.page.getByRole("textbox", { name: "旅行へのメッセージ" })
    await box.focus()
    const session = await one.context.newCDPSession(one.page)
    await session.send("Input.imeSetComposition", { text: "にほんご", selectionStart: 4, selectionEnd: 4 })
    await one.page.keyboard.press("Enter")
    assert.strictEqual(await one.page.getByRole("log").getByRole("article").count(), 2)
    await session.send("Input.insertText", { text: "日本語" })
    await box.press("Enter")
    await one.page.getByRole("article").filter({ hasText: "日本語" }).waitFor()
    assert.strictEqual(await one.page.getByRole("log").getByRole("article").count(), 3)
  })
})
