import type { Browser } from "playwright-core"
import { afterAll, afterEach, assert, beforeAll } from "vitest"
import { Chat } from "../../src/client/Client.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { buildWeb, launchChromium, openPage, type Person, signIn } from "./Web.ts"

/** A service with the chat page and a browser for the tests of a `describe`, which fail when the page complains. */
export const webPages = (limits: { readonly pageSize?: number } = {}) => {
  let browser: Browser
  let service: Awaited<ReturnType<typeof TestService.start>>
  let built: ReturnType<typeof buildWeb>
  const people: Array<Person> = []
  const chats: Array<Chat> = []

  beforeAll(async () => {
    built = buildWeb()
    const manyCommands = { commandsPerSecond: 1000, commandsBurst: 1000 }
    service = await TestService.start({ server: { web: built.folder }, limits: { ...manyCommands, ...limits } })
    browser = await launchChromium()
  })
  afterEach(async () => {
    const errors = people.flatMap((one) => one.errors)
    for (const { context } of people.splice(0)) await context.close()
    for (const chat of chats.splice(0)) await chat.close()
    assert.deepStrictEqual(errors, [])
  })
  afterAll(async () => {
    await browser?.close()
    await service?.stop()
    built?.remove()
  })

  /** Opens an address in a new browser profile: that of the service, or another one. */
  const open = async (options: Parameters<Browser["newContext"]>[0] = {}, address = service.url) => {
    const one = await openPage(browser, address, options)
    people.push(one)
    return one
  }
  return {
    url: () => service.url,
    open,
    /** Opens the page, and signs in there if there is a name. */
    person: async (login?: string, options: Parameters<Browser["newContext"]>[0] = {}) => {
      const one = await open(options)
      if (login === undefined) return one
      await service.signIn(login)
      await signIn(one, login)
      return one
    },
    /** Signs in without a page. */
    client: async (name: string) => {
      const chat = new Chat({ url: service.url, tokens: await service.signIn(name) })
      chats.push(chat)
      await chat.ready()
      return chat
    }
  }
}
