import { assert, describe, it } from "@effect/vitest"
import { safeFileName } from "../../src/domain/Attachment.ts"
import { fileHeaders } from "../../src/http/files/FileHeaders.ts"

describe("the name of a file", () => {
  it("has no directory, no control characters and none that change the direction of text", () => {
    const cases: ReadonlyArray<readonly [string, string]> = [
      ["photo.jpg", "photo.jpg"],
      ["../../etc/passwd", "passwd"],
      ["C:\\Users\\ann\\a b.txt", "a b.txt"],
      ["a\u0000b\r\nc\u007f\u0085.txt", "abc.txt"],
      ["\u202egpj.exe\u2066\u200f", "gpj.exe"],
      ["a\u2028b\ud800.txt", "ab.txt"],
      ["  spaced .txt  ", "spaced .txt"],
      ["", "file"],
      ["..", "file"],
      ["a/", "file"],
      ["\u202e", "file"],
      [".profile", ".profile"],
      ["👨\u200d👩\u200d👧.png", "👨\u200d👩\u200d👧.png"]
    ]
    for (const [given, expected] of cases) assert.strictEqual(safeFileName(given), expected, JSON.stringify(given))
    const long = safeFileName(`${"\u00e4".repeat(4000)}.pdf`)
    assert.strictEqual(Array.from(long).length, 200)
    assert.match(long, /\.pdf$/)
  })

  it("can leave neither its header nor its quotes", () => {
    const { "content-disposition": disposition } = fileHeaders(
      { contentType: "text/plain", name: "a\"b\\c%0d;ü€*'().txt" },
      false
    )
    assert.strictEqual(
      disposition,
      `attachment; filename="a_b_c_0d;__*'().txt"; filename*=UTF-8''a%22b%5Cc%250d%3B%C3%BC%E2%82%AC%2a%27%28%29.txt`
    )
  })
})
