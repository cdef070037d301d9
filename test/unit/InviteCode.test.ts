import { assert, describe, it } from "@effect/vitest"
import { newInviteCode } from "../../src/services/conversations/Invites.ts"

describe("the code of an invite", () => {
  it("is another each time, and never looks like a flag of a command line", () => {
    const codes = Array.from({ length: 2000 }, newInviteCode)
    assert.strictEqual(new Set(codes).size, 2000)
    assert.deepStrictEqual(
      codes.filter((code) => !/^\w[\w-]{21}$/.test(code)),
      []
    )
  })
})
