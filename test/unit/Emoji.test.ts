import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Emoji } from "../../src/domain/Emoji.ts"

const decode = Schema.decodeSync(Emoji)
const isOne = Schema.is(Emoji)

describe("Emoji", () => {
  it("is any one emoji, with its skin tone, flag letters, keycap or joined parts", () => {
    for (const emoji of ["👍", "👍🏽", "❤️", "🇸🇪", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "1️⃣", "👩‍👩‍👧‍👦", "🧑🏿‍🚀", "🏳️‍🌈", "⌚"]) {
      assert.strictEqual(decode(emoji), emoji)
      assert.isTrue(isOne(decode(emoji)))
    }
  })

  it("is the same text however a keyboard writes it", () => {
    assert.strictEqual(decode("❤"), "❤️")
    assert.strictEqual(decode("👍\uFE0F"), "👍")
    assert.strictEqual(decode("☎"), decode("☎️"))
  })

  it("is the fully qualified form, whichever variation selectors a keyboard writes", () => {
    for (const emoji of [
      "❤️‍🔥",
      "🏳️‍🌈",
      "🏳️‍⚧️",
      "🏴‍☠️",
      "1️⃣",
      "#️⃣",
      "🕵️‍♂️",
      "🕵🏽‍♀️",
      "👁️‍🗨️",
      "⛹️‍♀️",
      "🧑‍⚕️",
      "👩‍❤️‍💋‍👨",
      "👩‍🚀",
      "☝🏿",
      "☝️",
      "©️",
      "㊗️",
      "🇸🇪",
      "⌚"
    ]) {
      const bare = emoji.replaceAll("\uFE0F", "")
      const full = Array.from(bare, (char) => (char === "\u200D" ? char : `${char}\uFE0F`)).join("")
      for (const written of [emoji, bare, emoji.replace("\uFE0F", ""), full]) {
        assert.strictEqual(decode(written), emoji)
        assert.isTrue(isOne(decode(written)))
      }
    }
  })

  it("is nothing else, not two of them, and not a part of one", () => {
    for (const text of ["", "a", "1", "#", "👍👍", "👍 ", "🇸", "\u200D", "\uFE0F", "é", ":)", "👍a", "x".repeat(100)])
      assert.throws(() => decode(text), undefined, undefined, text)
  })
})
