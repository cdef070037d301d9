import { assert, describe, it } from "@effect/vitest"
import { namesIn } from "../../src/domain/Mentions.ts"

describe("the names in a text", () => {
  const cases: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["@bob", ["bob"]],
    ["Hi @Bob, @bob and (@eve)!", ["bob", "eve"]],
    ["you, @bob.", ["bob.", "bob"]],
    ["@a-b_c.d", ["a-b_c.d"]],
    ["write to bob@example.org or @@bob", []],
    ["@böb, é@bob, @bobé", []],
    ["@ bob @", []],
    ["@...", ["..."]],
    ["你好 @bob，@eve", ["bob", "eve"]],
    ["@all", ["all"]]
  ]
  for (const [text, names] of cases) {
    it(`of ${text}`, () => assert.deepStrictEqual(namesIn(text).flat(), names))
  }

  it("are bounded, in number and in time", () => {
    const many = Array.from({ length: 1000 }, (_, n) => `@user${n}`).join(" ")
    assert.lengthOf(namesIn(many), 50)
    for (const piece of ["@", "@a", "a@", "@a.", "@é"]) {
      assert.isAtMost(namesIn(piece.repeat(100_000)).length, 1, piece)
    }
  })
})
