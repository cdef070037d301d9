import { Effect, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { assert, it } from "vitest"
import { compressed } from "../../src/http/documents/Compressed.ts"

it("a document is made once, however its path is spelled", async () => {
  let made = 0
  const page = HttpRouter.add("GET", "/docs", () =>
    Effect.sync(() => {
      made++
      return HttpServerResponse.text("a page")
    })
  )
  const { dispose, handler } = HttpRouter.toWebHandler(page.pipe(Layer.provide(compressed)))
  for (const path of ["/docs", "/docs?x=1", "/%64ocs", "/d%6fcs", "/d%6Fcs", "/%64%6f%63%73"]) {
    const response = await handler(new Request(`http://localhost${path}`))
    assert.deepStrictEqual([path, response.status, await response.text()], [path, 200, "a page"])
  }
  assert.strictEqual(made, 1)
  await dispose()
})
