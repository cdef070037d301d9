import { gzipSync } from "node:zlib"
import { assert, describe, it } from "vitest"
import { bundle } from "../support/Bundle.ts"

const root = new URL("../..", import.meta.url).pathname

/** The size in docs/client.md, with some room. */
const mostKilobytes = 150

describe("chat-service/client in a browser", () => {
  it("is made of the domain, the declarations and effect, and of nothing that a server needs", async () => {
    const { code, imports, modules } = await bundle(`${root}src/client/Client.ts`)
    assert.deepStrictEqual(imports, [])
    const own = modules.filter((id) => id.startsWith(`${root}src/`)).map((id) => id.slice(root.length + 4))
    assert.deepStrictEqual(
      own.filter((id) => !/^(client|domain|operations)\//.test(id) || /Handlers\.ts$/.test(id)),
      []
    )
    const packages = modules.filter((id) => id.includes("/node_modules/") && !id.includes("/node_modules/effect/"))
    assert.deepStrictEqual(packages, [])
    assert.notMatch(code, /from\s*"node:/)
    const kilobytes = Math.round(gzipSync(code).length / 1000)
    assert.isAtMost(kilobytes, mostKilobytes, `${kilobytes} kB`)
  })
})
