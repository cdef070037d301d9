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
    ["@all", ["all"]],
    ["https://medium.com/@bob and http://x.org?to=@bob, medium.com/@bob or www.x.org/@bob", []],
    ["https://x.org/@eve/@bob see https://x.org/a/b: @ann", ["ann"]],
    ["看https://x.org/a，@bob", ["bob"]],
    ["?u=@bob or u=@bob", []],
    ["@bob@mastodon.social, @bob@localhost", []],
    ["@bob@eve @ann@", ["bob", "ann"]],
    ["@bob:matrix.org, @bob:localhost and @bob:matrix.org:8448", []],
    ["@bob: hello, @eve:hello", ["bob", "eve"]],
    ["bob@example.org, bob+x@example.org, é@bob, e\u0301@bob, x_@bob, bob-@x.org, 5@bob, mailto:a@bob", []],
    [".@bob thanks...@eve", ["bob", "eve"]],
    ["-@bob —@eve (@ann) _@joe_", ["bob", "eve", "ann", "joe_", "joe"]],
    ["交给@bob处理", ["bob"]],
    ["@bobさん @eve님", ["bob", "eve"]],
    ["สวัสดี@bobครับ", ["bob"]],
    ["مرحبا@bob", ["bob"]],
    ["привет@bob", ["bob"]],
    ["🎉@bob🎉", ["bob"]],
    ["@ann/@bob, @eve's", ["ann", "bob", "eve"]],
    ["@bob/report and @eve.com/x", ["bob", "eve.com"]],
    ["`@bob` and ``@eve ` @ann`` but `@joe", ["joe"]],
    ["```\n@bob\n```\n@eve ``` @ann", ["eve", "ann"]]
  ]
  for (const [text, names] of cases) {
    it(`of ${text}`, () => assert.deepStrictEqual(namesIn(text).flat(), names))
  }

  it("are bounded, in number and in time", () => {
    const many = Array.from({ length: 1000 }, (_, n) => `@user${n}`).join(" ")
    assert.lengthOf(namesIn(many), 50)
    for (const piece of [
      "@",
      "@a",
      "a@",
      "@a.",
      "@é",
      "`@",
      "``@a`",
      "a.",
      "a.b/",
      "@\u0301",
      "\u0301@a",
      "://@",
      "@a:b."
    ]) {
      assert.isAtMost(namesIn(piece.repeat(100_000)).length, 1, piece)
    }
    const runs = Array.from({ length: 800 }, (_, n) => `${"`".repeat(n + 1)} @a`).join(" ")
    assert.isAtMost(namesIn(runs).length, 1)
  })
})
