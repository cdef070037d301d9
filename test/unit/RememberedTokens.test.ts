import { assert, describe, it } from "@effect/vitest"
import { SessionId, UserId } from "../../src/domain/Ids.ts"
import { makeRememberedTokens } from "../../src/services/identity/RememberedTokens.ts"

const [sessionId, other] = [1, 2].map((n) => SessionId.make(`00000000-0000-7000-8000-00000000000${n}`))
const principal = {
  userId: UserId.make("00000000-0000-7000-8000-000000000003"),
  sessionId: sessionId ?? assert.fail(),
  expiresAt: 1000
}

describe("remembered tokens", () => {
  it("have none that was verified while a session ended, which may have been its own", () => {
    const { add, ends, forget, get } = makeRememberedTokens(10)
    const before = ends()
    forget(other === undefined ? [] : [other])
    add("token", principal, before)
    assert.isUndefined(get("token", 0))
    add("token", principal, ends())
    assert.strictEqual(get("token", 0), principal)
  })

  it("are known by all that they consist of, and by all of their hashes", () => {
    const { add, ends, forget, get } = makeRememberedTokens(10)
    const others = { ...principal, sessionId: other ?? assert.fail() }
    for (const [mine, theirs] of [
      // As in tokens that were signed for two users, or that have another signature.
      ["header.mine.signature", "header.theirs.signature"],
      ["header.same.signature", "header.same.signaturf"],
      ["header.same.aa", "header.same.aA"],
      // The first 42 bits of their SHA-256 are the same.
      ["token 2278684", "token 3046241"]
    ] as const) {
      add(mine, principal, ends())
      assert.isUndefined(get(theirs, 0))
      add(theirs, others, ends())
      assert.deepStrictEqual([get(mine, 0), get(theirs, 0)], [principal, others])
      forget([principal.sessionId])
      assert.deepStrictEqual([get(mine, 0), get(theirs, 0)], [undefined, others])
    }
  })
})
