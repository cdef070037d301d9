import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { brotliCompressSync, gzipSync } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { TestService } from "../../src/testing/TestService.ts"

const script = "document.title = 'Chat'".repeat(50)

/** A built page in a folder, with a file next to it that must not be served. */
const makePage = () => {
  const directory = mkdtempSync(join(tmpdir(), "chat-web-"))
  const web = join(directory, "web")
  mkdirSync(join(web, "assets"), { recursive: true })
  writeFileSync(join(directory, "secret.js"), "secret")
  writeFileSync(join(web, "index.html"), "<!doctype html><title>Chat</title>")
  writeFileSync(join(web, "embed.html"), "<!doctype html><title>Embed</title>")
  writeFileSync(join(web, "manifest.webmanifest"), "{}")
  writeFileSync(join(web, "assets/index-1a2b.js"), script)
  writeFileSync(join(web, "assets/index-1a2b.js.br"), brotliCompressSync(script))
  writeFileSync(join(web, "assets/index-1a2b.js.gz"), gzipSync(script))
  writeFileSync(join(web, "assets/index-1a2b.css"), "body {}")
  return { directory, web }
}

/** Asks for a path exactly as it is written, which `fetch` would make shorter. */
const statusOf = (url: string, path: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    request({ ...hostOf(url), path }, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
      .on("error", reject)
      .end()
  })

const hostOf = (url: string) => {
  const { hostname, port } = new URL(url)
  return { hostname, port }
}

describe("the chat page", () => {
  const { directory, web } = makePage()
  let service: Awaited<ReturnType<typeof TestService.start>>
  let without: Awaited<ReturnType<typeof TestService.start>>
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${service.url}${path}`, { headers, redirect: "manual" })

  beforeAll(async () => {
    service = await TestService.start({ server: { web } })
    without = await TestService.start({ server: { web: false } })
  })
  afterAll(async () => {
    await service.stop()
    await without.stop()
    rmSync(directory, { recursive: true })
  })

  it("has the widget for other pages at /docs/embed", async () => {
    const answer = await get("/docs/embed")
    assert.deepStrictEqual([answer.status, await answer.text()], [200, "<!doctype html><title>Embed</title>"])
    assert.include(answer.headers.get("content-security-policy") ?? "", "script-src 'self'")
    assert.strictEqual((await fetch(`${without.url}/docs/embed`)).status, 404)
  })

  it("is served at the root, and asked for again each time", async () => {
    const answer = await get("/")
    assert.strictEqual(answer.status, 200)
    assert.strictEqual(answer.headers.get("content-type"), "text/html; charset=utf-8")
    assert.strictEqual(answer.headers.get("cache-control"), "no-cache")
    assert.include(await answer.text(), "<title>Chat</title>")
    const again = await get("/", { "if-none-match": answer.headers.get("etag") ?? "" })
    assert.strictEqual(again.status, 304)
  })

  it("may run nothing but its own scripts, and ask nobody but the service", async () => {
    const { headers } = await get("/")
    const policy = headers.get("content-security-policy") ?? ""
    assert.notInclude(policy, "unsafe")
    assert.notMatch(policy, /https?:|\*/)
    for (const rule of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"])
      assert.include(policy.split("; "), rule)
    assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
  })

  it("has parts that browsers keep, compressed as they were built", async () => {
    const path = "/assets/index-1a2b.js"
    for (const [accepted, encoding] of [
      ["br, gzip", "br"],
      ["gzip", "gzip"],
      ["identity", null]
    ] as const) {
      const answer = await get(path, { "accept-encoding": accepted })
      assert.strictEqual(answer.headers.get("content-encoding"), encoding)
      assert.strictEqual(answer.headers.get("vary"), "accept-encoding")
      assert.strictEqual(answer.headers.get("cache-control"), "public, max-age=31536000, immutable")
      assert.strictEqual(answer.headers.get("content-type"), "text/javascript; charset=utf-8")
      // The HTTP client has decompressed the body.
      assert.strictEqual(await answer.text(), script)
    }
    const plain = await get("/assets/index-1a2b.css", { "accept-encoding": "br" })
    assert.strictEqual(plain.headers.get("content-encoding"), null)
    assert.strictEqual((await get("/manifest.webmanifest")).headers.get("content-type"), "application/manifest+json")
  })

  it("gives away nothing that is not a part of it", async () => {
    for (const path of [
      "/assets/../../secret.js",
      "/assets/..%2f..%2fsecret.js",
      "/assets/%2e%2e/index.html",
      "/assets/index-1a2b.js.br",
      "/assets/",
      "/assets/other.js",
      "/service-worker.js"
    ])
      assert.strictEqual(await statusOf(service.url, path), 404, path)
  })

  it("leads to the documents when it is off", async () => {
    const answer = await fetch(`${without.url}/`, { redirect: "manual" })
    assert.deepStrictEqual([answer.status, answer.headers.get("location")], [302, "/docs"])
    assert.strictEqual((await fetch(`${without.url}/assets/index-1a2b.js`)).status, 404)
  })

  it("leads to the documents when its folder has no page", async () => {
    const empty = await TestService.start({ server: { web: directory } })
    const answer = await fetch(`${empty.url}/`, { redirect: "manual" })
    assert.deepStrictEqual([answer.status, answer.headers.get("location")], [302, "/docs"])
    await empty.stop()
  })
})
