import { assert, describe, it } from "@effect/vitest"
import { Exit, Schema } from "effect"
import { Url } from "../../src/domain/Url.ts"

const decode = Schema.decodeUnknownExit(Url)

describe("the URL of a picture", () => {
  it("is https, or http for localhost, as the URL parser writes it", () => {
    for (const [given, kept] of [
      ["https://example.com/a.png", "https://example.com/a.png"],
      ["HTTPS://EXAMPLE.com:443/a/../b.png?x=1#f", "https://example.com/b.png?x=1#f"],
      ["https://example.com", "https://example.com/"],
      ["https://bücher.example/ä.png", "https://xn--bcher-kva.example/%C3%A4.png"],
      ["http://localhost:8080/a.png", "http://localhost:8080/a.png"],
      ["http://127.0.0.1/a.png", "http://127.0.0.1/a.png"],
      ["http://[::1]/a.png", "http://[::1]/a.png"],
      ["https://8.8.8.8/a.png", "https://8.8.8.8/a.png"],
      ["https://[2606:4700::1111]/a.png", "https://[2606:4700::1111]/a.png"]
    ] as const)
      assert.deepStrictEqual(decode(given), Exit.succeed(kept), given)
  })

  it("is refused when it is unsafe to embed, has credentials, or names a private address", () => {
    for (const refused of [
      "",
      "a.png",
      "javascript:alert(1)",
      "data:image/png;base64,AA",
      "ftp://example.com/a.png",
      "http://example.com/a.png",
      "http://localhost.example.com/a.png",
      'https://x/"onerror=alert(1)',
      "https://x/'a",
      "https://x/`a",
      "https://x/<b>",
      "https://x/a b",
      "https://x/\\a",
      "https://x/a\u202eb",
      "https://x/a\u200bb",
      "https://x/a\u0007b",
      "https://x/a\nb",
      "https://user@example.com/",
      "https://user:secret@example.com/",
      "https://:secret@example.com/",
      "https://169.254.169.254/latest",
      "https://10.1.2.3/",
      "https://172.16.0.1/",
      "https://192.168.1.1/",
      "https://100.64.0.1/",
      "https://0.0.0.0/",
      "https://0x0a.1/",
      "https://167837953/",
      "https://[fe80::1]/",
      "https://[fd00::1]/",
      "https://[::]/",
      "https://[::ffff:10.1.2.3]/",
      `https://example.com/${"x".repeat(2048)}`,
      `https://example.com/${"ä".repeat(1000)}`
    ])
      assert.isTrue(Exit.isFailure(decode(refused)), refused)
  })
})
