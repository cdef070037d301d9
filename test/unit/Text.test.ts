import { Schema } from "effect"
import { assert, describe, it } from "vitest"
import { NewGroup } from "../../src/domain/Conversation.ts"
import { NewPayload } from "../../src/domain/Payload.ts"
import { Name, VisibleText } from "../../src/domain/Text.ts"
import { Registration } from "../../src/domain/User.ts"

const isName = Schema.is(Name)
const isVisible = Schema.is(VisibleText)

describe("a name", () => {
  const fine = [
    "Ann",
    "Ann Lee\u00a0Ørsted",
    "李小龍",
    "محمد",
    "\u200fאנה\u200e Ann",
    "علی\u200cرضا",
    "👩‍🚀",
    "❤️",
    "1️⃣",
    "🏴󠁧󠁢󠁳󠁣󠁴󠁿",
    "न\u094d",
    "e\u0301",
    ".",
    "ﾟ",
    "\u{1f3fb}"
  ]
  for (const text of fine) it(`may be ${JSON.stringify(text)}`, () => assert.isTrue(isName(text)))

  const nothing = [
    "",
    "  ",
    "\u200b",
    "\u3164",
    "\u2800",
    "\u2800 \u2800",
    "\uffa0\u115f\u1160",
    "\u00ad",
    "\u200d\u200c",
    "\u2060\ufeff",
    "\u200e\u200f\u061c",
    "\u0301",
    "\ufe0f\u20e3",
    "\u034f\u180e",
    "\u{e0041}\u{e007f}",
    "\u{1d159}",
    "\u3000\u00a0\u2003",
    "\ufff9\ufffb"
  ]
  for (const text of nothing) {
    it(`must show something: ${JSON.stringify(text)}`, () =>
      assert.deepStrictEqual([isName(text), isVisible(text)], [false, false]))
  }

  const unruly = [
    "\u202e",
    "\u202a",
    "\u202b",
    "\u202d",
    "\u2066",
    "\u2067",
    "\u2069",
    "\n",
    "\r",
    "\t",
    "\u0007",
    "\u0085",
    "\u009b",
    "\u2028",
    "\u2029",
    "\u007f"
  ]
  for (const char of unruly) {
    it(`must not contain ${JSON.stringify(char)}, but a body may`, () => {
      for (const text of [`Ann${char}`, `${char}Ann`, `An${char}n`])
        assert.deepStrictEqual([isName(text), isVisible(text)], [false, true])
    })
  }

  it("applies to users, groups, contacts, places and options of polls", () => {
    const person = { email: "a@b.c", username: "ann", password: "correct horse" }
    const uses: ReadonlyArray<(text: string) => boolean> = [
      (displayName) => Schema.is(Registration)({ ...person, displayName }),
      (title) => Schema.is(NewGroup)({ kind: "group", title, memberIds: [] }),
      (name) => Schema.is(NewPayload)({ name, phones: [], emails: [] }),
      (name) => Schema.is(NewPayload)({ latitude: 1, longitude: 2, name })
    ]
    for (const accepts of uses)
      assert.deepStrictEqual(["Ann", "\u3164", "Ann\u202e", "A\nnn"].map(accepts), [true, false, false, false])
    const poll = (option: string) => Schema.is(NewPayload)({ question: "Where\nto?", options: ["home", option] })
    assert.deepStrictEqual(["out", "\u2800", "\u200b"].map(poll), [true, false, false])
  })
})
