import { assert, describe, it } from "vitest"
import { NotFound, RateLimited } from "../../src/domain/Problem.ts"
import { readPages } from "../../web/src/chat/pages.ts"

describe("the chat page, when it reads a list of many pages", () => {
  it("asks for a page again after the time that the service asks it to wait", async () => {
    const asked: Array<string | undefined> = []
    const times: Array<number> = []
    const list = await readPages(async ({ cursor }) => {
      asked.push(cursor)
      times.push(performance.now())
      if (asked.length === 2) throw new RateLimited({ retryAfterMs: 100 })
      return cursor === undefined ? { items: [1, 2], nextCursor: "3" } : { items: [3] }
    })
    assert.deepStrictEqual(list, { items: [1, 2, 3] })
    assert.deepStrictEqual(asked, [undefined, "3", "3"])
    const [, refused = 0, again = 0] = times
    // A timer of Node may be early by a part of a millisecond.
    assert.isAtLeast(again - refused, 99)
  })

  it("fails with any other problem", async () => {
    const problem = new NotFound({ detail: "There is no such group" })
    const failed = await readPages(() => Promise.reject(problem)).catch((error: unknown) => error)
    assert.strictEqual(failed, problem)
  })
})
