import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"
import { launchChromium } from "../support/Web.ts"

describe("the page of the HTTP API in Chromium", () => {
  let service: Awaited<ReturnType<typeof TestService.start>>
  let browser: Awaited<ReturnType<typeof launchChromium>>

  beforeAll(async () => {
    service = await TestService.start()
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser.close()
    await service.stop()
  })

  it("tries an operation that needs a login, with a token that was typed in", async () => {
    const { accessToken, user } = await service.signIn("ann")
    const page = await browser.newPage({ viewport: { width: 1400, height: 900 } })
    page.setDefaultTimeout(patience)
    await page.goto(`${service.url}/docs#tag/user/GET/v1/users/me`)
    await page.getByRole("button", { name: /Test Request\s*\(get \/v1\/users\/me\)/i }).click()
    const client = page.getByRole("dialog")
    const send = async () => {
      const answer = page.waitForResponse((response) => response.url() === `${service.url}/v1/users/me`)
      await client.locator("button", { hasText: "Send get request to" }).click()
      return answer
    }
    assert.strictEqual((await send()).status(), 401)
    await client.getByPlaceholder("Token").fill(accessToken)
    const answer = await send()
    assert.strictEqual(answer.status(), 200)
    assert.strictEqual((await answer.json()).id, user.id)
  })
})
